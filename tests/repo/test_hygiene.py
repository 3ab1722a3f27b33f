"""Nothing of the machine that it was written on gets into the repository, and what is installed is pinned by hash."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.repo.tracked import ROOT, tracked

LOCKS = sorted(path for path in tracked(".txt") if path.parts[0] == "requirements")
ABSOLUTE = re.compile(rf"(?<![\w.:/$}}-])(?:/work|/root|{re.escape(str(Path.home()))})/")
REGISTRIES = re.compile(r"https?://[^\s\"')>]*(?:pypi|pythonhosted|registry|artifactory|nexus)[^\s\"')>]*", re.IGNORECASE)
PUBLIC_PAGES = re.compile(r"https://pypi\.org/project/[\w-]+/?")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path, (ROOT / path).read_text()))
        except UnicodeDecodeError:
            continue
    return found


def test_no_path_of_a_machine() -> None:
    assert [(str(path), match[0]) for path, text in texts() if path != Path(__file__).relative_to(ROOT) for match in ABSOLUTE.finditer(text)] == []


def test_no_address_of_a_registry() -> None:
    found = [(str(path), match[0]) for path, text in texts() for match in REGISTRIES.finditer(text) if not PUBLIC_PAGES.fullmatch(match[0])]
    assert [(path, url) for path, url in found if path != str(Path(__file__).relative_to(ROOT))] == []


def own_registries() -> set[str]:
    """Hosts that this machine installs from, when they are not the public one."""
    settings = [value for name, value in os.environ.items() if re.search(r"(PIP|UV).*(INDEX|PROXY)", name)]
    for file in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/uv/uv.toml"):
        if file.is_file():
            settings += re.findall(r"https?://[^\s\"']+", file.read_text())
    return {host for setting in settings if (host := urlsplit(setting.strip()).hostname)} - {"pypi.org", "localhost", "127.0.0.1"}


def test_no_name_of_the_registry_that_this_machine_uses() -> None:
    assert [(str(path), host) for host in own_registries() for path, text in texts() if host in text] == []


def test_no_private_key() -> None:
    assert [str(path) for path, text in texts() if PRIVATE_KEY.search(text)] == []


def test_there_are_lock_files_for_each_way_to_install() -> None:
    assert {path.stem for path in LOCKS} >= {"uv", "demo", "dev"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_pins_by_hash_and_names_no_address(lock: Path) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    requirements = [entry for entry in re.split(r"(?<!\\)\n", re.sub(r"(?m)^\s*#.*\n?", "", text)) if entry.strip()]
    assert requirements
    assert [entry for entry in requirements if not re.match(r"[\w.\[\],-]+==\S+", entry) or "--hash=sha256:" not in entry] == []
