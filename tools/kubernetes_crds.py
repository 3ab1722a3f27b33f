"""Custom resource definitions for tests: those of Envoy Gateway from its Go module, AI Gateway's and KServe's from where they are.

`make crds` downloads the latter from the upstream releases into the user's cache. They are found in IAS_CRDS_DIR, beside the
repository (`../shared/crds`), or there, in this order.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
AIGW, KSERVE = "1.1.0", "0.20.0"
_GATEWAY = "charts/gateway-helm/charts/crds/crds"
_GITHUB = "https://raw.githubusercontent.com"
_AIGW_FILES = "aigatewayroutes aiservicebackends backendsecuritypolicies gatewayconfigs mcproutes quotapolicies"
_KSERVE_FILES = {
    "serving.kserve.io_inferenceservices.yaml": "config/crd/full/serving.kserve.io_inferenceservices.yaml",
    "serving.kserve.io_llminferenceservices.yaml": "config/crd/full/llmisvc/serving.kserve.io_llminferenceservices.yaml",
}
_DOWNLOAD_S = 60


def find_gateway_crds(module: str, target: Path) -> None:
    """Copy the CRDs out of the module's folder."""
    source = Path(module) / _GATEWAY
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "crds"
        made.mkdir()
        for file in (source / "gatewayapi-crds.yaml", *sorted((source / "generated").glob("*.yaml"))):
            shutil.copyfile(file, made / file.name)
        made.rename(target)


def other_crds(project: str) -> Path | None:
    """The folder of the CRDs of `aigw` or `kserve`; None when they are nowhere."""
    chosen = os.environ.get("IAS_CRDS_DIR")
    places = [Path(chosen)] if chosen else [ROOT.parent / "shared/crds", _main_worktree().parent / "shared/crds", _downloaded()]
    return next((place / project for place in places if (place / project).is_dir()), None)


def say_where_others_are() -> None:
    """Print what is left out for want of CRDs."""
    for project, name in (("aigw", f"Envoy AI Gateway's CRDs ({AIGW})"), ("kserve", f"KServe's CRDs ({KSERVE})")):
        if other_crds(project) is None:
            print(f"left out: what needs {name}, which are in no Go module; `make crds` downloads them, IAS_CRDS_DIR names a folder")


def download() -> None:
    """Fetch them from the tags of the upstream repositories."""
    files = {
        f"aigw/aigateway.envoyproxy.io_{name}.yaml": (
            f"{_GITHUB}/envoyproxy/ai-gateway/v{AIGW}/manifests/charts/ai-gateway-crds-helm/templates/aigateway.envoyproxy.io_{name}.yaml"
        )
        for name in _AIGW_FILES.split()
    }
    files |= {f"kserve/{name}": f"{_GITHUB}/kserve/kserve/v{KSERVE}/{path}" for name, path in _KSERVE_FILES.items()}
    for name, url in files.items():
        path = _downloaded() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading {name}", flush=True)
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_S) as answer:  # noqa: S310 - https, and written above
            path.write_bytes(answer.read())


def _downloaded() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ias-tests" / f"crds-aigw-{AIGW}-kserve-{KSERVE}"


def _main_worktree() -> Path:
    """Where the repository is when this is one of its worktrees."""
    done = subprocess.run(["git", "rev-parse", "--git-common-dir"], cwd=ROOT, capture_output=True, text=True, check=False)
    return (ROOT / done.stdout.strip()).resolve().parent if done.returncode == 0 else ROOT


if __name__ == "__main__":
    try:
        download()
    except OSError as error:
        sys.exit(f"the CRDs cannot be downloaded: {error}")
