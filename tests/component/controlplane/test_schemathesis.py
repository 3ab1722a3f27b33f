"""schemathesis, all checks, on the API as a process of its own with a real PostgreSQL: no 5xx, every answer as documented.

`make schemathesis-long` does the same for SCHEMATHESIS_SECONDS.
"""

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import httpx2
import pytest

from benchmarks.api import first_admin, replicas, sign_in
from controlplane.api import OPERATIONS
from controlplane.problems import raised_by
from controlplane.routes import Operation
from tools.openapi_doc import PATH

SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "40"))
IS_LONG = SECONDS > 300
HERE = Path(__file__).parent
RULES_OF_FORM = {
    "approval.*": "models are named, or meant by backend and pattern",
    "backend.create": "either an address, or an object of the cluster",
    "catalog.set_price": "how many digits a decimal has",
    "org_publishing.set": "how host names are spelled",
    "*_budget.increase": "its end lies ahead",
    "key.bulk_revoke": "the filter says which keys, not all",
    "*_limits.set": "a burst needs its rate",
    "org.create": "a slug can be made of the name, or is given",
    "key.create": "its end lies ahead",
    "key.update": "its end lies ahead",
    "quota_request.*": "an end lies ahead; what is given depends on the kind",
}
"""Operations whose bodies have rules that no schema can say, with the rule: 422 is right for a body that fits the schema."""
CHAINS = re.compile(r"API Links:\s+(\d+) covered")


def expected_statuses(operation: Operation, parameters: set[str]) -> list[str]:
    """What a call whose form is right may be answered: done, or what depends on the state and no schema can say."""
    of_state = {str(status) for entry in raised_by(operation.name) for status in entry.statuses}
    of_form = {
        "404": "{" in operation.path,
        # A short run must not turn red by luck for a rule of form that nobody knew of: those the long one finds.
        "422": not IS_LONG or any(fnmatchcase(operation.name, pattern) for pattern in RULES_OF_FORM),
        "400": "cursor" in parameters,  # one that was not given out
        "412": "if-match" in parameters,
        "401": operation.name in {"session.delete", "password.change"},  # a call before it may have ended the session
        "409": operation.method == "POST",  # an Idempotency-Key that is in use
    }
    return ["2xx", *sorted(of_state | {status for status, applies in of_form.items() if applies})]


def configuration() -> str:
    """What is held against each operation: every check, but for the one that `schemathesis_hooks.py` has in its own form."""
    parts = ["[checks]", "enabled = true"]  # not by --checks, which would win over what is said of an operation
    parts += ["[checks.use_after_free]", "enabled = false"]
    parts += ["[checks.positive_data_acceptance]", 'expected-statuses = ["2xx"]']
    document = json.loads(PATH.read_text())["paths"]
    for operation in OPERATIONS:
        if not operation.route.include_in_schema:
            continue
        described = document[f"/api{operation.route.path_format}"][operation.method.lower()]
        parameters = {parameter["name"].lower() for parameter in described.get("parameters", ())}
        parts += ["[[operations]]", f'include-operation-id = "{operation.name}"']
        parts += [f"checks.positive_data_acceptance.expected-statuses = {json.dumps(expected_statuses(operation, parameters))}"]
    return "\n".join(parts)


@pytest.mark.parametrize(("phases", "share"), [("coverage,fuzzing", 0.5), ("stateful", 0.5)], ids=["each", "chains"])
@pytest.mark.timeout(SECONDS * 3 + 120)
def test_every_answer_is_as_documented(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phases: str, share: float) -> None:
    monkeypatch.setenv("IAS_TRUSTED_PROXIES", "127.0.0.0/8")
    (config := tmp_path / "schemathesis.toml").write_text(configuration())
    with replicas(database_url, 1, tmp_path) as (api,):
        address = api.address
        monkeypatch.setenv("IAS_TEST_API", address)
        monkeypatch.setenv("IAS_TEST_TOKEN", sign_in(address, first_admin(database_url)))
        monkeypatch.setenv("SCHEMATHESIS_HOOKS", str(HERE / "schemathesis_hooks.py"))
        command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run", f"{address}/api/openapi.json"]
        command += ["--phases", phases, "--max-time", str(int(SECONDS * share)), "--seed", SEED]
        command += ["--continue-on-failure", "--warnings", "off", "--no-color"]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        print(ran.stdout)  # operations, cases, what was skipped: `make schemathesis-long` shows it
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
        if phases == "stateful":
            covered = CHAINS.search(ran.stdout)
            assert covered is not None, ran.stdout
            assert int(covered[1]) > 0, "no call was made with what another one has made"
        assert httpx2.get(f"{address}/readyz").status_code == 200
    failures = [line for line in (tmp_path / "api-0.log").read_text().splitlines() if '"level": "error"' in line]
    assert not failures, json.dumps(failures[:3])
