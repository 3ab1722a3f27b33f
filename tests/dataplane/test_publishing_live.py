"""Changes of models and engines while requests run: level-based, confirmed by Envoy, and no stream is cut."""

import asyncio
import json
from pathlib import Path

import pytest

from controlplane.gateway.bootstrap import BootstrapParams
from controlplane.gateway.file_xds import FileXdsGateway, write_initial_files
from controlplane.gateway.ports import GatewayBackend, GatewayRejected, GatewayRoute, GatewayState, GatewayUnreachable
from controlplane.gateway.render import CDS_FILE, RDS_FILE
from tests.dataplane.conftest import MODEL, Dataplane
from tests.dataplane.stand_ins import Engine, answer_events
from tests.support.envoy import run_envoy

_GONE = "http://127.0.0.1:1"


def files(directory: Path) -> tuple[bytes, bytes]:
    return (directory / CDS_FILE).read_bytes(), (directory / RDS_FILE).read_bytes()


async def test_a_published_model_is_served_when_apply_returns_and_an_unpublished_one_is_not(dataplane: Dataplane) -> None:
    for _ in range(10):
        await dataplane.gateway.apply(dataplane.state(MODEL, "new"))
        assert (await dataplane.chat("new")).status_code == 200
        await dataplane.gateway.apply(dataplane.state(MODEL))
        assert (await dataplane.chat("new")).status_code == 404


async def test_a_model_moves_between_engines_without_a_lost_request(dataplane: Dataplane) -> None:
    other = Engine()
    stop = asyncio.Event()
    statuses: list[int] = []

    async def ask() -> None:
        while not stop.is_set():
            statuses.append((await dataplane.chat()).status_code)

    async with other.serve():
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for url in (other.url, dataplane.engine.url) * 3:
            await dataplane.gateway.apply(GatewayState((GatewayBackend("engine", url),), (GatewayRoute.to_one(MODEL, "engine"),)))
        stop.set()
        await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert other.received
    assert dataplane.engine.received


async def test_twenty_streams_live_through_every_change_even_the_removal_of_their_engine(dataplane: Dataplane) -> None:
    events = 60
    dataplane.engine.answer = answer_events(events, 0.05)
    started = asyncio.Semaphore(0)

    async def stream() -> str:
        body = {"model": MODEL, "stream": True}
        async with dataplane.client.stream("POST", "/v1/chat/completions", json=body, headers={"authorization": "Bearer good"}) as response:
            parts = []
            async for part in response.aiter_text():
                if not parts:
                    started.release()
                parts.append(part)
            return "".join(parts)

    streams = [asyncio.create_task(stream()) for _ in range(20)]
    for _ in streams:
        await started.acquire()
    for number in range(5):
        await dataplane.gateway.apply(dataplane.state(MODEL, f"extra-{number}"))
    await dataplane.gateway.apply(GatewayState())
    assert (await dataplane.chat()).status_code == 404
    assert not any(task.done() for task in streams)
    expected = "".join(f"data: {number}\n\n" for number in range(events))
    assert await asyncio.gather(*streams) == [expected] * 20


async def test_an_engine_that_is_removed_is_gone_from_envoy(dataplane: Dataplane) -> None:
    await dataplane.gateway.apply(GatewayState())
    assert "engine-engine" not in await dataplane.envoy.admin("/clusters")


async def test_what_envoy_refuses_is_told_with_its_reason_and_the_old_state_stays(dataplane: Dataplane) -> None:
    before = files(dataplane.home / "xds")
    broken = GatewayState((GatewayBackend("tls", "https://127.0.0.1:1"), *dataplane.state().backends), (GatewayRoute.to_one(MODEL, "tls"),))
    gateway = FileXdsGateway(dataplane.home / "xds", dataplane.envoy.admin_url, trusted_ca="/nowhere/ca.pem", envoy_log=dataplane.envoy.log)
    with pytest.raises(GatewayRejected, match=r"/nowhere/ca\.pem"):
        await gateway.apply(broken)
    assert files(dataplane.home / "xds") == before
    assert (await dataplane.chat()).status_code == 200
    await gateway.apply(dataplane.state(MODEL, "next"))
    assert (await dataplane.chat("next")).status_code == 200


async def test_without_envoys_log_the_refusal_says_where_to_look(dataplane: Dataplane) -> None:
    gateway = FileXdsGateway(dataplane.home / "xds", dataplane.envoy.admin_url, trusted_ca="/nowhere/ca.pem")
    with pytest.raises(GatewayRejected, match="its log says why"):
        await gateway.apply(GatewayState((GatewayBackend("tls", "https://127.0.0.1:1"),)))


async def test_an_envoy_that_is_gone_is_unreachable_and_nothing_is_written(dataplane: Dataplane) -> None:
    dataplane.envoy.process.kill()
    dataplane.envoy.process.wait()
    before = files(dataplane.home / "xds")
    with pytest.raises(GatewayUnreachable):
        await dataplane.gateway.apply(dataplane.state(MODEL, "new"))
    assert files(dataplane.home / "xds") == before


