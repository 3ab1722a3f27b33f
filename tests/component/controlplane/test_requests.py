"""One request explained, to whom it concerns: admitted ones by the ledger, refused ones by the samples."""

from typing import Any

import pytest

from controlplane.repository import EVERYTHING
from controlplane.security_events.repository import SecurityEventRepository
from controlplane.unit_of_work import unit_of_work
from controlplane.usage.rules import instant
from ias.ids import uuid7
from ias.security_event import LimitSeen, RefusedRequest, RequestsRefused, decode, encode
from ias.usage_event import Outcome, RequestRecorded
from tests.component.controlplane.ledger_rows import write
from tests.component.controlplane.world import World
from tests.support.usage_events import ADMITTED_MS, event

MINUTE_MS = 1_790_000_000_000 // 60_000 * 60_000
LIMITS = (
    LimitSeen(name="tokensPerMinute of the organization", unit="tokens", capacity=1000, remaining=900),
    LimitSeen(name="requestsPerMinute of the API key", unit="requests", capacity=5, remaining=0, retry_ms=11_500),
)


async def asked(world: World, database_url: str, who: str, number: int, **changes: Any) -> RequestRecorded:
    key = await world[who].ok("POST", "/key", {"name": f"key-{number}"})
    ids = {"org_id": str(world[who].org_id), "user_id": str(world[who].user_id), "key_id": key["id"]}
    amounts = {"input_tokens": 10, "output_tokens": 5, "held_tokens": 40, "time_to_first_token_ms": 120, "duration_ms": 500, "http_status": 200}
    one = event(number, **ids | amounts | changes)
    await write(database_url, one)
    return one


async def refused(world: World, who: str, request_id: str = "r-1", number: int = 1, **changes: Any) -> None:
    person = world[who]
    key = await person.ok("POST", "/key", {"name": f"laptop-{number}"})
    sample = {"request_id": request_id, "at_ms": MINUTE_MS + 5, "user_id": str(person.user_id), "key_id": key["id"], "method": "POST"}
    sample |= {"path": "/v1/chat/completions", "message": "Rate limit reached.", "model": "chat", "limits": LIMITS} | changes
    told = RequestsRefused(
        event_id=str(uuid7(MINUTE_MS, number)),
        minute_ms=MINUTE_MS,
        status=429,
        code="rate_limit_exceeded",
        org_id=str(person.org_id),
        credential="ias_live_AbCdEfGh",
        requests=37,
        samples=(RefusedRequest(**sample),),
    )
    async with unit_of_work(world.engine) as uow:
        repository = SecurityEventRepository(uow, EVERYTHING)
        assert await repository.add([decode(encode(told))]) == 1
        assert await repository.add([told]) == 0, "what comes twice is kept once"


def texts(item: dict[str, Any]) -> list[str]:
    return [step["text"] for step in item["steps"]]


async def test_an_admitted_request_is_told_in_order(world: World, database_url: str) -> None:
    one = await asked(world, database_url, "alpha-user", 1)
    for given in (one.request_id, one.event_id):
        (item,) = (await world["alpha-user"].ok("GET", f"/requests/{given}"))["items"]
        assert (item["decision"], item["eventId"], item["chargedTokens"], item["heldTokens"]) == ("admitted", one.event_id, 15, 40)
        assert (item["username"], item["keyName"], item["org"], item["backend"]) == ("alpha-user", "key-1", "alpha", None)
        assert texts(item) == [
            "alpha-user of alpha with the key 'key-1' asked chat_completions of the model 'chat' for a stream.",
            "Admitted: every limit and budget had room. 40 tokens were held.",
            "Sent to a backend that is there no more as 'sim-chat'.",
            "The first token came after 120 ms.",
            "The answer went out complete, status 200, after 500 ms.",
            "Charged 15 tokens, 10 in and 5 out, estimated, because nothing countable passed.",
            "25 tokens of the hold went back.",
            "Written to the ledger.",
        ]
        times = [step["at"] for step in item["steps"]]
        assert times == sorted(times)
        assert item["admittedAt"] == instant(ADMITTED_MS + 1).isoformat().replace("+00:00", "Z")


async def test_every_end_has_its_words(world: World, database_url: str) -> None:
    for number, outcome in enumerate(Outcome):
        one = await asked(world, database_url, "alpha-admin" if number % 2 else "alpha-user", number, outcome=outcome, http_status=0)
        (item,) = (await world["alpha-admin"].ok("GET", f"/requests/{one.event_id}"))["items"]
        assert any("before an answer began" in text for text in texts(item))


async def test_a_refused_request_is_found_by_its_id_with_the_limits_as_they_stood(world: World) -> None:
    await refused(world, "alpha-user")
    (item,) = (await world["alpha-user"].ok("GET", "/requests/r-1"))["items"]
    assert (item["decision"], item["status"], item["code"], item["alike"]) == ("refused", 429, "rate_limit_exceeded", 37)
    assert item["limits"][1] == {
        "name": "requestsPerMinute of the API key", "unit": "requests", "capacity": 5, "remaining": 0, "retryMs": 11_500, "dryRun": False,
    }  # fmt: skip
    assert texts(item) == [
        "alpha-user of alpha with the key 'laptop-1' asked POST /v1/chat/completions of the model 'chat'.",
        "tokensPerMinute of the organization: 900 of 1000 tokens left, enough.",
        "requestsPerMinute of the API key: 0 of 5 requests left, not enough before 12 s.",
        "Refused with 429 rate_limit_exceeded: Rate limit reached.",
        "No engine was asked and nothing was charged. 37 requests were refused alike in this minute.",
    ]


async def test_tries_with_one_id_are_all_told(world: World, database_url: str) -> None:
    await refused(world, "alpha-user", "again")
    await asked(world, database_url, "alpha-user", 2, request_id="again")
    items = (await world["alpha-user"].ok("GET", "/requests/again"))["items"]
    assert [item["decision"] for item in items] == ["admitted", "refused"]


@pytest.mark.parametrize(("who", "status"), [("alpha-user", 200), ("alpha-admin", 200), ("root", 200), ("beta-admin", 404), ("colleague", 404)])
async def test_it_is_told_to_whom_it_concerns(world: World, database_url: str, who: str, status: int) -> None:
    await world.add("colleague", "alpha")
    one = await asked(world, database_url, "alpha-user", 1)
    await refused(world, "alpha-user")
    for given in (one.request_id, one.event_id, "r-1"):
        response = await world[who].call("GET", f"/requests/{given}")
        assert response.status_code == status
        assert status == 200 or "Refused requests are kept as samples" in response.json()["detail"]


@pytest.mark.parametrize("odd", ["nothing", "0198c0de-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-8fff-ffffffffffff", "%ff", "x" * 200])
async def test_what_is_no_request_is_not_found(world: World, odd: str) -> None:
    assert (await world["root"].call("GET", f"/requests/{odd}")).status_code == 404


async def test_samples_go_with_their_event(world: World) -> None:
    await refused(world, "alpha-user", path="/v1/\0odd", message="m" * 5000)
    async with unit_of_work(world.engine) as uow:
        assert await SecurityEventRepository(uow, EVERYTHING).delete_before(instant(MINUTE_MS + 60_000)) == 1
    assert (await world["alpha-user"].call("GET", "/requests/r-1")).status_code == 404
