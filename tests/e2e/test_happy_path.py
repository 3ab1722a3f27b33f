"""The happy path of seed 004 §7.2, step by step."""

import secrets
import time

import openai

from tests.e2e.world import CHAT, World, until


def test_happy_path(service: World) -> None:
    admin, slug = service.admin, f"happy-{secrets.token_hex(3)}"

    # 1. Create Org & Org User
    org = admin.call("POST", "/api/org", json={"name": "Data Science", "slug": slug})
    user = admin.call("POST", f"/api/org/{org['id']}/user", json={"username": f"{slug}-dev", "role": "org_user"})
    admin.call("POST", f"/api/models/{slug}-model/publish", json={"config": {"tenantId": slug, "modelType": "openai", "upstreamModel": "sim-chat"}})

    # 2. Generate API key
    developer = service.sign_in(f"{slug}-dev", user["initialPassword"])
    key = developer.call("POST", "/api/key", json={"name": "production-app"})
    assert "apiKey" not in developer.call("GET", f"/api/key/{key['id']}"), "shown once"
    until(lambda: f"{slug}-model" in service.model_names(key["apiKey"]), 3)

    # 3., 4. Call the Inference API: 200
    answer = service.client(key["apiKey"]).chat.completions.with_raw_response.create(model=f"{slug}-model", messages=CHAT)
    assert answer.status_code == 200

    # 5. The usage is in the database within 10 seconds
    asked = time.monotonic()
    row = service.row(developer, answer.headers["x-request-id"], deadline_s=10)
    landed = time.monotonic() - asked
    usage = answer.parse().usage
    assert usage is not None
    assert (row["inputTokens"], row["outputTokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    print(f"\nusage landed {landed:.2f} s after the answer")

    # 6. Clean up
    admin.call("DELETE", f"/api/models/{slug}-model/publish")
    developer.call("DELETE", f"/api/key/{key['id']}")
    admin.call("DELETE", f"/api/org/{org['id']}")

    def refused() -> bool:
        try:
            service.client(key["apiKey"]).models.list()
        except openai.AuthenticationError:
            return True
        return False

    until(refused, 1)
