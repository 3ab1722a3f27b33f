"""Credentials of providers: by name, from a folder, and nowhere else."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from controlplane.backends.credentials import CredentialFolder, CredentialUnusable
from controlplane.backends.prober_http import HttpProber
from tests.component.controlplane.publications import publish
from tests.component.controlplane.world import Person, World
from tests.support.gateway_memory import MemoryGateway
from tests.support.stranger import answer, stranger_running

SECRET = "sk-very-secret"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not one line"),
        (b"two\nlines", "not one line"),
        (b"sp ace", "not one line"),
        ("ä".encode(), "not one line"),
        (b"x" * 9000, "not one line"),
    ],
)
def test_a_file_that_is_no_credential_is_refused_and_not_shown(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(CredentialUnusable, match=reason) as refused:
        CredentialFolder(tmp_path).header("bad")
    assert content == b"" or content.decode() not in str(refused.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialUnusable, match="IAS_BACKEND_CREDENTIALS_DIR is not set"):
        CredentialFolder(None).header("openai")
    with pytest.raises(CredentialUnusable, match="'openai' cannot be read from IAS_BACKEND_CREDENTIALS_DIR: No such file"):
        CredentialFolder(tmp_path).header("openai")
    assert CredentialFolder(None).header(None) == {}


async def test_probes_show_the_credential_of_now_and_nothing_else_does(
    world: World, app: FastAPI, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "provider").write_text(SECRET + "\n")
    runtime = world.runtime
    prober = HttpProber(runtime.egress, CredentialFolder(tmp_path))
    app.state.runtime = replace(runtime, probing=replace(runtime.probing, prober=prober))
    root = world["root"]

    async with stranger_running(answer(200, b'{"data": []}')) as provider:
        body = {"name": "cloud", "baseUrl": f"http://127.0.0.1:{provider.port}", "credential": "provider"}
        made = await root.ok("POST", "/backend", body)
        assert (made["credential"], made["health"]) == ("provider", "healthy")
        assert {f"authorization: Bearer {SECRET}" in head.decode() for head in provider.heads} == {True}
        (tmp_path / "provider").write_text("rotated")
        await root.ok("POST", "/backend/cloud/check")
        assert b"Bearer rotated" in provider.heads[-1]
        (tmp_path / "provider").unlink()
        ill = await root.ok("POST", "/backend/cloud/check")
        assert ill["healthReason"].startswith("the credential 'provider' cannot be read")
        well = await root.ok("PUT", "/backend/cloud", {"credential": None})
        assert (well["credential"], well["health"]) == (None, "healthy")
        assert b"authorization" not in provider.heads[-1].lower()
    kept = str([await world.rows(f"SELECT * FROM {table}") for table in ("backends", "audit_log", "change_log", "idempotency_keys")])
    assert SECRET not in kept + caplog.text + "".join(capsys.readouterr())
    for name in ("../etc/passwd", ".hidden", "a/b", ""):
        assert (await root.call("PUT", "/backend/cloud", {"credential": name})).status_code == 422


async def test_nothing_is_published_on_an_engine_whose_credential_cannot_be_read(
    root: Person, world: World, gateway: MemoryGateway, app: FastAPI, tmp_path: Path
) -> None:
    (tmp_path / "provider").write_text(SECRET)
    runtime, credentials = world.runtime, CredentialFolder(tmp_path)
    probing = replace(runtime.probing, prober=HttpProber(runtime.egress, credentials))
    app.state.runtime = replace(runtime, probing=probing, publisher=replace(runtime.publisher, credentials=credentials))

    async with stranger_running(answer(200, b'{"data": [{"id": "m"}]}')) as provider:
        await root.ok("POST", "/backend", {"name": "cloud", "baseUrl": f"http://127.0.0.1:{provider.port}", "credential": "provider"})
        (tmp_path / "provider").unlink()
        refused = await publish(root, "cloudy", upstreamModel="m")
        assert (refused.status_code, refused.json()["code"]) == (422, "credential_unusable")
        assert await world.rows("SELECT 1 FROM publications WHERE status <> 'deleted'") == []

        (tmp_path / "provider").write_text(SECRET)
        assert (await publish(root, "cloudy", upstreamModel="m")).status_code == 201
        mistyped = await root.call("PUT", "/backend/cloud", {"credential": "no-such-file"})
        assert (mistyped.status_code, mistyped.json()["code"]) == (422, "credential_unusable")
        assert (await root.ok("GET", "/backend/cloud"))["credential"] == "provider"
        (served,) = gateway.served.backends
        assert served.credential == "provider"
