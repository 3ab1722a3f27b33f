"""The home: private, locked, versioned, and never half-made."""

import json
import os
from pathlib import Path

import pytest

from standalone import home as homes
from standalone.home import Home, HomeError, HomeTooNew, open_home


@pytest.fixture(autouse=True)
def runtime_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "run"
    root.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
    monkeypatch.setattr(homes, "_SOCKET_PATH_BYTES", 300)  # pytest's folders are longer than a person's
    return root


@pytest.fixture
def opened(tmp_path: Path) -> Home:
    return open_home(tmp_path / "deep" / "home")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_home_and_runtime_are_private(opened: Home) -> None:
    assert [mode(path) for path in (opened.path, opened.secrets, opened.logs, opened.runtime)] == [0o700] * 4
    assert json.loads((opened.path / "home.json").read_text()) == {"version": homes.VERSION}


def test_a_home_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    assert mode(open_home(tmp_path / "home").path) == 0o700


def test_a_secret_is_made_once_and_is_private(opened: Home) -> None:
    path = opened.secret_file("pepper", homes.random_secret)
    first = path.read_text()
    assert mode(path) == 0o600
    assert len(bytes.fromhex(first)) == 32
    assert opened.secret_file("pepper", homes.random_secret).read_text() == first


def test_a_second_start_on_the_same_home_is_told_who_holds_it(opened: Home) -> None:
    with pytest.raises(HomeError, match=f"already runs on the home .* \\(process {os.getpid()}\\)") as refused:
        open_home(opened.path)
    assert refused.value.exit_code == 1
    opened.close()
    open_home(opened.path).close()


def test_closing_removes_the_sockets_only(opened: Home) -> None:
    (opened.runtime / "x.sock").touch()
    opened.close()
    assert not opened.runtime.exists()
    assert (opened.path / "home.json").exists()


@pytest.mark.parametrize("marker", ['{"version": 2}', '{"version": 99, "more": 1}'])
def test_a_newer_home_is_left_alone(tmp_path: Path, marker: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "home.json").write_text(marker)
    with pytest.raises(HomeTooNew, match="newer release") as refused:
        open_home(home)
    assert refused.value.exit_code == 3
    assert sorted(path.name for path in home.iterdir()) == ["home.json", "lock"]


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"version": "1"}', "{}"])
def test_a_damaged_marker_is_not_guessed_at(tmp_path: Path, marker: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "home.json").write_text(marker)
    with pytest.raises(HomeError):
        open_home(home)
    assert (home / "home.json").read_text() == marker


def test_a_folder_with_other_things_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(HomeError, match="is not a home of IAS"):
        open_home(tmp_path)
    assert not (tmp_path / "lock").exists()


def test_a_file_in_place_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(HomeError, match="cannot be used"):
            open_home(path)


def test_the_runtime_directory_of_a_stranger_is_refused(tmp_path: Path, runtime_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_home(tmp_path / "home")
    home.close()
    home.runtime.symlink_to(tmp_path)
    with pytest.raises(HomeError, match="belongs to somebody else"):
        open_home(tmp_path / "home")


def test_sockets_find_a_short_path_whatever_the_home_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "_SOCKET_PATH_BYTES", 107)
    long = tmp_path / ("long" * 40)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    home = open_home(tmp_path / "home")
    try:
        assert len(os.fsencode(home.runtime / "pg" / ".s.PGSQL.5432")) <= 107
    finally:
        home.close()


def test_a_private_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    homes.write_private(path, "old")

    def refuse(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        homes.write_private(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.glob(".secret*")) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"IAS_HOME": "/x/y"}, "/x/y"),
        ({"XDG_DATA_HOME": "/data"}, "/data/ias"),
        ({"HOME": "/home/ann", "XDG_DATA_HOME": ""}, "/home/ann/.local/share/ias"),
    ],
    ids=["IAS_HOME", "XDG", "default"],
)
def test_where_the_home_is_by_default(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert homes.default_path() == Path(expected)
