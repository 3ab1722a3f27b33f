"""The test set-up itself holds its promises."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_socket

SKIPPING = """
import pytest
from tests.support.skips import *

def test_left_out():
    pytest.skip("no engine here")
"""


def test_the_network_is_out_of_reach() -> None:
    # pytest-socket warns before it raises, and here warnings are errors.
    with pytest.raises((pytest_socket.SocketBlockedError, UserWarning), match="tried to use socket"):
        socket.socket(socket.AF_INET)


async def test_a_loop_runs_without_the_network() -> None:
    await asyncio.sleep(0)


def test_own_settings_of_the_shell_are_gone() -> None:
    assert [name for name in os.environ if name.startswith("IAS_") and not name.startswith("IAS_E2E_")] == []


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)], ids=["in CI a skip fails", "elsewhere it does not"])
def test_skips(tmp_path: Path, ci: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text("from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport\n")
    (tmp_path / "test_it.py").write_text(SKIPPING)
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(root), "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert ("nothing may be left out: Skipped: no engine here" in run.stdout) == (code == 1)
