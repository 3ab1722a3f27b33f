"""The commands as a process: what they print and how they end."""

import asyncio
import json
import signal
import sys

import asyncpg
import httpx2
import pytest

SETTINGS = {"IAS_PEPPERS": json.dumps({1: "11" * 32}), "IAS_TOKEN_SECRET": "s" * 32, "IAS_API_LISTEN": "127.0.0.1:0"}


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "controlplane", *arguments)
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def run(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    process = await start(*arguments, **environment)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_migrate_and_bootstrap_make_a_service_that_an_admin_can_use(empty_database_url: str) -> None:
    environment = {**SETTINGS, "IAS_DATABASE_URL": empty_database_url}
    status, out, err = await run("migrate", **environment)
    assert (status, out) == (0, ""), err
    status, out, err = await run("bootstrap-admin", **environment)
    assert status == 0, err
    admin = json.loads(out)
    assert await run("bootstrap-admin", **environment) == (0, "{}\n", "")

    api = await start("api", **environment)
    try:
        assert api.stderr is not None
        async with asyncio.timeout(30):
            listening = json.loads(await api.stderr.readline())
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listening['port']}") as http:
            session = await http.post("/api/admin/login", json=admin)
            assert session.status_code == 200, session.text
        api.send_signal(signal.SIGTERM)
        _, rest = await asyncio.wait_for(api.communicate(), 20)
        assert api.returncode == 0
        assert admin["password"] not in rest.decode()
        assert [json.loads(line)["message"] for line in rest.decode().splitlines()][-1] == "api stopped"
    finally:
        if api.returncode is None:
            api.kill()


async def test_the_first_admin_is_made_once_whoever_asks_at_once(database_url: str) -> None:
    answers = await asyncio.gather(*(run("bootstrap-admin", IAS_DATABASE_URL=database_url) for _ in range(2)))
    assert sorted(len(json.loads(out)) for _, out, _ in answers) == [0, 2]


async def test_the_first_admin_is_in_the_audit_log_without_the_password(database_url: str) -> None:
    _, out, _ = await run("bootstrap-admin", IAS_DATABASE_URL=database_url)
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT action_type, outcome, t::text AS everything FROM audit_log t")
    await connection.close()
    assert [(row["action_type"], row["outcome"]) for row in rows] == [("admin.bootstrap", "ok")]
    assert json.loads(out)["password"] not in rows[0]["everything"]


async def test_a_database_of_a_newer_version_ends_migrate_with_a_sentence_and_3(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    status, _, err = await run("migrate", IAS_DATABASE_URL=database_url)
    assert status == 3
    assert "install the newer version" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["migrate", "bootstrap-admin"])
async def test_no_database_is_said_in_one_line(command: str) -> None:
    status, _, err = await run(command, IAS_DATABASE_URL="postgresql://u:hidden@/x?host=/nonexistent")
    assert status == 1
    assert "Traceback" not in err
    assert "hidden" not in err
    assert len(err.splitlines()) == 1


async def test_a_port_in_use_is_said_in_one_line(database_url: str) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    status, _, err = await run("api", **{**SETTINGS, "IAS_DATABASE_URL": database_url, "IAS_API_LISTEN": f"127.0.0.1:{port}"})
    server.close()
    await server.wait_closed()
    assert status == 1
    assert "ddress already in use" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["api", "worker", "migrate", "bootstrap-admin"])
async def test_every_command_explains_itself(command: str) -> None:
    status, out, _ = await run(command, "--help")
    assert status == 0
    assert "IAS_DATABASE_URL" in out


async def test_check_config_masks_secrets_and_wrong_settings_are_named() -> None:
    status, out, _ = await run("api", "--check-config", **SETTINGS, IAS_DATABASE_URL="postgresql://u:hidden@h/d")
    assert status == 0
    assert "hidden" not in out
    assert "11" * 32 not in out
    assert "s" * 32 not in out
    status, _, err = await run("api", IAS_DATABASE_URL="mysql://u:hidden@h/d", IAS_PEPPERS='{"1": "abcd"}', IAS_TOKEN_SECRET="short")
    assert status == 2
    assert "hidden" not in err
    first, *wrong = err.splitlines()
    assert first == "python -m controlplane api: wrong settings"
    assert [line.partition(":")[0] for line in wrong] == ["  IAS_DATABASE_URL", "  IAS_PEPPERS", "  IAS_TOKEN_SECRET"]


async def test_an_unknown_command_shows_the_commands() -> None:
    status, _, err = await run("fly")
    assert status == 2
    assert "bootstrap-admin" in err
