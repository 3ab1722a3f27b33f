"""The process as it runs: killed, refused, drained, looked into. A grpcio client stands where Envoy does."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from ias import context
from ratelimit.ports import Admission
from ratelimit.store_valkey import ValkeyAdmissionStore, connect
from tests.component.extproc.running import Running, extproc, fresh_context, say
from tests.support.engine_bytes import DONE, completion, delta, sse, usage_chunk
from tests.support.ext_proc import CHANGE_STREAMED, PASS, READ_BUFFERED, UNAVAILABLE, chunk, last, request_body, request_headers, response_headers
from tests.support.spools import closed_ids, opened_ids, outcomes, records
from tests.support.usage_events import some_id
from tests.support.valkey import TestValkey
from tests.support.waiting import until


@contextlib.asynccontextmanager
async def admissions(valkey: TestValkey, claim_ttl_ms: int = 1_500) -> AsyncIterator[ValkeyAdmissionStore]:
    store = connect(valkey.url, deadline_ms=2_000, claim_ttl_ms=claim_ttl_ms)
    yield store
    await store.aclose()


async def admitted(store: ValkeyAdmissionStore, entropy: int) -> str:
    """Admit a request as extauth does and return its reservation."""
    (decision,) = await store.admit([Admission(some_id(1), entropy, (), context.encode(fresh_context(reservation_id="")))])
    assert decision.reservation_id is not None
    return decision.reservation_id


async def test_a_stream_is_followed_to_its_end(tmp_path: Path, valkey: TestValkey) -> None:
    asked = fresh_context(add_usage=True)
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:
        stream = await envoy.admitted(asked)
        assert "+content-length=" in await say(stream, request_body(b'{"model":"chat"}'))
        assert await say(stream, response_headers()) == CHANGE_STREAMED
        assert await say(stream, chunk(sse(delta("a")))) == PASS
        assert await say(stream, chunk(sse(usage_chunk()) + DONE)) == f"response_body becomes {DONE.decode()}"
        assert await say(stream, last()) == PASS
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        await until(lambda: running.has_logged("request"))
    assert outcomes(running.spool) == {asked.reservation_id: "complete"}
    line = next(line for line in running.log if line["message"] == "request")
    assert (line["request_id"], line["input_tokens"], line["output_tokens"]) == (asked.request_id, 11, 3)


async def test_kill_9_in_the_middle_of_streams_loses_no_request_and_doubles_none(tmp_path: Path, valkey: TestValkey) -> None:
    contexts = [fresh_context(number, stream=number % 2 == 0) for number in range(12)]
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:
        streams = [await envoy.admitted(asked) for asked in contexts]
        for number, stream in enumerate(streams[:10]):
            kind = response_headers() if number % 2 == 0 else response_headers(200, "application/json", content_length="200")
            assert (await say(stream, kind)).startswith("response_headers")
        for stream in streams[:8:2]:
            await say(stream, chunk(sse(delta("a"))))
        await say(streams[0], last(DONE))
        await say(streams[1], last(completion()))
        streams[2].cancel()
        await streams[4].done_writing()
        await until(lambda: len(outcomes(running.spool)) == 4)
        await running.kill()
    for _ in range(2):
        async with extproc(tmp_path, valkey.url):
            pass

    expected = {asked.reservation_id: "lost" for asked in contexts}
    expected |= {contexts[0].reservation_id: "complete", contexts[1].reservation_id: "complete"}
    expected |= {contexts[2].reservation_id: "client_abort", contexts[4].reservation_id: "client_abort"}
    assert outcomes(running.spool) == expected
    assert closed_ids(running.spool) == dict.fromkeys(expected, 1)


async def test_requests_under_way_while_it_is_killed_are_recorded_if_they_were_answered(tmp_path: Path, valkey: TestValkey) -> None:
    answered: set[str] = set()

    async def visit(number: int) -> None:
        asked = fresh_context(number)
        stream = envoy.request()
        await stream.write(request_headers(asked))
        await stream.read()
        answered.add(asked.reservation_id)
        for message in (response_headers(), chunk(sse(delta("a"))), last(DONE)):
            await say(stream, message)

    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:
        visits = [asyncio.ensure_future(visit(number)) for number in range(300)]
        await until(lambda: len(answered) >= 40, every_s=0)
        await running.kill()
        results = await asyncio.gather(*visits, return_exceptions=True)
    assert any(isinstance(result, grpc.aio.AioRpcError) for result in results), "it was killed in the middle"
    async with extproc(tmp_path, valkey.url):
        pass

    closed = closed_ids(running.spool)
    assert answered <= set(closed)
    assert set(closed) == opened_ids(running.spool)
    assert set(closed.values()) == {1}


async def test_an_admitted_request_that_never_arrived_is_closed_and_a_live_one_is_not(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy, admissions(valkey) as store:
        arrived, gone = [await admitted(store, entropy) for entropy in (1, 2)]
        stream = await envoy.admitted(fresh_context(reservation_id=arrived))
        await until(lambda: outcomes(running.spool))
        assert outcomes(running.spool) == {gone: "lost"}
        assert await say(stream, response_headers(204, end=True)) == "response_headers"
    assert outcomes(running.spool) == {arrived: "complete", gone: "lost"}


async def test_it_serves_while_valkey_hangs_and_claims_later(tmp_path: Path, valkey: TestValkey) -> None:
    async with (
        extproc(tmp_path, valkey.url, IAS_REAP_INTERVAL_S="60") as running,
        running.envoy() as envoy,
        admissions(valkey, claim_ttl_ms=100) as store,
    ):
        reservation_id = await admitted(store, 1)
        with valkey.frozen():
            stream = await envoy.admitted(fresh_context(reservation_id=reservation_id))
            assert await say(stream, response_headers(200, "application/json", content_length="200")) == READ_BUFFERED
            assert await say(stream, last(completion())) == PASS
            assert outcomes(running.spool) == {reservation_id: "complete"}
        async with asyncio.timeout(15):
            while await store.unclaimed():  # noqa: ASYNC110 -- the store has no event for it
                await asyncio.sleep(0.05)


async def test_a_second_process_on_the_same_spool_is_refused(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url), extproc(tmp_path, valkey.url, ready=False) as second:
        assert await asyncio.wait_for(second.process.wait(), 30) == 1
    assert second.said == f"extproc: the spool {second.spool} belongs to another running extproc; give each process its own IAS_SPOOL_DIR\n"


async def test_a_full_disk_refuses_new_requests_and_no_recorded_one_is_lost(tmp_path: Path, valkey: TestValkey) -> None:
    """The limit on the size of its files stands for the full disk: the kernel refuses the same call in the same place."""
    wrap = ("sh", "-c", 'ulimit -f 4; exec "$@"', "sh")
    replies: list[str] = []
    async with extproc(tmp_path, valkey.url, wrap=wrap) as running, running.envoy() as envoy:
        while UNAVAILABLE not in replies:
            replies.append(await say(envoy.request(), request_headers(fresh_context(len(replies)))))
            assert len(replies) < 100
        await until(lambda: running.has_logged("request refused, it could not be recorded"))
        recorded = opened_ids(running.spool)
        assert len(recorded) == len(replies) - 1
        await running.kill()
    async with extproc(tmp_path, valkey.url):
        pass
    assert closed_ids(running.spool) == dict.fromkeys(recorded, 1)


async def test_sigterm_lets_live_streams_finish(tmp_path: Path, valkey: TestValkey) -> None:
    asked = fresh_context()
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:
        stream = await envoy.admitted(asked)
        running.process.terminate()
        await until(lambda: running.has_logged("extproc drains"))
        await say(stream, response_headers())
        assert await say(stream, last(sse(usage_chunk()) + DONE)) == PASS
        assert await asyncio.wait_for(running.process.wait(), 10) == 0
    assert outcomes(running.spool) == {asked.reservation_id: "complete"}


async def test_streams_that_outlast_the_drain_are_cut_and_recorded(tmp_path: Path, valkey: TestValkey) -> None:
    asked = fresh_context()
    async with extproc(tmp_path, valkey.url, IAS_DRAIN_S="0.2") as running, running.envoy() as envoy:
        stream = await envoy.admitted(asked)
        running.process.terminate()
        assert await asyncio.wait_for(stream.code(), 10) is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.wait_for(running.process.wait(), 10) == 0
    assert outcomes(running.spool) == {asked.reservation_id: "lost"}


async def test_inspect_prints_a_spool_as_json_lines(tmp_path: Path, valkey: TestValkey) -> None:
    asked = fresh_context()
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:
        await say(await envoy.admitted(asked), response_headers(500, "text/plain"))
        printed = inspect(running)
        assert printed.returncode == 0
        lines = [json.loads(line) for line in printed.stdout.splitlines()]
        assert [(line["segment"], line["type"]) for line in lines] == [(1, "opened"), (1, "closed")]
        assert lines[1]["event"]["outcome"] == "upstream_error"
    assert len(records(running.spool)) == 2
    (running.spool / "000000000009.spool").write_bytes(b"nonsense")
    assert inspect(running).returncode == 1
    assert "is not a spool segment" in inspect(running).stderr


def inspect(running: Running) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "extproc", "inspect", str(running.spool)], capture_output=True, text=True, check=False)


def test_inspect_says_plainly_that_there_is_no_spool(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "extproc", "inspect", str(tmp_path / "no")], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, f"extproc: {tmp_path / 'no'} is not a directory\n")
