"""The spool is full, because nobody takes its events: new requests are refused, those that run are recorded, and nothing is dropped."""

import asyncio
from pathlib import Path

from controlplane.usage.consumer import Consumer
from controlplane.usage.source_spool import SpoolSource
from tests.component.extproc.running import EnvoySide, extproc, fresh_context, say
from tests.support.engine_bytes import DONE, delta, sse, usage_chunk
from tests.support.ext_proc import FOLLOW, PASS, READ_STREAMED, UNAVAILABLE, chunk, last, request_headers, response_headers
from tests.support.usage_events import MemoryLedger
from tests.support.valkey import TestValkey

MOST = 5_000
"""Requests that a spool of this size can never hold."""


async def serve(envoy: EnvoySide, number: int) -> bool:
    """Make one request; whether it was let in."""
    stream = envoy.request()
    if await say(stream, request_headers(fresh_context(number))) == UNAVAILABLE:
        return False
    await say(stream, response_headers(204, end=True))
    return True


async def test_a_full_spool_refuses_new_requests_records_those_that_run_and_goes_on_when_there_is_room(tmp_path: Path, valkey: TestValkey) -> None:
    ledger = MemoryLedger()
    consumer = Consumer(SpoolSource([tmp_path / "spool"], ledger.bury), ledger, lambda: 0)
    live = fresh_context(MOST + 1)
    async with extproc(tmp_path, valkey.url, IAS_SPOOL_TOTAL_BYTES=str(1 << 20)) as running, running.envoy() as envoy:
        streaming = envoy.request()
        assert await say(streaming, request_headers(live)) == FOLLOW
        assert await say(streaming, response_headers()) == READ_STREAMED
        served = 0
        while await serve(envoy, served):
            served += 1
            assert served < MOST
        assert not await serve(envoy, served)
        await say(streaming, chunk(sse(delta("a")) + sse(usage_chunk()) + DONE))
        assert await say(streaming, last()) == PASS

        async with asyncio.timeout(30):
            while not await serve(envoy, served):  # room comes with the segments that were consumed
                while await consumer.step():
                    pass
                await asyncio.sleep(0.05)
    while await consumer.step():
        pass
    admitted = [fresh_context(number).request_id for number in (*range(served + 1), MOST + 1)]
    assert sorted(row.request_id for row in ledger.rows.values()) == sorted(admitted)
    assert ledger.rows[live.reservation_id].output_tokens == 3
