"""The main job, as a person would do it: start the service, publish a model, stream through it, see the limits and the bill.

Run by `make demo`. Everything it starts is on this machine; its data stays in `.demo/` (`make clean` removes it).
"""

import argparse
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai

from standalone.home import write_private
from standalone.ports import PortTaken, reserve

FOLDER = Path(__file__).resolve().parent.parent / ".demo"
HOME, READY, ADMIN = FOLDER / "home", FOLDER / "ready.json", FOLDER / "admin.json"
START_S, USAGE_S = 120, 10


class Failed(Exception):
    """A step did not do what it should; the message is for the person who watches."""


# --- the service -----------------------------------------------------------------------------------------------------


@contextmanager
def service() -> Iterator[dict[str, Any]]:
    """Run `ias up`, give its ready file, stop it at the end."""
    ports = [f"--{name}-port={free(name, number)}" for name, number in (("gateway", 8080), ("api", 8085))]
    command = [sys.executable, "-m", "standalone", "up", "--home", str(HOME), "--ready-file", str(READY), *ports]
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    READY.unlink(missing_ok=True)
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_us)  # noqa: S603, PLW1509  # our own command; no threads here
    try:
        deadline = time.monotonic() + START_S
        while not READY.exists():
            if process.poll() is not None:
                raise Failed("The service did not start; see above.")
            if time.monotonic() > deadline:
                raise Failed(f"The service was not ready after {START_S} s.")
            time.sleep(0.05)
        yield json.loads(READY.read_text())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()


def free(name: str, number: int) -> int:
    """Return the usual port, or 0 (any free one) if it is taken."""
    try:
        reserve("127.0.0.1", number).holder.close()
    except PortTaken:
        print(f"port {number} is in use by another program: the {name} takes any free one")
        return 0
    return number


def die_with_us() -> None:
    """Let the service stop when this script is killed: PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def admin_credentials(ready: dict[str, Any]) -> tuple[str, str]:
    """The first start shows the administrator's password once: keep it for later runs."""
    if "admin_password" in ready:
        write_private(ADMIN, json.dumps({"username": ready["admin_username"], "password": ready["admin_password"]}, indent=2) + "\n")
    if not ADMIN.exists():
        raise Failed(f"The administrator's password of this demo was lost. Remove {FOLDER} and run the demo again.")
    kept = json.loads(ADMIN.read_text())
    return kept["username"], kept["password"]


# --- the people ------------------------------------------------------------------------------------------------------


