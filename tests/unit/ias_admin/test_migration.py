"""`ias-admin publish migrate`: a plan, then what it says; safe to repeat, and no key gets out by accident."""

import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

from ias_admin.cli import main
from tests.support.old_exports import OLD_KEY, export, published
from tests.unit.ias_admin.conftest import Ran

NEW_KEY = "ias_live_new"


@dataclass
class ControlPlane:
    """As much of one as a migration meets."""

    capsys: pytest.CaptureFixture[str]
    orgs: set[str] = field(default_factory=lambda: {"tenant-a", "tenant-b"})
    models: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(("iris", "mnist"), True))
    published: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    """Models that cannot be published, and the status that says so."""
    posts: list[Any] = field(default_factory=list)

    def __call__(self, *arguments: str) -> Ran:
        with pytest.raises(SystemExit) as exit_:
            main(("publish", "migrate", *arguments), httpx2.MockTransport(self._answer))
        out, err = self.capsys.readouterr()
        assert OLD_KEY not in out + err
        assert NEW_KEY not in out + err
        return Ran(int(exit_.value.code or 0), out, err)

    def what(self, *arguments: str) -> dict[str, tuple[str, str]]:
        """(what, detail) by tenant/model."""
        rows = json.loads(self(*arguments, "-o", "json").out)
        return {f"{row['tenant']}/{row['model']}": (row["what"], row["detail"]) for row in rows}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        match [unquote(part) for part in request.url.raw_path.decode().partition("?")[0].split("/")[2:]]:
            case ["backend"]:
                items = [{"models": [name], "health": "healthy" if healthy else "unhealthy"} for name, healthy in self.models.items()]
                return httpx2.Response(200, json={"items": items, "nextCursor": None})
            case ["org", slug]:
                return httpx2.Response(200, json={"slug": slug}) if slug in self.orgs else problem(404, "org_not_found")
            case ["models", name, "publish"] if request.method == "GET":
                return httpx2.Response(200, json=self.published[name]) if name in self.published else problem(404, "NOT_PUBLISHED")
            case ["models", name, "publish"]:
                config = json.loads(request.content)["config"]
                self.posts.append((name, config))
                if name in self.refuses:
                    return problem(self.refuses[name], "MODEL_NOT_READY")
                self.published[name] = {"rateLimiting": {}, "endpoint": "https://here/v1", **config}
                return httpx2.Response(201, json={**self.published[name], "apiKey": NEW_KEY})
        raise AssertionError(request.url)


def problem(status: int, code: str) -> httpx2.Response:
    return httpx2.Response(status, json={"detail": f"It is {status}.", "code": code})


@pytest.fixture
def plane(capsys: pytest.CaptureFixture[str]) -> ControlPlane:
    return ControlPlane(capsys)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write(tmp_path, published("iris"), published("mnist", "tenant-b"))


def write(folder: Path, *items: dict[str, Any]) -> str:
    path = folder / "backup.yaml"
    path.write_text(export(*items))
    return str(path)


def test_a_plan_changes_nothing(plane: ControlPlane, file: str) -> None:
    ran = plane(file)
    assert ran.code == 0
    assert [line.split()[:3] for line in ran.out.splitlines()[2:]] == [["tenant-a", "iris", "publish"], ["tenant-b", "mnist", "publish"]]
    assert "requestsPerMinute=100" in ran.out
    assert "api.router.inference-in-a-box/published/models/iris" in ran.out
    assert "--apply" in ran.err
    assert plane.posts == []


def test_applied_it_publishes_each_once_and_again_does_nothing(plane: ControlPlane, file: str) -> None:
    assert plane.what(file, "--apply") == {"tenant-a/iris": ("published", "https://here/v1"), "tenant-b/mnist": ("published", "https://here/v1")}
    name, config = plane.posts[0]
    assert (name, config) == (
        "iris",
        {
            "tenantId": "tenant-a",
            "modelType": "traditional",
            "publicHostname": "api.router.inference-in-a-box",
            "externalPath": "/published/models/iris",
            "rateLimiting": {"requestsPerMinute": 100, "requestsPerHour": 5000, "burstLimit": 10},
        },
    )
    assert plane.what(file, "--apply") == {"tenant-a/iris": ("exists", "as it was"), "tenant-b/mnist": ("exists", "as it was")}
    assert len(plane.posts) == 2


def test_what_was_changed_since_stays(plane: ControlPlane, file: str) -> None:
    plane.what(file, "--apply")
    plane.published["iris"]["rateLimiting"] = {"requestsPerMinute": 7, "requestsPerHour": 5000, "burstLimit": 10}
    assert plane.what(file, "--apply")["tenant-a/iris"] == ("exists", "left as it is: requestsPerMinute is 7, was 100")


