"""A person's way in and out, by the commands that people use: invite, mail, accept, key, request; suspend, restore, disable, remove."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.world import CHAT, World, until

ORG = f"people-{secrets.token_hex(4)}"


class Admin:
    """`ias-admin` as one person runs it."""

    def __init__(self, home: Path, api: str) -> None:
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home), "IAS_ADMIN_URL": api, "NO_COLOR": "1"}

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "ias_admin", "--no-input", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return json.loads(ran.stdout) if ran.stdout.startswith(("{", "[")) else ran.stdout


@pytest.mark.skipif(bool(os.environ.get("IAS_E2E_TARGET")), reason="needs the mailbox folder of this machine")
def test_from_an_invite_to_a_request_and_out_again(world: World, stack: Any, tmp_path: Path) -> None:
    root, ada = Admin(tmp_path / "root", world.api), Admin(tmp_path / "ada", world.api)
    root("login", "-u", world.ready["admin_username"], IAS_ADMIN_PASSWORD=world.ready["admin_password"])
    root("org", "create", "People", "--slug", ORG)
    sent = root("invite", "create", ORG, "ada@example.com", "-o", "json")
    mail = max(Path(world.ready["mail_folder"]).iterdir()).read_text().replace("=\n", "").replace("=3D", "=")
    assert sent["link"] in mail
    try:
        ada("invite", "accept", "-u", f"ada-{ORG}", IAS_ADMIN_LINK=sent["link"], IAS_ADMIN_NEW_PASSWORD="a password of her own")
        assert ada("whoami", "-o", "json")["role"] == "org_user"
        ada("invite", "create", ORG, "bob@example.com", code=3)

        key = ada("key", "create", "laptop", "-o", "json")["apiKey"]
        model = f"model-{ORG}"
        config = {"tenantId": ORG, "modelType": "openai", "upstreamModel": "sim-chat", "authentication": {"allowedTenants": [ORG]}}
        world.admin.call("POST", f"/api/models/{model}/publish", json={"config": config})
        until(lambda: model in world.model_names(key), 3)
        client = world.client(key)
        assert client.chat.completions.create(model=model, messages=CHAT).usage

        def refused() -> bool:
            try:
                client.models.list()
            except openai.AuthenticationError:
                return True
            return False

        for stop, go_on in ((("org", "suspend", ORG, "--yes"), ("org", "resume", ORG)), (("org", "delete", ORG, "--yes"), ("org", "restore", ORG))):
            root(*stop)
            until(refused, 1, every_s=0.02)
            ada("whoami", code=3)
            root(*go_on)
            until(lambda: not refused(), 1, every_s=0.02)
            ada("whoami")

        root("user", "disable", ORG, f"ada-{ORG}", "--yes")
        until(refused, 1, every_s=0.02)
        ada("whoami", code=3)
        root("user", "enable", ORG, f"ada-{ORG}")
        until(lambda: not refused(), 1, every_s=0.02)
        ada("login", "-u", f"ada-{ORG}", IAS_ADMIN_PASSWORD="a password of her own")

        root("user", "remove", ORG, f"ada-{ORG}", "--yes")
        until(refused, 1, every_s=0.02)
        ada("whoami", code=3)
    finally:
        world.admin.raw("DELETE", f"/api/models/model-{ORG}/publish")
        root("org", "delete", ORG, "--purge", "--yes")
