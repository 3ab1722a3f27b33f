"""`python -m ratelimit`: Envoy's Rate Limit Service."""

import sys

import uvloop

from ias import logs
from ias.settings import load_or_exit
from ratelimit.app import run
from ratelimit.settings import RatelimitSettings


def main() -> None:
    """Run the service; exit 1 with a plain line when it cannot serve."""
    settings = load_or_exit(RatelimitSettings, "ratelimit", "Envoy's Rate Limit Service: exact token buckets, shared by all replicas.")
    logs.configure("ratelimit", settings.log_level)
    try:
        uvloop.run(run(settings))
    except OSError as error:
        print(f"ratelimit: {error}", file=sys.stderr)  # noqa: T201  (for whoever started it in a terminal)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
