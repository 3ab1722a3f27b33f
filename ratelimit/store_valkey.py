"""The admission store on Valkey: one script call for each admission, one round trip for a batch.

No request waits longer than the deadline (`ratelimit/resp.py`). A script that a frozen server runs after waking finds itself past
`not_after` and does nothing; one that ran in time but answered too late has its reservations released, because the request was
decided without them. Two connections: what nobody waits for (heartbeats, settlements, sweeps) never stands in the way of an admission.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ias.ids import uuid7_tail
from ratelimit import index, layout
from ratelimit.holds import Offer
from ratelimit.learning import per_kilobyte
from ratelimit.ports import (
    MAX_TOKENS,
    MAX_TTL_MS,
    Admission,
    BudgetKey,
    BudgetState,
    Decision,
    Held,
    Learned,
    LimitState,
    Reservation,
    Sample,
    StoreUnavailable,
    Swept,
    Unseeded,
)
from ratelimit.resp import Address, Replies, ReplyError
from ratelimit.script_runner import Call, ScriptRunner, local_ms
from ratelimit.scripts import SCRIPTS, Script
from ratelimit.server_clock import ServerClock

_T = TypeVar("_T")
_ADMITTED, _UNSEEDED = 1, 3
_HELD = {0: Held.UNKNOWN, 1: Held.GRANTED, 2: Held.OVER}
_BACKGROUND_MS = 1_000
"""The deadline of what no client waits for: heartbeats, settlements, sweeps."""
_SWEPT_AT_ONCE = 100
"""A script call of this many takes a few milliseconds, in which nobody is admitted."""
_PAGE = 200
"""So many calls, or reservations of one call, go out together: a few milliseconds too."""


def connect(
    url: str, deadline_ms: int = 20, claim_ttl_ms: int = 10_000, loop_was_late: Callable[[float], None] = lambda _: None
) -> "ValkeyAdmissionStore":
    """Make the store for a `redis://`, `rediss://` or `unix://` URL (else ValueError); connects at the first call."""
    return ValkeyAdmissionStore(Address.parse(url), deadline_ms, claim_ttl_ms, loop_was_late=loop_was_late)


class ValkeyAdmissionStore:
    """`claim_ttl_ms` is how long a reservation lives that nobody extends. Admissions are never tried again: they would charge twice.

    `loop_was_late`: for calls that somebody waits for, as `ratelimit.resp.RespClient` says.
    """

    def __init__(
        self,
        address: Address,
        deadline_ms: int,
        claim_ttl_ms: int,
        scripts: Mapping[str, Script] = SCRIPTS,
        clock: ServerClock | None = None,
        loop_was_late: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._claim_ttl_ms = _ttl(claim_ttl_ms)
        self._clock = clock or ServerClock()
        self._urgent = ScriptRunner(address, scripts, self._clock, deadline_ms, loop_was_late)
        self._background = ScriptRunner(address, scripts, self._clock, _BACKGROUND_MS)
        self._noted, self._noted_again = index.Noted(), index.Noted()
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let what runs end, then close the connections."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._urgent.aclose()
        await self._background.aclose()

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        if not admissions:
            return []
        until = self._urgent.until()
        connections = self._urgent.connections or await self._urgent.connect(until)
        not_after = await self._urgent.not_after(until)
        sent = local_ms()
        fresh = self._noted.fresh([a.org_id for a in admissions], sent, connections)
        note = index.note(fresh, self._clock.at(sent), self._claim_ttl_ms)
        known = self._clock.latest(sent)
        calls = [self._urgent.command(self._admission(admission, known), not_after) for admission in admissions]
        replies = await self._urgent.send([*note, *calls], until, lambda late: self._release(admissions, late[len(note) :]))
        replies = replies[len(note) :]
        if all(isinstance(reply, list) and len(reply) > 1 for reply in replies):
            self._noted.add(fresh, sent)
            return [_decision(admission, reply) for admission, reply in zip(admissions, replies, strict=True)]
        # Part of the batch failed, so all of it is decided elsewhere: what was admitted here must hold nothing.
        self._release(admissions, replies)
        raise StoreUnavailable(str(next((reply for reply in replies if isinstance(reply, ReplyError)), "the call came too late")))

    async def extend(self, reservations: Sequence[Reservation], ttl_ms: int, used: Mapping[str, int] | None = None) -> list[Held]:
        by_org = _by_org((r.org_id, r.reservation_id) for r in reservations)
        so_far = used or {}
        pages = [(org, ids) for org, every in by_org.items() for ids in _pages(every)]
        found: dict[tuple[str, str], Held] = {}
        for page in _pages(pages):
            calls = [(org, [word for rid in ids for word in (rid, min(so_far.get(rid, 0), MAX_TOKENS))]) for org, ids in page]
            replies = await self._background.run([("extend", org, (_ttl(ttl_ms), *words)) for org, words in calls])
            for (org, ids), reply in zip(page, replies, strict=True):
                found |= {(org, rid): _HELD[n] for rid, n in zip(ids, reply[1:], strict=True)}
        await self._note(list(by_org), ttl_ms)
        return [found[r.org_id, r.reservation_id] for r in reservations]

    async def top_up(self, reservation: Reservation, tokens: int) -> Held:
        ((_, held),) = await self._urgent.run([("top_up", reservation.org_id, (reservation.reservation_id, tokens))])
        return _HELD[held]

    async def hold_again(self, reservation: Reservation, tokens: int, ttl_ms: int) -> None:
        r = reservation
        await self._background.now()
        known = self._clock.latest(local_ms())
        await self._background.run([("hold_again", r.org_id, (known, r.reservation_id, _ttl(ttl_ms), r.user_id, r.key_id, tokens))])
        await self._note([r.org_id], ttl_ms)

    async def settle(self, settlements: Sequence[tuple[Reservation, int]], samples: Mapping[str, Sample] | None = None) -> None:
        for page in _pages(settlements):
            by_org: dict[str, list[str | int]] = {}
            for r, tokens in page:
                by_org.setdefault(r.org_id, []).extend(_settlement(r, tokens, (samples or {}).get(r.reservation_id)))
            await self._background.run([("settle", org, tuple(every)) for org, every in by_org.items()])

    async def sweep(self, limit: int = 1_000) -> list[Swept]:
        found: list[Swept] = []
        now = await self._background.now()
        (orgs,) = await self._background.ask([index.to_look_at(now)])
        for page in _pages([org.decode() for org in orgs]):
            replies = await self._background.run([("sweep", org, (min(limit, _SWEPT_AT_ONCE),)) for org in page])
            for org, (_, _, *swept) in zip(page, replies, strict=True):
                found += [Swept(org, rid.decode(), claimed == 1, tokens, claim) for rid, claimed, tokens, claim in _tuples(swept, 4)]
            next_looks = [(org, reply[1]) for org, reply in zip(page, replies, strict=True)]
            await self._background.ask([index.looked(self._background.sha["look"], next_looks, now)])
            if len(found) >= limit:
                break
        return found[:limit]

    async def reported(self, reservations: Sequence[tuple[str, str]]) -> None:
        by_org = _by_org(reservations)
        await self._background.run([("reported", org, tuple(ids)) for org, every in by_org.items() for ids in _pages(every, _SWEPT_AT_ONCE)])

    async def seed(self, budget: BudgetKey, since_ms: int, base: int, was: int | None = None) -> bool:
        counter = (layout.KIND[budget.calendar], budget.scope, budget.start_ms, since_ms)
        ((_, done),) = await self._urgent.run([("seed", budget.org_id, (*counter, base, "" if was is None else was))])
        return bool(done)

    async def budgets(self, keys: Sequence[BudgetKey]) -> list[BudgetState | None]:
        replies: Replies = []
        for page in _pages(keys):
            replies += await self._background.ask([("GET", layout.counter(key)) for key in page])
        return [_budget(key, reply) for key, reply in zip(keys, replies, strict=True)]

    def _admission(self, a: Admission, known_ms: int) -> Call:
        offer = Offer.of(a.tokens)
        who = (a.user_id, a.key_id, a.publication_id)
        hold = (offer.full, offer.full_from, offer.reduced, offer.least)
        what = (known_ms, uuid7_tail(a.reservation_entropy), a.claim, self._claim_ttl_ms)
        return ("admit", a.org_id, (*what, *who, a.cost, *hold, *map(layout.rule, a.limits)))

    async def _note(self, orgs: Sequence[str], ttl_ms: int) -> None:
        """An emptied server has forgotten the index too: who still holds is to be found."""
        connections, sent = await self._background.connect(), local_ms()
        fresh = self._noted_again.fresh(orgs, sent, connections)
        if fresh:
            await self._background.ask(index.note(fresh, self._clock.at(sent), ttl_ms))
            self._noted_again.add(fresh, sent)

    def _release(self, admissions: Sequence[Admission], replies: Replies) -> None:
        """Nobody will hear of these reservations: the request was decided without them."""
        gone = [
            (Reservation(a.org_id, a.user_id, a.key_id, reply[2].decode()), 0)
            for a, reply in zip(admissions, replies, strict=True)
            if isinstance(reply, list) and len(reply) > 1 and reply[1] == _ADMITTED
        ]
        if gone:
            self._start(self._settle_quietly(gone))

    async def _settle_quietly(self, gone: Sequence[tuple[Reservation, int]]) -> None:
        try:
            await self.settle(gone)
        except StoreUnavailable:
            return  # the reaper will close them as lost: an event too many, never one too few

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settlement(r: Reservation, tokens: int, sample: Sample | None) -> tuple[str | int, ...]:
    lesson: tuple[str | int, ...] = ("", -1, 0) if sample is None else (sample.publication_id, per_kilobyte(sample), sample.output_tokens)
    return (r.reservation_id, min(tokens, MAX_TOKENS), int(r.in_store), r.user_id, r.key_id, *lesson)


def _decision(admission: Admission, reply: Sequence[Any]) -> Decision:
    if reply[1] == _UNSEEDED:
        return Decision(None, (), unseeded=tuple(_unseeded(admission.org_id, *found) for found in _tuples(reply[2:], 5)))
    _, verdict, rid, held, learned, *numbers = reply
    states = tuple(LimitState(limit, *numbers[4 * i : 4 * i + 4]) for i, limit in enumerate(admission.limits))
    known = Learned(*(int(n) for n in learned.split(b":"))) if learned else None
    return Decision(rid.decode() if verdict == _ADMITTED else None, states, held, learned=known)


def _unseeded(org_id: str, kind: bytes, scope: bytes, start: int, end: int, since: int) -> Unseeded:
    return Unseeded(BudgetKey(org_id, scope.decode(), layout.CALENDAR[kind.decode()], start, end), since)


def _budget(key: BudgetKey, stored: bytes | None) -> BudgetState | None:
    if stored is None:
        return None
    since, base, own, held = stored.split(b":")
    return BudgetState(key, int(base) if base else None, int(own), int(held), int(since))


def _ttl(ttl_ms: int) -> int:
    if not 0 < ttl_ms <= MAX_TTL_MS:
        raise ValueError(f"a reservation lives more than 0 and at most {MAX_TTL_MS} ms without a heartbeat")
    return ttl_ms


def _by_org(reservations: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    by_org: dict[str, list[str]] = {}
    for org_id, reservation_id in reservations:
        by_org.setdefault(org_id, []).append(reservation_id)
    return by_org


def _pages(items: Sequence[_T], size: int = _PAGE) -> list[Sequence[_T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _tuples(flat: Sequence[Any], size: int) -> list[tuple[Any, ...]]:
    return [tuple(flat[i : i + size]) for i in range(0, len(flat), size)]
