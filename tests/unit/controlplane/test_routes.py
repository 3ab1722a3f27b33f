"""A route without exactly one rule is not served."""

from typing import Annotated

import pytest

from controlplane.authorization import PUBLIC, SIGNED_IN, Access, Requires, require
from controlplane.authorization import anyone as public_rule
from controlplane.idempotency.route import Router
from controlplane.routes import WrongRule, operations
from ias.roles import Permission

router = Router()


@router.get("/free")
async def free() -> None: ...


@router.post("/public", name="thing.create", dependencies=[PUBLIC])
async def public() -> None: ...


@router.put("/mine", dependencies=[PUBLIC, SIGNED_IN])
async def torn() -> None: ...


@router.delete("/thing", name="thing.delete")
async def guarded(access: Annotated[Access, require(Permission.KEYS_OWN, Permission.KEYS_ALL)]) -> None: ...


def only(path: str) -> Router:
    one = Router()
    one.routes.extend(route for route in router.routes if route.path == path)  # type: ignore[attr-defined]
    return one


def test_a_route_has_one_rule() -> None:
    made, removed = operations([only("/public"), only("/thing")])
    assert (str(made), made.name, made.rule, made.is_public, made.writes) == ("POST /public", "thing.create", public_rule, True, True)
    assert removed.rule == Requires((Permission.KEYS_OWN, Permission.KEYS_ALL))
    assert not removed.is_public


@pytest.mark.parametrize(("path", "reason"), [("/free", "GET /free has no rule: ask for"), ("/mine", "PUT /mine has 2 rules")])
def test_none_or_two_are_refused(path: str, reason: str) -> None:
    with pytest.raises(WrongRule, match=reason):
        operations([only(path)])
