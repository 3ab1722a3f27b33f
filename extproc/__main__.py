"""`python -m extproc`: start the service, or look into a spool."""

import sys

import uvloop

from extproc import inspect_spool
from extproc.app import run
from extproc.ports import SpoolBusy, SpoolUnavailable
from extproc.settings import ExtprocSettings
from ias import logs
from ias.settings import load_or_exit

_SUMMARY = """Follow requests through Envoy (ext_proc): count their tokens, record each as one usage event.

`python -m extproc inspect DIR` prints the records of a spool as JSON lines."""


def main() -> int:
    """Run the command line and return the exit status."""
    if sys.argv[1:2] == ["inspect"]:
        return inspect_spool.main(sys.argv[2:], sys.stdout.buffer)
    settings = load_or_exit(ExtprocSettings, "python -m extproc", _SUMMARY)
    logs.configure("extproc", settings.log_level)
    try:
        uvloop.run(run(settings))
    except (SpoolBusy, SpoolUnavailable, OSError) as error:
        sys.stderr.write(f"extproc: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
