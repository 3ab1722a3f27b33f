"""The admission store on Valkey: one pipeline for a batch, one script call for each admission in it.

No request waits longer than the deadline. A call that is still unanswered then is left to end by itself: until it has,
further calls fail at once, so that a silent server costs one deadline and not one for each request. A script that a
frozen server runs after waking finds itself past `not_after` and does nothing; one that ran in time but answered too
late has its reservations claimed, because the request was decided without them.
"""

import asyncio
import hashlib
import time
from collections.abc import Coroutine, Sequence
from importlib import resources
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from ias.ids import uuid7_tail
from ratelimit import layout
from ratelimit.ports import Admission, Decision, LimitState, StoreUnavailable, Unclaimed
from ratelimit.server_clock import ServerClock

_ADMIT = resources.files("ratelimit").joinpath("admit.lua").read_text()
_ADMIT_SHA = hashlib.sha1(_ADMIT.encode(), usedforsecurity=False).hexdigest()
_FORGET = resources.files("ratelimit").joinpath("forget.lua").read_text()
_LATE, _ADMITTED = 0, 1
_NOTE_ORG_MS = 30_000
_FORGET_ORG_MS = 300_000
"""Many times `_NOTE_ORG_MS`: an org this old in the index is one that no replica believes it has just noted."""
_LOOP_LATE_MS = 5
"""A deadline that we notice later than this says that our own loop was busy, and nothing about the store: it gets its time once more."""

_Command = tuple[str | int | bytes, ...]


def connect(url: str, deadline_ms: int = 20, claim_ttl_ms: int = 10_000) -> "ValkeyAdmissionStore":
    """Make the store for a `redis://` or `unix://` URL; connects at the first call. Retries are off: a repeated admission charges twice."""
    client = Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=1,
        socket_connect_timeout=1,
        max_connections=256,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return ValkeyAdmissionStore(client, deadline_ms, claim_ttl_ms)


