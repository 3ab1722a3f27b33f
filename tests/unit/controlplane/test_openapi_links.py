"""Links of the OpenAPI document: from what was made to what can be done with it."""

import json
from typing import Any

import pytest

from tools.openapi_doc import PATH

DOCUMENT: dict[str, Any] = json.loads(PATH.read_text())["paths"]


def links(path: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT[f"/api{path}"]["post"]["responses"]["201"]["links"]
    return found


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/org", {"org.get", "org.rename", "org.delete", "user.create", "org_budget.set"}),
        ("/org/{org}/user", {"user.get", "user.change_role", "user.delete", "user_budget.set"}),
        ("/key", {"key.get", "key.update", "key.rotate", "key.revoke"}),
        ("/backend", {"backend.get", "backend.check", "backend.delete"}),
        ("/models/{name}/publish", {"model.get", "model.update", "model.unpublish", "model.rotate_key"}),
    ],
)
def test_what_was_made_can_be_read_changed_and_deleted(path: str, leads_to: set[str]) -> None:
    assert leads_to <= set(links(path))


def test_a_link_takes_the_id_of_the_answer_and_the_rest_of_the_request() -> None:
    assert links("/org/{org}/user")["user.get"] == {
        "operationId": "user.get",
        "parameters": {"org": "$request.path.org", "user_id": "$response.body#/id"},
    }
    assert links("/key")["key_budget.set"]["parameters"] == {"key_id": "$response.body#/id"}, "the period is the caller's choice"


def test_no_link_needs_what_nobody_has_made() -> None:
    assert "user.get" not in links("/org")
