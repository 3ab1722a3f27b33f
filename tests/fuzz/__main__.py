"""Coverage-guided fuzzing of `ias/wire`: `make fuzz-wire SECONDS=60`. Needs atheris, which has wheels for Linux on x86-64 only.

What breaks a promise is written to `corpus/wire/crash-…` (fix it, keep the file: it is replayed by every test run). Inputs that reach new
code are kept in `.fuzz/wire`, so that a run goes on from the last one.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(seconds: int) -> int:
    try:
        import atheris
    except ImportError:
        print(f"fuzzing is left out: atheris has no wheel for Python {sys.version.split()[0]} on this machine")
        return 1 if os.environ.get("CI") == "true" else 0
    with atheris.instrument_imports(include=["ias.wire"]):
        from tests.fuzz import wire
    learned = ROOT / ".fuzz" / "wire"
    learned.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={wire.CORPUS}/",
        "-max_len=4096",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(learned), str(wire.CORPUS)], wire.play)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
