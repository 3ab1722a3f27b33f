"""The process as it runs: killed, refused, drained, looked into. A grpcio client stands where Envoy does."""

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import msgspec
from redis import Redis

from ias import context
from ias.context import RequestContext
from ias.ids import uuid7_ms
from ias.spool_format import Closed, Grown
from ratelimit import layout
from ratelimit.memory_state import budget_key
from ratelimit.ports import Admission, Limit, Period, StoreUnavailable, TokenHold, Unit
from ratelimit.store_valkey import ValkeyAdmissionStore, connect
from tests.component.extproc.running import Running, extproc, fresh_context, say
from tests.support.engine_bytes import DONE, completion, delta, sse, usage_chunk
from tests.support.ext_proc import (
    CHANGE_STREAMED,
    PASS,
    PASS_THROUGH_US,
    READ_BUFFERED,
    UNAVAILABLE,
    chunk,
    last,
    request_body,
    request_headers,
    response_headers,
)
from tests.support.spools import closed_ids, opened_ids, outcomes, records
from tests.support.valkey import TestValkey
from tests.support.waiting import until

BUDGET = 1_000


@contextlib.asynccontextmanager
async def admissions(valkey: TestValkey, claim_ttl_ms: int = 1_500) -> AsyncIterator[ValkeyAdmissionStore]:
    store = connect(valkey.url, deadline_ms=2_000, claim_ttl_ms=claim_ttl_ms)
    try:
        yield store
    finally:
        await store.aclose()


async def admitted(store: ValkeyAdmissionStore, entropy: int, held: int = 0, **changes: Any) -> RequestContext:
    """Admit a request as extauth does, with a hold in the monthly budget of its org."""
    asked = fresh_context(entropy, reservation_id="", prompt_tokens=10, **changes)
    limits = (Limit("budget of the org", "org", 0, 1, BUDGET, Unit.TOKENS, Period.MONTH),)
    admission = Admission(asked.org_id, entropy, limits, context.encode(asked), tokens=TokenHold(held), user_id=asked.user_id, key_id=asked.key_id)
    (decision,) = await store.admit([admission])
    while decision.unseeded:
        for unseeded in decision.unseeded:
            await store.seed(unseeded.budget, unseeded.since_ms, 0)
        (decision,) = await store.admit([admission])
    assert decision.reservation_id is not None
    return msgspec.structs.replace(asked, reservation_id=decision.reservation_id, held_tokens=held)


async def budget(store: ValkeyAdmissionStore, of: RequestContext) -> tuple[int, int] | None:
    """Tokens (spent, held) of the org's budget; None: the store has no such counter."""
    try:
        (state,) = await store.budgets([budget_key(of.org_id, "org", Period.MONTH, uuid7_ms(uuid.UUID(of.reservation_id)))])
    except StoreUnavailable:
        return None
    return None if state is None else ((state.base or 0) + state.own, state.held)


async def until_budget(store: ValkeyAdmissionStore, of: RequestContext, spent: int, held: int) -> None:
    found = None
    try:
        async with asyncio.timeout(20):
            while (found := await budget(store, of)) != (spent, held):  # noqa: ASYNC110 -- the store has no event for it
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"spent and held are {found}, not {(spent, held)}") from None


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
        arrived, gone = [await admitted(store, entropy, held=100) for entropy in (1, 2)]
        stream = await envoy.admitted(arrived)
        await until(lambda: outcomes(running.spool))
        assert outcomes(running.spool) == {gone.reservation_id: "lost"}
        await until_budget(store, arrived, spent=0, held=100)
        assert await say(stream, response_headers(204, end=True)) == "response_headers"
        await until_budget(store, arrived, spent=0, held=0)
    assert outcomes(running.spool) == {arrived.reservation_id: "complete", gone.reservation_id: "lost"}


