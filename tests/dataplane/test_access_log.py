"""What Envoy writes of each request, as an operator reads it."""

import asyncio
import json
from pathlib import Path

from tests.dataplane.conftest import MODEL, StartDataplane


async def test_a_line_tells_which_model_was_asked_and_how_it_ended(start_dataplane: StartDataplane, home: Path) -> None:
    path = home / "access.log"
    async with start_dataplane(access_log_path=str(path)) as dataplane:
        assert (await dataplane.chat()).status_code == 200
        dataplane.envoy.process.terminate()  # then it writes what it has
        await asyncio.to_thread(dataplane.envoy.process.wait, 20)
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["route"], line["method"], line["path"], line["status"]) == (MODEL, "POST", "/v1/chat/completions", 200)