async def test_a_state_that_names_an_unknown_backend_is_refused_before_anything_is_written(dataplane: Dataplane) -> None:
    before = files(dataplane.home / "xds")
    with pytest.raises(GatewayRejected, match="not there"):
        await dataplane.gateway.apply(GatewayState((), (GatewayRoute.to_one(MODEL, "missing"),)))
    assert files(dataplane.home / "xds") == before


async def test_a_restarted_control_plane_goes_on_from_the_files(dataplane: Dataplane) -> None:
    restarted = FileXdsGateway(dataplane.home / "xds", dataplane.envoy.admin_url)
    assert (await dataplane.chat()).status_code == 200
    await restarted.apply(GatewayState((GatewayBackend("other", _GONE),), (GatewayRoute.to_one("other", "other"),)))
    assert (await dataplane.chat()).status_code == 404


async def test_a_restarted_envoy_serves_what_was_published(dataplane: Dataplane) -> None:
    """Its files are all that it needs: no control plane has to run."""
    sockets = {name: (f"unix:{dataplane.home}/{name}.sock",) for name in ("extauth", "extproc")}
    dataplane.envoy.process.kill()
    async with run_envoy(dataplane.home, BootstrapParams(xds_directory=dataplane.home / "xds", **sockets)) as envoy:
        body = {"model": MODEL}
        answer = await dataplane.client.post(f"{envoy.url}/v1/chat/completions", json=body, headers={"authorization": "Bearer good"})
    assert answer.status_code == 200


async def test_a_file_that_was_damaged_is_replaced(dataplane: Dataplane) -> None:
    (dataplane.home / "xds" / RDS_FILE).write_text('{"version_info": "')
    await dataplane.gateway.apply(dataplane.state(MODEL))
    assert json.loads((dataplane.home / "xds" / RDS_FILE).read_text())["version_info"]
    assert (await dataplane.chat()).status_code == 200


@pytest.mark.parametrize("name", [CDS_FILE, RDS_FILE])
async def test_what_was_changed_by_hand_is_repaired_even_under_the_same_version(dataplane: Dataplane, name: str) -> None:
    file = dataplane.home / "xds" / name
    before = file.read_text()
    by_hand = before.replace(MODEL, "nobody") if name == RDS_FILE else before.replace('"connect_timeout":"2s"', '"connect_timeout":"never"')
    assert by_hand != before
    temporary = file.with_suffix(".new")
    temporary.write_text(by_hand)
    temporary.replace(file)
    if name == RDS_FILE:
        while (await dataplane.chat()).status_code == 200:
            pass
    await dataplane.gateway.apply(dataplane.state(MODEL))
    assert (await dataplane.chat()).status_code == 200
    assert file.read_text() == before


async def test_a_file_that_was_deleted_is_written_again(dataplane: Dataplane) -> None:
    (dataplane.home / "xds" / RDS_FILE).unlink()
    await dataplane.gateway.apply(dataplane.state(MODEL))
    assert (dataplane.home / "xds" / RDS_FILE).exists()
    assert (await dataplane.chat()).status_code == 200


async def test_the_same_state_again_writes_nothing(dataplane: Dataplane) -> None:
    written = (dataplane.home / "xds" / RDS_FILE).stat().st_mtime_ns
    await dataplane.gateway.apply(dataplane.state(MODEL))
    assert (dataplane.home / "xds" / RDS_FILE).stat().st_mtime_ns == written


async def test_concurrent_changes_are_applied_one_after_the_other(dataplane: Dataplane) -> None:
    await asyncio.gather(*(dataplane.gateway.apply(dataplane.state(MODEL, f"model-{number}")) for number in range(5)))
    assert (await dataplane.chat("model-4")).status_code == 200
    assert (await dataplane.chat("model-3")).status_code == 404


async def test_one_more_of_five_thousand_models_is_live_when_apply_returns(dataplane: Dataplane) -> None:
    models = [f"org/model-{number}" for number in range(5000)]
    await dataplane.gateway.apply(dataplane.state(*models))
    await dataplane.gateway.apply(dataplane.state(*models, "one-more"))
    assert (await dataplane.chat("one-more")).status_code == 200
    assert (await dataplane.chat(models[-1])).status_code == 200


def test_initial_files_are_made_once_and_kept(tmp_path: Path) -> None:
    write_initial_files(tmp_path / "xds")
    first = files(tmp_path / "xds")
    (tmp_path / "xds" / CDS_FILE).write_text("")
    write_initial_files(tmp_path / "xds")
    assert files(tmp_path / "xds") == first
    changed = (tmp_path / "xds" / RDS_FILE).read_text().replace('"version_info":"', '"version_info":"kept')
    (tmp_path / "xds" / RDS_FILE).write_text(changed)
    write_initial_files(tmp_path / "xds")
    assert (tmp_path / "xds" / RDS_FILE).read_text() == changed