async def test_every_end_is_settled_to_what_was_used(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy, admissions(valkey) as store:
        contexts = [await admitted(store, entropy, held=100) for entropy in range(4)]
        complete, cut, refused, open_one = [await envoy.admitted(asked) for asked in contexts]
        for stream in (complete, cut):
            await say(stream, response_headers())
            await say(stream, chunk(sse(delta("a"))))
        await say(complete, last(sse(usage_chunk(prompt=11, completion=1)) + DONE))
        await cut.done_writing()
        await say(refused, response_headers(500, "text/plain"))
        await until_budget(store, contexts[0], spent=12 + 11, held=100)
        open_one.cancel()
        await until_budget(store, contexts[0], spent=12 + 11 + 10, held=0)


async def test_a_live_request_is_kept_alive_by_heartbeats(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url, IAS_HOLD_TTL_S="3") as running, running.envoy() as envoy, admissions(valkey) as store:
        asked = await admitted(store, 1, held=100)
        stream = await envoy.admitted(asked)
        deadlines: set[float] = set()
        with Redis.from_url(valkey.url) as client:
            async with asyncio.timeout(30):
                while len(deadlines) < 4:  # that of its admission, of its claim, and of two beats
                    deadlines.add(client.zscore(layout.due(asked.org_id), asked.reservation_id) or 0)
                    await asyncio.sleep(0.02)
        assert await say(stream, response_headers(204, end=True)) == "response_headers"
        await until_budget(store, asked, spent=0, held=0)


async def grow(stream: Any, until_said: Callable[[str], bool]) -> str:
    """Let the answer grow piece by piece, until a reply is what was waited for; a slow store may have to be asked several times."""
    said = ""
    async with asyncio.timeout(60):
        while not until_said(said):
            await stream.write(chunk(sse(delta("a")) * 9))
            said = await asyncio.wait_for(stream.read(), 30)
    return said


async def test_kill_9_charges_what_was_held_with_its_top_ups(tmp_path: Path, valkey: TestValkey) -> None:
    async with admissions(valkey, claim_ttl_ms=60_000) as store:  # however long a start takes, only the spool says that it was lost
        asked = await admitted(store, 1, held=12, top_up_tokens=50)
        async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy:

            def grown() -> list[int]:
                return [record.held_tokens for record in records(running.spool) if isinstance(record, Grown)]

            stream = await envoy.admitted(asked)
            assert await say(stream, response_headers()) == PASS_THROUGH_US
            await grow(stream, lambda _: bool(grown()))
            await running.kill()
        held = grown()[-1]
        async with extproc(tmp_path, valkey.url):
            await until_budget(store, asked, spent=held, held=0)
    (event,) = [record.event for record in records(running.spool) if isinstance(record, Closed)]
    assert (event.outcome, event.input_tokens, event.output_tokens) == ("lost", 10, held - 10)


async def test_a_refused_top_up_ends_the_stream(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url) as running, running.envoy() as envoy, admissions(valkey) as store:
        await admitted(store, 1, held=BUDGET - 20)
        asked = await admitted(store, 2, held=12, top_up_tokens=50)
        stream = await envoy.admitted(asked)
        await say(stream, response_headers())
        said = await grow(stream, lambda reply: reply.endswith(" and ends"))
        assert '"finish_reason":"length"' in said
        assert said.endswith("data: [DONE]\n\n and ends")
        assert await stream.read() is grpc.aio.EOF
        await until(lambda: outcomes(running.spool))
    assert outcomes(running.spool) == {asked.reservation_id: "complete"}


async def test_it_serves_while_valkey_hangs_and_settles_later(tmp_path: Path, valkey: TestValkey) -> None:
    async with (
        extproc(tmp_path, valkey.url, IAS_REAP_INTERVAL_S="60") as running,
        running.envoy() as envoy,
        admissions(valkey, claim_ttl_ms=60_000) as store,
    ):
        asked = await admitted(store, 1, held=100)
        with valkey.frozen():
            stream = await envoy.admitted(asked)
            assert await say(stream, response_headers(200, "application/json", content_length="200")) == READ_BUFFERED
            assert await say(stream, last(completion())) == PASS
            assert outcomes(running.spool) == {asked.reservation_id: "complete"}
        await until_budget(store, asked, spent=14, held=0)


async def test_what_a_valkey_that_lost_everything_is_told_of_live_requests(tmp_path: Path, valkey: TestValkey) -> None:
    async with extproc(tmp_path, valkey.url, IAS_HOLD_TTL_S="3") as running, running.envoy() as envoy, admissions(valkey) as store:
        asked = await admitted(store, 1, held=100)
        stream = await envoy.admitted(asked)
        with Redis.from_url(valkey.url) as client:
            client.flushall()
        async with asyncio.timeout(20):
            while (await budget(store, asked) or (0, 0))[1] != 100:  # noqa: ASYNC110 -- the store has no event for it
                await asyncio.sleep(0.05)
        assert await say(stream, response_headers(204, end=True)) == "response_headers"
        async with asyncio.timeout(20):
            while (await budget(store, asked) or (0, 100))[1] != 0:  # noqa: ASYNC110 -- the store has no event for it
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
        assert [(line["segment"], line["type"]) for line in lines[:2]] == [(1, "opened"), (1, "closed")]
        assert lines[1]["event"]["outcome"] == "upstream_error"
    assert {type(record).__name__ for record in records(running.spool)} >= {"Opened", "Closed"}
    (running.spool / "000000000009.spool").write_bytes(b"nonsense")
    assert inspect(running).returncode == 1
    assert "is not a spool segment" in inspect(running).stderr


def inspect(running: Running) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "extproc", "inspect", str(running.spool)], capture_output=True, text=True, check=False)


def test_inspect_says_plainly_that_there_is_no_spool(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "extproc", "inspect", str(tmp_path / "no")], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, f"extproc: {tmp_path / 'no'} is not a directory\n")