class Rest:
    """The REST API, as somebody who has signed in sees it."""

    def __init__(self, url: str, path: str, username: str, password: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=15)
        token = self("POST", path, username=username, password=password)["token"]
        self.http.headers["authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **body: Any) -> Any:
        response = self.http.request(method, path, json=body or None)
        if not response.is_success:
            raise Failed(f"{method} {path} answered {response.status_code}: {response.text}")
        return response.json() if response.content else None


def step(text: str) -> None:
    print(f"\n\033[1m▸ {text}\033[0m" if sys.stdout.isatty() else f"\n> {text}", flush=True)


def until(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until there is an answer; fail after a while."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not happen in {seconds:g} s.")
        time.sleep(0.05)
    return answer


def refusal(expected: type[openai.APIStatusError], call: Callable[[], Any]) -> openai.APIStatusError:
    """Make a call that must be refused, and show how."""
    try:
        call()
    except expected as error:
        print(f"  {type(error).__name__} ({error.status_code} {error.code}): {error.body['message']}")  # type: ignore[index]
        return error
    raise Failed(f"The request passed, but {expected.__name__} was due.")


# --- the walk --------------------------------------------------------------------------------------------------------


def walk(ready: dict[str, Any]) -> tuple[str, str]:
    """Go through the main job; return model and API key for the reader's own requests."""
    api, gateway, run = ready["api_url"], ready["gateway_url"], secrets.token_hex(3)
    chat: list[Any] = [{"role": "user", "content": "Tell me about the sea."}]

    step("Sign in as administrator (POST /api/admin/login)")
    admin = Rest(api, "/api/admin/login", *admin_credentials(ready))

    step("Create an org and a user in it (POST /api/org, /api/org/{id}/user)")
    org = admin("POST", "/api/org", name=f"Data Science {run}", slug=f"data-science-{run}")
    person = admin("POST", f"/api/org/{org['id']}/user", username=f"dev-{run}", role="org_user")
    print(f"  org {org['slug']}, user dev-{run}")

    step("Sign in as that user and create an API key (POST /api/key)")
    user = Rest(api, "/api/login", f"dev-{run}", person["initialPassword"])
    key = user("POST", "/api/key", name="demo")["apiKey"]
    print(f"  {key[:17]}…  (shown this once)")

    step("Publish a model for the org, 3 requests a minute (POST /api/models/{name}/publish)")
    model, foreign = f"chat-{run}", f"secret-{run}"
    limits = {"requestsPerMinute": 3, "burstLimit": 3}
    admin("POST", f"/api/models/{model}/publish", config=config(org["slug"], limits))
    rival = admin("POST", "/api/org", name=f"Rival {run}", slug=f"rival-{run}")
    admin("POST", f"/api/models/{foreign}/publish", config=config(rival["slug"], {}))
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key=key, max_retries=0)
    until(lambda: model in names(client), 5, "The publication")
    print(f"  the key may use: {', '.join(names(client))}   ({foreign} belongs to another org)")

    step("Stream a chat completion through Envoy with the official openai package")
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=chat, stream=True, extra_headers={"x-engine-simulate": "tokens=24,pace_ms=40"}
    )
    print("  ", end="")
    for chunk in raw.parse():
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    answered = time.monotonic()
    request_id = raw.headers["x-request-id"]
    print(f"\n  left of the limit: {raw.headers['x-ratelimit-remaining-requests']} of {raw.headers['x-ratelimit-limit-requests']}")

    step(f"The usage that landed (GET /api/requests/{request_id})")
    (row,) = until(lambda: rows(user, request_id), USAGE_S, "The usage row")
    took = time.monotonic() - answered
    print(f"  {row['model']}: {row['inputTokens']} tokens in, {row['outputTokens']} out, {row['outcome']}, {row['usageSource']} by the engine")
    print(f"  in the ledger {took:.1f} s after the last token")

    step("A wrong key")
    wrong = openai.OpenAI(base_url=f"{gateway}/v1", api_key=f"{key[:-1]}{'0' if key[-1] != '0' else '1'}", max_retries=0)
    refusal(openai.AuthenticationError, lambda: wrong.chat.completions.create(model=model, messages=chat))

    step("A model of another org looks like one that does not exist")
    refusal(openai.NotFoundError, lambda: client.chat.completions.create(model=foreign, messages=chat))

    step("The limit")
    limited = refusal(openai.RateLimitError, lambda: [client.chat.completions.create(model=model, messages=chat, max_tokens=3) for _ in range(4)])
    print(f"  retry-after: {limited.response.headers['retry-after']} s")

    step("Raise the limit (PUT /api/models/{name}/publish)")
    admin("PUT", f"/api/models/{model}/publish", config={"rateLimiting": {"requestsPerMinute": 60, "burstLimit": 60}})
    raised = time.monotonic()
    until(lambda: passes(client, model, chat), 5, "The new limit")
    print(f"  the next request passed {time.monotonic() - raised:.1f} s later")
    return model, key


def config(tenant: str, limits: dict[str, int]) -> dict[str, Any]:
    return {"tenantId": tenant, "modelType": "openai", "backend": "sim", "upstreamModel": "sim-chat", "rateLimiting": limits}


def passes(client: openai.OpenAI, model: str, chat: list[Any]) -> bool:
    try:
        client.chat.completions.create(model=model, messages=chat, max_tokens=1)
    except openai.RateLimitError:
        return False
    return True


def names(client: openai.OpenAI) -> list[str]:
    try:
        return [model.id for model in client.models.list()]
    except openai.AuthenticationError:
        return []  # a new key is known to the gateway within a second


def rows(user: Rest, request_id: str) -> list[dict[str, Any]]:
    response = user.http.get(f"/api/requests/{request_id}")
    items = response.json()["items"] if response.status_code == 200 else []
    return [item for item in items if item["decision"] == "admitted"]


def goodbye(ready: dict[str, Any], model: str, key: str, *, stays: bool) -> None:
    print("\nThat was the main job: authorized, limited, streamed, counted.")
    if not stays:
        return
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
    print(f"""
  Gateway  {ready["gateway_url"]}/v1
  API      {ready["api_url"]}/api   (OpenAPI: {ready["api_url"]}/api/openapi.json)
  Admin    user and password are in {ADMIN.relative_to(FOLDER.parent)}

  curl -N {ready["gateway_url"]}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'

It stays up until Ctrl-C.""")


def log_tails() -> str:
    """The last lines of every service, for a failed demo."""
    tails = [f"--- {log.relative_to(FOLDER.parent)}\n{log.read_text(errors='replace')[-600:]}" for log in sorted(HOME.glob("logs/*.log"))]
    return "\n".join(tails)


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the whole service here and walk through its main job.")
    parser.add_argument("--exit", action="store_true", help="end after the walk instead of staying up")
    leave = parser.parse_args().exit
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    for name in [name for name in os.environ if name.startswith("IAS_")]:
        del os.environ[name]
    try:
        with service() as ready:
            try:
                model, key = walk(ready)
            except (Failed, openai.OpenAIError, httpx2.HTTPError):
                print(log_tails(), file=sys.stderr)
                raise
            goodbye(ready, model, key, stays=not leave)
            while not leave:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except Failed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        print(f"\nThe demo failed: {type(error).__name__}: {error}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
