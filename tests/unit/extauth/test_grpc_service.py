"""What only a fake can provoke: garbage from the peer, and faults of our own."""

import time
from collections.abc import Sequence
from typing import NoReturn, cast

import pytest

from extauth import answer
from extauth.grpc_service import CheckService, Policy
from extauth.lookup import CredentialLookup
from extauth.ports import GatewayReader
from extauth.snapshot import Changed, Snapshot
from ias.context import SigningKeys
from ias.errors import ApiError
from ratelimit.ports import Admission, AdmissionStore
from ratelimit.store_memory import MemoryAdmissionStore
from tests.support.checks import FakeCall, ask, check_message
from tests.unit.extauth.world import KEY, PEPPERS, credential, publication


class BrokenStore:
    async def admit(self, _: Sequence[Admission]) -> NoReturn:
        raise ZeroDivisionError("a bug")


def service(store: object) -> CheckService:
    snapshot = Snapshot(10, 10, 60)
    snapshot.apply(Changed((KEY.credential_id,), ("pub-small",), ()), [credential()], [publication(requests_per_minute=1)])
    snapshot.confirm(time.monotonic())
    lookup = CredentialLookup(cast("GatewayReader", None), snapshot, 1)
    policy = Policy(PEPPERS, SigningKeys("k", {"k": b"s" * 32}), 1_000)
    return CheckService(snapshot, lookup, cast("AdmissionStore", store), MemoryAdmissionStore(lambda: 0), policy)


async def test_a_batch_is_decided_together_and_each_call_is_answered() -> None:
    verdicts = await ask(
        service(MemoryAdmissionStore(lambda: 0)).handle,
        check_message(KEY.text),
        check_message("wrong"),
        check_message(KEY.text, method="GET", path="/v1/models", body=b""),
        check_message(KEY.text),
    )
    assert [(v.allowed, v.status) for v in verdicts] == [(True, 200), (False, 401), (False, 200), (False, 429)]


async def test_a_message_that_is_none_is_an_error_of_the_call() -> None:
    call = FakeCall(b"\xff\xff")
    service(MemoryAdmissionStore(lambda: 0)).handle([call])
    with pytest.raises(AssertionError, match="INVALID_ARGUMENT"):
        await call.answer


async def test_a_refusal_that_cannot_be_rendered_harms_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    render = answer.refuse

    def refuse(error: ApiError) -> bytes:
        if error.status == 401:
            raise TypeError("a bug")
        return render(error)

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
