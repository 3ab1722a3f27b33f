"""schemathesis, all checks, on the API as a process of its own with a real PostgreSQL: no 5xx, every answer as documented.

`make schemathesis-long` does the same for SCHEMATHESIS_SECONDS.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from benchmarks.api import replicas, sign_in

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "40"))
CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.mark.timeout(SECONDS * 3 + 120)
def test_every_answer_is_as_documented(database_url: str, tmp_path: Path) -> None:
    with replicas(database_url, 1, tmp_path) as (address,):
        token = sign_in(address, database_url)
        command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(CONFIG), "run", f"{address}/api/openapi.json"]
        command += ["--header", f"Authorization: Bearer {token}", "--checks", "all", "--phases", "coverage,stateful,fuzzing"]
        command += ["--max-time", str(SECONDS), "--seed", "1", "--continue-on-failure", "--warnings", "off", "--no-color"]
        # Signing out would end the session that all others use; guesses of passwords are slowed down on purpose.
        command += [f"--exclude-tag={tag}" for tag in ("sign-in",)]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
        assert httpx2.get(f"{address}/readyz").status_code == 200
    failures = [line for line in (tmp_path / "api-0.log").read_text().splitlines() if '"level": "error"' in line]
    assert not failures, json.dumps(failures[:3])
