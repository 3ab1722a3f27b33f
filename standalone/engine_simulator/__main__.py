"""`python -m standalone.engine_simulator`: run one simulated engine."""

import argparse

import uvicorn

from standalone.engine_simulator.app import Engine, create_app
from standalone.engine_simulator.behaviour import HEADER, Behaviour
from standalone.engine_simulator.connection import ResettableProtocol


def main() -> None:
    """Read the arguments and serve until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m standalone.engine_simulator",
        description="An OpenAI-compatible engine without a model, with vLLM's surface and counters."
        f" A request may ask for faults in its header {HEADER}.",
    )
    parser.add_argument("--listen", default="127.0.0.1:8000", help="host:port or unix:/path (default: %(default)s)")
    parser.add_argument("--models", default="sim-chat,sim-small", help="names of the models, separated by commas (default: %(default)s)")
    parser.add_argument("--wildcard-models", action="store_true", help="serve any model name")
    parser.add_argument("--tokens", type=int, default=16, help="natural length of an answer (default: %(default)s)")
    parser.add_argument("--pace-ms", type=int, default=20, help="pause before each token (default: %(default)s)")
    arguments = parser.parse_args()
    names = tuple(filter(None, arguments.models.split(",")))
    if not names and not arguments.wildcard_models:
        parser.error("--models names none; use --wildcard-models to serve any name")
    engine = Engine(models=() if arguments.wildcard_models else names, default=Behaviour(tokens=arguments.tokens, pace_ms=arguments.pace_ms))
    unix = arguments.listen.startswith("unix:")
    host, _, port = arguments.listen.rpartition(":")
    config = uvicorn.Config(
        create_app(engine),
        host=host.strip("[]"),
        port=0 if unix else int(port),
        uds=arguments.listen.removeprefix("unix:") if unix else None,
        http=ResettableProtocol,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
