"""A revoked key is refused within a second; a stream that runs ends normally."""

import threading
import time

import openai

from tests.e2e.world import CHAT, World, simulate, until


def test_a_revoked_key_is_refused_within_a_second(world: World) -> None:
    tenant = world.tenant()
    model = world.publish(tenant)
    client = world.client(tenant.api_key)
    chunks: list[object] = []
    stream = client.chat.completions.create(model=model, messages=CHAT, stream=True, extra_headers=simulate(tokens=30, pace_ms=100))
    first = next(iter(stream))
    reader = threading.Thread(target=lambda: chunks.extend(stream))
    reader.start()

    tenant.user.call("DELETE", f"/api/key/{tenant.key_id}")
    revoked = time.monotonic()

    def refused() -> bool:
        try:
            client.models.list()
        except openai.AuthenticationError:
            return True
        return False

    until(refused, 1, every_s=0.02)
    print(f"\nrefused {time.monotonic() - revoked:.2f} s after the revocation")
    assert reader.is_alive(), "the stream is still running when the key is already refused"
    reader.join(20)
    assert first
    assert chunks[-1].choices[0].finish_reason == "stop"  # type: ignore[attr-defined]


def test_a_removed_org_stops_and_its_models_stay_for_others(world: World) -> None:
    leaving, staying = world.tenant(), world.tenant()
    model = world.publish(staying, leaving)
    assert model in world.model_names(leaving.api_key)
    world.admin.call("DELETE", f"/api/org/{leaving.org_id}")
    until(lambda: not world.model_names(leaving.api_key), 1)
    assert model in world.model_names(staying.api_key)
