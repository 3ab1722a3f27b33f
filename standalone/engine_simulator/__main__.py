"""`python -m standalone.engine_simulator`: run one simulated engine."""

import argparse
import asyncio
import signal
from pathlib import Path

import uvloop

from standalone.engine_simulator.api_keys import demanding
from standalone.engine_simulator.app import Engine
from standalone.engine_simulator.behaviour import HEADER, Behaviour
from standalone.engine_simulator.http import serve
from standalone.engine_simulator.meters import Meters
from standalone.engine_simulator.model_server import ModelServer


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
    parser.add_argument(
        "--usage",
        choices=("asked", "never", "forced", "continuous"),
        default="asked",
        help="when usage is reported: as asked, never, at the end of every stream, or in every event (default: %(default)s)",
    )
    parser.add_argument("--traditional", action="store_true", help="serve a classifier over KServe's v1 and v2 instead, as a model server does")
    parser.add_argument("--api-key", action="append", default=[], help="answer 401 below /v1 without this key, as vLLM does; may be repeated")
    parser.add_argument("--journal", type=Path, help="write a JSON line for each request that ended to this file")
    arguments = parser.parse_args()
    names = tuple(filter(None, arguments.models.split(",")))
    if not names and not arguments.wildcard_models:
        parser.error("--models names none; use --wildcard-models to serve any name")
    default = Behaviour(tokens=arguments.tokens, pace_ms=arguments.pace_ms, usage=arguments.usage)
    kind = ModelServer if arguments.traditional else Engine
    uvloop.run(_run(kind(() if arguments.wildcard_models else names, default, Meters(arguments.journal)), arguments.api_key, arguments.listen))


async def _run(engine: Engine | ModelServer, api_keys: list[str], listen: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await serve(demanding(api_keys, engine.answer), listen)
    await stop.wait()
    server.close()
    engine.meters.close()


if __name__ == "__main__":
    main()
