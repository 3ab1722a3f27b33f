"""An `ias-admin` whose control plane is a function."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ias_admin.cli import main


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Cli:
    """Runs commands; `answers` are used up in order, `requests` is what was asked."""

    capsys: pytest.CaptureFixture[str]
    answers: list[tuple[int, Any] | Exception] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, *arguments: str) -> Ran:
        with pytest.raises(SystemExit) as exit_:
            main(arguments, httpx2.MockTransport(self._answer))
        out, err = self.capsys.readouterr()
        return Ran(int(exit_.value.code or 0), out, err)

    def sign_in(self, **options: str) -> None:
        self.answers.append((200, SESSION))
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        assert self(*arguments, "login", "--username", "admin").code == 0
        self.requests.clear()

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return httpx2.Response(status) if body is None else httpx2.Response(status, json=body)


SESSION = {"token": "t0ken", "expiresAt": "2026-11-21T12:00:00Z", "user": {"id": "u", "username": "admin", "role": "system_admin", "orgId": None}}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "ias" / "config.toml"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config_file: Path) -> Iterator[Cli]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config_file.parents[1]))
    monkeypatch.setenv("IAS_ADMIN_PASSWORD", "correct horse")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    cli = Cli(capsys)
    yield cli
    assert cli.answers == [], "an answer that nobody asked for"


Problem = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def problem() -> Problem:
    def make(status: int, code: str, detail: str) -> tuple[int, dict[str, Any]]:
        return status, {"type": f"/api/problems/{code}", "title": code, "status": status, "detail": detail, "code": code}

    return make
