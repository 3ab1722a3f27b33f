"""What only a fake can provoke: garbage from the peer, and faults of our own."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, cast

import pytest

from extauth import answer
from extauth.admission import Admissions
from extauth.estimate import NOTHING_LEARNED
from extauth.grpc_service import CheckService
from extauth.learned import LearnedValues
from extauth.lookup import CredentialLookup
from extauth.ports import BudgetLedger, GatewayReader
from extauth.seeding import BudgetSeeder
from extauth.snapshot import Changed, Snapshot
from ias import telemetry
from ias.context import verify
from ias.errors import ApiError
from ias.gateway_views import ScopeLimits
from ias.headers import CONTEXT
from ratelimit.ports import Admission, AdmissionStore, Decision, Learned, Limit, LimitState, Unit
from ratelimit.replicas import ReplicaRegister, Replicas
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.checks import FakeCall, ask, check_message
from tests.unit.extauth.world import KEY, POLICY, credential, publication

TOKENS = Limit("tokensPerMinute of the user", "user:u:tpm", 1, 60_000, 9, Unit.TOKENS)
DRY = Limit("tokensPerHour of the user", "user:u:tph", 1, 3_600_000, 9, Unit.TOKENS, dry_run=True)


class BrokenStore:
    async def admit(self, _: Sequence[Admission]) -> NoReturn:
        raise ZeroDivisionError("a bug")


class Decides:
    """A store that answers each admission with the same decision."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
        return [self.decision for _ in admissions]


def service(store: object, **of_key: Any) -> CheckService:
    snapshot = Snapshot(10, 10, 60)
    published = publication(limits=ScopeLimits(requests_per_minute=1))
    snapshot.apply(Changed((KEY.credential_id,), ("pub-small",), ()), [credential(**of_key)], [published])
    snapshot.confirm(time.monotonic())
    lookup = CredentialLookup(cast("GatewayReader", None), snapshot, 1)
    asked = cast("AdmissionStore", store)
    admissions = Admissions(asked, BudgetSeeder(cast("BudgetLedger", None), asked, 1), Replicas(cast("ReplicaRegister", None), 1), 1_000)
    return CheckService(snapshot, lookup, admissions, LearnedValues(10), POLICY)


async def test_a_batch_is_decided_together_and_each_call_is_answered() -> None:
    verdicts = await ask(
        service(MemoryAdmissionStore(lambda: 0)).handle,
        check_message(KEY.text),
        check_message("wrong"),
        check_message(KEY.text, method="GET", path="/v1/models", body=b""),
        check_message(KEY.text),
    )
    assert [(v.allowed, v.status) for v in verdicts] == [(True, 200), (False, 401), (False, 200), (False, 429)]


async def test_what_comes_in_one_turn_of_the_loop_is_admitted_in_one_call() -> None:
    class Counting(MemoryAdmissionStore):
        batches: ClassVar[list[int]] = []

        async def admit(self, admissions: Sequence[Admission]) -> list[Decision]:
            self.batches.append(len(admissions))
            return await super().admit(admissions)

    store = Counting(lambda: 0)
    handle = service(store).handle
    asked = await asyncio.gather(ask(handle, *[check_message(KEY.text)] * 2), ask(handle, check_message(KEY.text)))
    assert [verdict.status for verdicts in asked for verdict in verdicts] == [200, 429, 429]
    assert [verdict.status for verdict in await ask(handle, check_message(KEY.text))] == [429]
    assert store.batches == [3, 1]


async def test_a_message_that_is_none_is_an_error_of_the_call() -> None:
    call = FakeCall(b"\xff\xff")
    service(MemoryAdmissionStore(lambda: 0)).handle([call])
    with pytest.raises(AssertionError, match="INVALID_ARGUMENT"):
        await call.answer


async def test_a_refusal_that_cannot_be_rendered_harms_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    render = answer.refuse

    def refuse(error: ApiError, path: str) -> bytes:
        if error.status == 401:
            raise TypeError("a bug")
        return render(error, path)

    monkeypatch.setattr(answer, "refuse", refuse)
    verdicts = await ask(service(MemoryAdmissionStore(lambda: 0)).handle, check_message("wrong"), check_message(KEY.text))
    assert [(v.allowed, v.status) for v in verdicts] == [(False, 503), (True, 200)]


async def test_a_fault_of_our_own_is_a_503_and_never_a_pass() -> None:
    broken = service(BrokenStore())
    verdicts = await ask(broken.handle, check_message(KEY.text), check_message(KEY.text))
    assert [(v.allowed, v.status, v.code) for v in verdicts] == [(False, 503, "service_unavailable")] * 2
    broken._snapshot.records = cast("object", None)  # type: ignore[assignment]
    (verdict,) = await ask(broken.handle, check_message(KEY.text))
    assert (verdict.allowed, verdict.status) == (False, 503)
    await broken.finish()


async def test_the_store_says_what_was_held_and_the_context_says_so_too() -> None:
    decision = Decision("r-1", (LimitState(TOKENS, 5, 1_000, 0),), held_tokens=123)
    (verdict,) = await ask(service(Decides(decision)).handle, check_message(KEY.text))
    context = verify(verdict.headers[CONTEXT], POLICY.signing_keys, "req-1", "/v1/chat/completions", time.time_ns() // 1_000_000)
    assert (context.reservation_id, context.held_tokens, context.in_store) == ("r-1", 123, True)
    assert verdict.client_headers["x-ratelimit-remaining-tokens"] == "5"


async def test_a_refusal_has_the_shape_of_its_path() -> None:
    asked = service(Decides(Decision(None, (LimitState(TOKENS, 0, 1_000, 1_000),))))
    chat, messages = await ask(asked.handle, check_message(KEY.text), check_message(KEY.text, path="/v1/messages"))
    assert chat.body.startswith(b'{"error":{"message":"Rate limit reached: tokensPerMinute of the user.')
    assert messages.body.startswith(b'{"type":"error","error":{"type":"rate_limit_error"')
    assert chat.headers["x-ratelimit-remaining-tokens"] == "0"


async def test_what_decisions_teach_is_kept() -> None:
    learned = Learned(77, 7, 1_000)
    asked = service(Decides(Decision("r", (), learned=learned)))
    assert asked._learned.of("org-1", "pub-small") is NOTHING_LEARNED
    await ask(asked.handle, check_message(KEY.text))
    assert asked._learned.of("org-1", "pub-small") is learned


async def test_a_limit_in_dry_run_is_counted_by_its_setting_and_refuses_nothing() -> None:
    counted = telemetry.WOULD_REFUSE.labels("tokensPerHour", "user")
    before = counted._value.get()
    (verdict,) = await ask(service(Decides(Decision("r", (LimitState(DRY, 0, 9, 9),)))).handle, check_message(KEY.text))
    assert verdict.allowed
    assert counted._value.get() == before + 1
