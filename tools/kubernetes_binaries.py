"""Builds etcd, kube-apiserver and Envoy Gateway from their Go modules, once, into the user's cache: what `tests/kubernetes` runs against.

The builds are reproducible (`-trimpath`), so a program's folder is named for its version and a hash of all that it is made of. The Go
toolchain's own caches, about 6 GB, are kept while anything is left to build and deleted afterwards, unless GOCACHE and GOMODCACHE are set.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.kubernetes_crds import find_gateway_crds, say_where_others_are

ETCD, KUBERNETES, ENVOY_GATEWAY = "3.6.16", "1.35.4", "1.9.0"
EG_MODULE = "github.com/envoyproxy/gateway"
_VERSION = "k8s.io/component-base/version"
_BUILD_S = 3600


@dataclass(frozen=True, slots=True)
class Recipe:
    """One program: equal recipes make equal bytes."""

    name: str
    version: str
    module: str
    package: str
    ldflags: str
    minutes: float
    """On two cores, with nothing in the caches."""

    @property
    def folder(self) -> Path:
        """Where the program is when it is built."""
        made_of = f"{self.module}@{self.version} {self.package} {self.ldflags} -trimpath CGO_ENABLED=0"
        return cache() / f"{self.name}-{self.version}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"

    @property
    def program(self) -> Path:
        return self.folder / self.name


# Without its version the API server calls itself v0.0.0. Without a port for its metrics Envoy Gateway takes 8080.
RECIPES = (
    Recipe("etcd", ETCD, "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", "-s -w", 1),
    Recipe(
        "kube-apiserver",
        KUBERNETES,
        "k8s.io/kubernetes",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
        3,
    ),
    Recipe(
        "envoy-gateway",
        ENVOY_GATEWAY,
        EG_MODULE,
        f"{EG_MODULE}/cmd/envoy-gateway",
        "-s -w -X sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress=0",
        3,
    ),
)


def cache() -> Path:
    """The folder that all test programs of this user are kept in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ias-tests"


def crds_folder() -> Path:
    """Gateway API's and Envoy Gateway's CRDs, as YAML files."""
    return cache() / f"gateway-crds-{ENVOY_GATEWAY}"


def missing(*names: str) -> list[str]:
    """What is not there yet, of all or of some programs."""
    programs = [recipe.name for recipe in RECIPES if not recipe.program.exists() and (not names or recipe.name in names)]
    return programs + ([] if crds_folder().exists() else ["the CRDs"])


def provide(go: str) -> None:
    """Build what is missing; whoever comes meanwhile waits."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "kubernetes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not missing():
            return
        with _go_environment(go) as environment:
            for recipe in RECIPES:
                if not recipe.program.exists():
                    _build(go, recipe, environment)
            if not crds_folder().exists():
                find_gateway_crds(_module(go, f"{EG_MODULE}@v{ENVOY_GATEWAY}", environment)["Dir"], crds_folder())


@contextlib.contextmanager
def _go_environment(go: str) -> Iterator[Mapping[str, str]]:
    """Give the toolchain caches of its own; they are kept after a failure, so that the next attempt goes on from there."""
    folder = cache() / "go"
    own = {name: str(folder / name) for name in ("GOCACHE", "GOMODCACHE") if name not in os.environ}
    # Modules that can be written can be deleted; the toolchain that is installed is the one that builds.
    environment = {**os.environ, **own, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath -mod=mod -modcacherw", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    yield environment
    if own:
        print("deleting the caches of the Go toolchain", flush=True)
        shutil.rmtree(folder, ignore_errors=True)


def _build(go: str, recipe: Recipe, environment: Mapping[str, str]) -> None:
    print(f"building {recipe.name} {recipe.version} (once; about {recipe.minutes:g} min)", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".building-") as name:
        folder = Path(name)
        (folder / "go.mod").write_text(_go_mod(go, recipe, environment))
        made = folder / "made"
        made.mkdir()
        command = [go, "build", "-ldflags", recipe.ldflags, "-o", str(made / recipe.name), recipe.package]
        log = folder / "log"
        with log.open("w") as output:
            done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, timeout=_BUILD_S, check=False)
        if done.returncode:
            raise SystemExit(f"{recipe.name} {recipe.version} cannot be built:\n{log.read_text()[-3000:]}")
        made.rename(recipe.folder)
    print(f"  built in {time.monotonic() - started:.0f} s: {recipe.program.stat().st_size // 1_000_000} MB", flush=True)


def _go_mod(go: str, recipe: Recipe, environment: Mapping[str, str]) -> str:
    """Write a module that needs the program's, and takes over its `replace` lines, which Go would leave out.

    Kubernetes replaces its staging modules by folders of its repository; the proxy has each as a module of the version v0.x.y.
    """
    theirs = Path(_module(go, f"{recipe.module}@v{recipe.version}", environment)["GoMod"]).read_text()
    lines = ["module programs", *re.findall(r"^go .*", theirs, re.MULTILINE), *re.findall(r"^godebug (?:\w.*|\([^)]*\))", theirs, re.MULTILINE)]
    lines.append(f"require {recipe.module} v{recipe.version}")
    staging = f"v0.{recipe.version.partition('.')[2]}"
    lines += [f"replace {name} => {name} {staging}" for name in re.findall(r"^\s+(k8s\.io/[a-z0-9.-]+) => \./staging", theirs, re.MULTILINE)]
    return "\n".join(lines) + "\n"


def _module(go: str, module: str, environment: Mapping[str, str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run([go, "mod", "download", "-json", module], cwd=nowhere, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the Go module {module} cannot be had: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> int:
    """Provide everything; without Go say what is left out, which is an error in CI."""
    if absent := missing():
        go = shutil.which("go")
        if go is None:
            print(f"tests/kubernetes is left out: {', '.join(absent)} must be built, which needs Go (https://go.dev/dl/)")
            return 1 if os.environ.get("CI") == "true" else 0
        provide(go)
    say_where_others_are()
    return 0


if __name__ == "__main__":
    sys.exit(main())
