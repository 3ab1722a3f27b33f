"""`python -m extauth`: decides for Envoy who may call which model."""

import sys

import uvloop

from extauth.app import run
from extauth.settings import ExtauthSettings
from ias import logs
from ias.settings import load_or_exit


def main() -> None:
    """Run the service; exit 1 with a plain line when it cannot serve."""
    settings = load_or_exit(ExtauthSettings, "extauth", "Envoy's external authorization: API keys, model access and rate limits.")
    logs.configure("extauth", settings.log_level)
    try:
        uvloop.run(run(settings))
    except OSError as error:
        print(f"extauth: {error}", file=sys.stderr)  # noqa: T201  (for whoever started it in a terminal)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