def test_new_keys_are_kept_only_where_they_were_asked_for(plane: ControlPlane, file: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.jsonl"
    plane.refuses["mnist"] = 409
    assert plane(file, "--apply", "--keys-file", str(keys)).code == 1
    plane.refuses.clear()
    ran = plane(file, "--apply", "--keys-file", str(keys))
    assert ran.code == 0
    assert f"New API keys are in {keys}" in ran.err
    lines = [json.loads(line) for line in keys.read_text().splitlines()]
    assert lines == [{"tenantId": f"tenant-{of}", "modelName": model, "apiKey": NEW_KEY} for of, model in (("a", "iris"), ("b", "mnist"))]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_a_file_that_others_read_gets_no_keys(plane: ControlPlane, file: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.touch(0o644)
    ran = plane(file, "--apply", "--keys-file", str(keys))
    assert (ran.code, "chmod 600" in ran.err, plane.posts) == (2, True, [])
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert plane(file, "--apply", "--keys-file", str(link)).code == 1
    assert plane.posts == []


def test_one_that_fails_stops_no_other(plane: ControlPlane, file: str) -> None:
    plane.refuses["iris"] = 409
    ran = plane(file, "--apply", "-o", "json")
    assert ran.code == 1
    assert [(row["what"], row["detail"]) for row in json.loads(ran.out)] == [
        ("failed", "It is 409. (MODEL_NOT_READY)"),
        ("published", "https://here/v1"),
    ]
    assert "1 of 2 were not taken over" in ran.err


@pytest.mark.parametrize("status", [401, 503])
def test_what_is_wrong_for_all_ends_it_and_it_goes_on_later(plane: ControlPlane, file: str, status: int) -> None:
    plane.refuses["iris"] = status
    found = plane.what(file, "--apply")
    assert found["tenant-a/iris"][0] == "failed"
    assert found["tenant-b/mnist"] == ("publish", "not tried")
    plane.refuses.clear()
    assert {what for what, _ in plane.what(file, "--apply").values()} == {"published"}


def test_what_would_fail_is_said_beforehand(plane: ControlPlane, tmp_path: Path) -> None:
    plane.orgs = {"tenant-a"}
    plane.models["mnist"] = False
    plane.published["taken"] = {"tenantId": "tenant-z", "rateLimiting": {}}
    models = [published(name) for name in ("iris", "mnist", "nowhere", "taken")]
    file = write(tmp_path, *models, published("iris", "tenant-c"), published("other", "tenant-b"), published("gone", status="deleted"))
    found = plane.what(file)
    assert found.pop("tenant-a/iris") == ("publish", "")
    assert {name: what for name, (what, _) in found.items()} == dict.fromkeys(found, "refused")
    for name, reason in {
        "tenant-a/mnist": "is not healthy",
        "tenant-a/nowhere": "ias-admin backend add",
        "tenant-a/taken": "belongs to the tenant 'tenant-z'",
        "tenant-c/iris": "the name is that of tenant-a/published-model-metadata-iris",
        "tenant-b/other": "there is no org 'tenant-b'",
        "tenant-a/gone": "its status is 'deleted'",
    }.items():
        assert reason in found[name][1]
    assert plane(file).code == 1


def test_options_hold_for_all(plane: ControlPlane, file: str) -> None:
    plane.orgs, plane.models = {"acme", "tenant-b"}, {}
    plane.what(file, "--apply", "--tenant", "tenant-a=acme", "--hostname", "api.example.com", "--backend", "kserve")
    assert [(config["tenantId"], config["publicHostname"], config["backend"]) for _, config in plane.posts] == [
        ("acme", "api.example.com", "kserve"),
        ("tenant-b", "api.example.com", "kserve"),
    ]


def test_wrong_use(plane: ControlPlane, file: str, tmp_path: Path) -> None:
    assert plane(str(tmp_path / "nothing.yaml")).code == 2
    assert plane(file, "--tenant", "tenant-a").code == 2
    (tmp_path / "other.txt").write_text("hello")
    assert plane(str(tmp_path / "other.txt")).code == 2
    empty = plane(write(tmp_path))
    assert (empty.code, "no publication" in empty.err) == (0, True)


def test_a_dry_run_shows_the_first_request(plane: ControlPlane, file: str) -> None:
    ran = plane(file, "--apply", "--dry-run")
    assert json.loads(ran.out)["path"] == "/api/models/iris/publish"
    assert plane.posts == []