class ValkeyAdmissionStore:
    """Takes the client over and closes it."""

    def __init__(self, client: Redis, deadline_ms: int, claim_ttl_ms: int) -> None:
        self._client = client
        self._deadline_ms = deadline_ms
        self._claim_ttl_ms = claim_ttl_ms
        self._clock = ServerClock()
        self._noted: dict[str, float] = {}
        self._silent: set[asyncio.Task[list[Decision]]] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let what runs end, then close the connections."""
        if self._silent:
            await asyncio.wait(self._silent)
        if self._background:
            await asyncio.wait(self._background)
        await self._client.aclose()

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        if self._silent:
            raise StoreUnavailable("an earlier call is still unanswered")
        call = asyncio.ensure_future(self._admit(admissions))
        started = _local_ms()
        try:
            await asyncio.wait({call}, timeout=self._deadline_ms / 1000)
            if _local_ms() - started > self._deadline_ms + _LOOP_LATE_MS:
                await asyncio.wait({call}, timeout=self._deadline_ms / 1000)
        finally:
            if not call.done():
                self._silent.add(call)
                call.add_done_callback(lambda _: self._ended_late(admissions, call))
        if not call.done():
            raise StoreUnavailable(f"no answer within {self._deadline_ms} ms")
        return call.result()

    async def claim(self, reservations: Sequence[tuple[str, str]]) -> None:
        by_org: dict[str, list[str]] = {}
        for org_id, reservation_id in reservations:
            by_org.setdefault(org_id, []).append(reservation_id)
        commands: list[_Command] = []
        for org_id, ids in by_org.items():
            # The deadline first: a record without one expires, a deadline without a record would be found for ever.
            commands += [("ZREM", layout.due(org_id), *ids), ("HDEL", layout.opened(org_id), *ids)]
        _raise_first(await self._run(commands))

    async def unclaimed(self, limit: int = 1_000) -> list[Unclaimed]:
        now = await self._server_now()
        (orgs,) = _raise_first(await self._run([("ZRANGE", layout.ORGS, 0, -1, "WITHSCORES")]))
        noted = {org.decode(): float(score) for org, score in _pairs(orgs)}
        due = _raise_first(await self._run([("ZRANGE", layout.due(org), "-inf", now, "BYSCORE", "LIMIT", 0, limit) for org in noted]))
        found = [(org, ids) for org, ids in zip(noted, due, strict=True) if ids]
        claims = _raise_first(await self._run([("HMGET", layout.opened(org), *ids) for org, ids in found]))
        await self._forget_idle([org for org, score in noted.items() if score < now - _FORGET_ORG_MS], now)
        open_ones = [
            Unclaimed(org, rid.decode(), claim)
            for (org, ids), kept in zip(found, claims, strict=True)
            for rid, claim in zip(ids, kept, strict=True)
            if claim is not None
        ]
        return open_ones[:limit]

    async def _admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        if not self._clock.known:
            await self._server_now()
        sent = _local_ms()
        fresh = [org for org in {a.org_id for a in admissions} if sent - self._noted.get(org, -_NOTE_ORG_MS) >= _NOTE_ORG_MS]
        server_now = self._clock.at(sent)
        note = [("ZADD", layout.ORGS, "GT", server_now, org) for org in fresh]
        not_after = server_now + 2 * self._deadline_ms
        calls = [self._command(admission, not_after) for admission in admissions]
        replies = (await self._run([*note, *calls]))[len(note) :]
        replies = await self._retry_without_script(calls, replies)
        received = _local_ms()
        for reply in replies:
            if isinstance(reply, list):
                self._clock.observe(sent, received, reply[0])
        self._noted.update(dict.fromkeys(fresh, sent))
        return self._decisions(admissions, replies)

    def _decisions(self, admissions: Sequence[Admission], replies: Sequence[Any]) -> list[Decision]:
        if all(isinstance(reply, list) and reply[1] != _LATE for reply in replies):
            return [_decision(admission, reply) for admission, reply in zip(admissions, replies, strict=True)]
        # Part of the batch failed, so all of it is decided elsewhere: what was admitted here must not be found unclaimed.
        admitted = [
            (a.org_id, reply[2].decode()) for a, reply in zip(admissions, replies, strict=True) if isinstance(reply, list) and reply[1] == _ADMITTED
        ]
        self._start(self._claim_quietly(admitted))
        failure = next((reply for reply in replies if isinstance(reply, Exception)), "the call came too late")
        raise StoreUnavailable(str(failure))

    def _command(self, admission: Admission, not_after_ms: int) -> _Command:
        org_id = admission.org_id
        keys = [layout.opened(org_id), layout.due(org_id), *(layout.bucket(org_id, limit) for limit in admission.limits)]
        rules = [number for limit in admission.limits for number in (limit.refill, limit.period_ms, limit.capacity)]
        tail = uuid7_tail(admission.reservation_entropy)
        head = (not_after_ms, tail, admission.claim, self._claim_ttl_ms, layout.OPEN_TTL_MS, admission.cost)
        return ("EVALSHA", _ADMIT_SHA, len(keys), *keys, *head, *rules)

    async def _retry_without_script(self, calls: Sequence[_Command], replies: list[Any]) -> list[Any]:
        """A restarted or flushed server has forgotten the script: load it and repeat what it could not run."""
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if missing:
            _raise_first(await self._run([("SCRIPT LOAD", _ADMIT)]))
            for i, reply in zip(missing, await self._run([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        return replies

    async def _server_now(self) -> int:
        sent = _local_ms()
        ((seconds, micros),) = _raise_first(await self._run([("TIME",)]))
        now: int = seconds * 1000 + micros // 1000
        self._clock.observe(sent, _local_ms(), now)
        return now

    async def _forget_idle(self, orgs: Sequence[str], now: int) -> None:
        counts = _raise_first(await self._run([("ZCARD", layout.due(org)) for org in orgs]))
        idle = [org for org, count in zip(orgs, counts, strict=True) if count == 0]
        _raise_first(await self._run([("EVAL", _FORGET, 1, layout.ORGS, org, now - _FORGET_ORG_MS) for org in idle]))
        self._noted = {org: at for org, at in self._noted.items() if at > _local_ms() - _NOTE_ORG_MS}

    async def _run(self, commands: Sequence[_Command]) -> list[Any]:
        """One pipeline, one round trip; errors of single commands come back in place of their reply."""
        if not commands:
            return []
        pipeline: Pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error

    def _ended_late(self, admissions: Sequence[Admission], call: "asyncio.Task[list[Decision]]") -> None:
        self._silent.discard(call)
        if call.cancelled() or call.exception() is not None:
            return
        admitted = [(a.org_id, d.reservation_id) for a, d in zip(admissions, call.result(), strict=True) if d.reservation_id is not None]
        self._start(self._claim_quietly(admitted))

    async def _claim_quietly(self, reservations: Sequence[tuple[str, str]]) -> None:
        try:
            await self.claim(reservations)
        except StoreUnavailable:
            return  # the reaper will close them as lost: an event too many, never one too few

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _decision(admission: Admission, reply: Sequence[Any]) -> Decision:
    numbers = reply[3:]
    states = tuple(LimitState(limit, *numbers[3 * i : 3 * i + 3]) for i, limit in enumerate(admission.limits))
    return Decision(reply[2].decode() if reply[1] == _ADMITTED else None, states)


def _raise_first(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise StoreUnavailable(str(reply)) from reply
    return replies


def _pairs(reply: Sequence[Any]) -> list[tuple[bytes, Any]]:
    """`WITHSCORES` comes flat in RESP2 and as pairs in RESP3, and the client may or may not pair it."""
    if reply and isinstance(reply[0], (list, tuple)):
        return [(member, score) for member, score in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


def _local_ms() -> float:
    return time.monotonic() * 1000
