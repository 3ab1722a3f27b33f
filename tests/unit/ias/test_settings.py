"""Settings: from the environment and from files, frozen, masked, and plain about what is wrong."""

import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pydantic
import pytest
from pydantic import Field, SecretStr

from ias.settings import ConfigError, Settings, load_or_exit


class Example(Settings):
    """Some settings."""

    name: str
    """What it is called."""

    limit_ms: int = Field(default=500, ge=1)
    """How long it may take, in milliseconds."""

    password: SecretStr = SecretStr("")
    """Opens the door."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where it may go."""

    peppers: dict[int, SecretStr] = Field(default={})
    """Secrets by version."""


@pytest.fixture(autouse=True)
def _name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_NAME", "example")


def test_the_environment_is_read() -> None:
    settings = Example.load()
    assert (settings.name, settings.limit_ms) == ("example", 500)


def test_settings_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Example.load().limit_ms = 3


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "peppers").write_text('{"1": "pepp3r"}\n')
    monkeypatch.setenv("IAS_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("IAS_PEPPERS_FILE", str(tmp_path / "peppers"))
    settings = Example.load()
    assert settings.password.get_secret_value() == "s3cret"
    assert settings.peppers[1].get_secret_value() == "pepp3r"


def test_the_variable_is_above_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "name").write_text("from the file")
    monkeypatch.setenv("IAS_NAME_FILE", str(tmp_path / "name"))
    assert Example.load().name == "example"
    monkeypatch.delenv("IAS_NAME")
    assert Example.load().name == "from the file"


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file or directory"), (b"\xff\xfe", "is not text")])
def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("IAS_PASSWORD_FILE", str(path))
    with pytest.raises(ConfigError) as raised:
        Example.load()
    assert str(raised.value) in {f"IAS_PASSWORD_FILE: cannot read {path}: {reason}", f"IAS_PASSWORD_FILE: {path} {reason}"}


def test_every_variable_in_error_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAS_NAME")
    monkeypatch.setenv("IAS_LIMIT_MS", "0")
    monkeypatch.setenv("IAS_LOG_LEVEL", "loud")
    monkeypatch.setenv("IAS_METRICS_ADDRESS", "nowhere")
    with pytest.raises(ConfigError) as raised:
        Example.load()
    assert sorted(line.partition(":")[0] for line in str(raised.value).splitlines()) == [
        "IAS_LIMIT_MS",
        "IAS_LOG_LEVEL",
        "IAS_METRICS_ADDRESS",
        "IAS_NAME",
    ]


@pytest.mark.parametrize("value", ['{"x": "s3cret"}', "s3cret", '["s3cret"]'])
def test_a_secret_in_error_is_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("IAS_PEPPERS", value)
    with pytest.raises(ConfigError, match=r"^IAS_PEPPERS") as raised:
        Example.load()
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_the_description_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_PASSWORD", "s3cret")
    monkeypatch.setenv("IAS_PEPPERS", '{"1": "s3cret", "2": "s3cret"}')
    assert Example.load().describe().splitlines() == [
        "IAS_LOG_LEVEL=info",
        "IAS_METRICS_ADDRESS=",
        "IAS_NAME=example",
        "IAS_LIMIT_MS=500",
        "IAS_PASSWORD=***",
        "IAS_NETWORKS=()",
        "IAS_PEPPERS=1:***,2:***",
    ]


def test_an_unset_secret_is_seen_to_be_unset() -> None:
    assert "IAS_PASSWORD=\n" in Example.load().describe() + "\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | None, str, str]:
    code = None
    try:
        load_or_exit(Example, "example", "An example.", arguments)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_check_config_prints_and_exits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAS_PASSWORD", "s3cret")
    code, out, err = run(capsys, "--check-config")
    assert (code, err) == (0, "")
    assert "IAS_NAME=example" in out
    assert "s3cret" not in out


def test_a_wrong_configuration_is_exit_code_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAS_NAME")
    assert run(capsys) == (2, "", "example: IAS_NAME: not set. What it is called.\n")


def test_many_that_are_wrong_stand_one_below_the_other(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAS_NAME")
    monkeypatch.setenv("IAS_NETWORKS", '["10.0.0.0/8", "nowhere"]')
    code, _, err = run(capsys)
    assert (code, err.splitlines()) == (
        2,
        [
            "example: wrong settings",
            "  IAS_NAME: not set. What it is called.",
            "  IAS_NETWORKS: Input is not a valid IPv4 network; Input is not a valid IPv6 network. Where it may go.",
        ],
    )


def test_help_lists_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "IAS_NAME\n      What it is called. (required)" in out
    assert "IAS_LIMIT_MS\n      How long it may take, in milliseconds. (default: 500)" in out
    assert "IAS_PASSWORD\n      Opens the door. (default: none)" in out


def test_without_arguments_those_of_the_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["example"])
    assert load_or_exit(Example, "example", "An example.").name == "example"
