"""Which engine a request reaches, and that none is reached without authorization."""

import re

import pytest

from controlplane.gateway.bootstrap import template_path
from controlplane.gateway.ports import GatewayBackend, GatewayRoute, GatewayState
from ias import errors
from tests.dataplane.conftest import CHAT, MODEL, Dataplane, StartDataplane
from tests.dataplane.stand_ins import GOOD_KEY, Engine, answer_garbage

_AUTHORIZATION_FILTER = re.compile(r"^ +- name: envoy\.filters\.http\.ext_authz\n.*?(?=^ +- name: )", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("model", ["a/b/c", "name:tag", "v1.0", "with space", "ünï", "%2F", '"quoted"', "x" * 255])
async def test_models_of_any_name_are_matched_exactly(dataplane: Dataplane, model: str) -> None:
    other = Engine()
    async with other.serve():
        backends = (GatewayBackend("engine", dataplane.engine.url), GatewayBackend("other", other.url))
        routes = (
            GatewayRoute.to_one(model, "other"),
            *(GatewayRoute.to_one(near, "engine") for near in (model + "x", model[:-1], model.swapcase()) if near != model),
        )
        await dataplane.gateway.apply(GatewayState(backends, routes))
        assert (await dataplane.chat(model)).status_code == 200
    assert len(other.received) == 1
    assert not dataplane.engine.received


async def test_without_the_authorization_filter_no_request_reaches_an_engine(start_dataplane: StartDataplane) -> None:
    template, removed = _AUTHORIZATION_FILTER.subn("", template_path().read_text())
    assert removed == 1
    async with start_dataplane(template) as dataplane:
        forged = {"x-ias-model": MODEL, "x-ias-context": "forged", "x-ai-eg-model": MODEL, "x-envoy-original-path": CHAT}
        for headers in ({}, forged, {name.upper(): value for name, value in forged.items()}):
            for key in (GOOD_KEY, None):
                assert (await dataplane.chat(key=key, headers=headers)).status_code in {401, 404}
        assert not dataplane.engine.received


async def test_one_of_five_thousand_models_is_found(dataplane: Dataplane) -> None:
    await dataplane.gateway.apply(dataplane.state(*(f"org/model-{number}" for number in range(5000))))
    for model in ("org/model-0", "org/model-2500", "org/model-4999"):
        assert (await dataplane.chat(model)).status_code == 200
    assert (await dataplane.chat("org/model-5000")).json()["error"]["code"] == "model_not_found"


async def test_a_connection_that_an_idle_engine_would_close_is_closed_first(dataplane: Dataplane) -> None:
    """uvicorn closes after 5 s; a request that meets the closing connection would be lost."""
    clusters = await dataplane.envoy.admin("/config_dump?resource=dynamic_active_clusters")
    assert '"idle_timeout": "4s"' in clusters


async def test_a_request_that_reached_an_engine_is_never_sent_again(dataplane: Dataplane) -> None:
    dataplane.engine.answer = answer_garbage
    response = await dataplane.chat()
    assert response.json()["error"]["code"] == errors.service_unavailable("").code
    assert len(dataplane.engine.received) == 1
