"""`make h2spec`: the conformance cases of h2spec against our wire server; those in `h2spec_expected.txt`, and no others, do not pass.

h2spec is a Go program: it is installed into `.tools/` at the first time. Without Go this says so and ends well, but not in CI.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import worker

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".tools"
MODULE = "github.com/summerwind/h2spec/cmd/h2spec@latest"
EXPECTED = Path(__file__).with_name("h2spec_expected.txt")
SECTIONS = ("generic", "http2", "hpack")
TITLES = {"Generic tests": "generic", "Hypertext Transfer Protocol": "http2", "HPACK: Header Compression": "hpack"}
LEAST = 121
"""What Envoy itself passes."""
_GROUP = re.compile(r"([\d.]+)\. ")
_PASSED, _FAILED = "\u2714", "\u00d7"
_CASE = re.compile(rf"([{_PASSED}{_FAILED}]? ?)(\d+): (.*)")
_RUN_S = 300


def install() -> Path | None:
    """Return the program; None when there is no Go to build it."""
    program = TOOLS / "h2spec"
    if not program.exists():
        if (go := shutil.which("go")) is None:
            return None
        TOOLS.mkdir(exist_ok=True)
        subprocess.run([go, "install", MODULE], env={**os.environ, "GOBIN": str(TOOLS)}, check=True)
    return program


def read_results(output: str) -> dict[str, tuple[str, str]]:
    """Each case by its name (`http2/6.9.1/1`): its mark (empty: skipped) and what it is about."""
    results = {}
    section = group = ""
    for raw in output.partition("\nFailures:")[0].replace("\r", "\n").splitlines():
        line = raw.strip()
        if title := next((name for start, name in TITLES.items() if line.startswith(start)), None):
            section = title
        elif found := _GROUP.match(line):
            group = found[1]
        elif found := _CASE.fullmatch(line):
            results[f"{section}/{group}/{found[2]}"] = (found[1].strip(), found[3])
    return results


def expected() -> dict[str, str]:
    """The cases that do not pass, with the reason of each."""
    lines = [line for line in EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    return {name: reason for name, _, reason in (line.partition(" ") for line in lines)}


def main() -> int:
    """Run it and say what is not as expected."""
    program = install()
    if program is None:
        print("h2spec is left out: it needs Go (https://go.dev/dl/)")
        return 1 if os.environ.get("CI") == "true" else 0
    with worker("benchmarks.echo_server", "wire", "127.0.0.1:0") as server:
        host, _, port = server.hello["address"].rpartition(":")
        command = [program, "-h", host, "-p", port, *SECTIONS]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_RUN_S, check=False).stdout
    results, known = read_results(output), expected()
    passed = sum(mark == _PASSED for mark, _ in results.values())
    wrong = []
    for name, (mark, about) in results.items():
        if mark != _PASSED:
            print(f"{name} {'fails' if mark else 'is skipped'}: {about}\n    {known.get(name, 'NOT EXPECTED')}")
        if (mark == _PASSED) == (name in known):
            wrong.append(name)
    wrong += [name for name in known if name not in results]
    print(f"h2spec: {passed} of {len(results)} cases passed")
    if wrong or passed < LEAST:
        print(f"not as in {EXPECTED.relative_to(ROOT)}: {', '.join(wrong)}\n\n{output}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
