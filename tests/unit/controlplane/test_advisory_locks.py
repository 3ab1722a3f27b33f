"""Two things under one advisory lock would wait for each other, and nobody would see why."""

import re
from pathlib import Path

from controlplane import advisory_locks
from ias.gateway_views import CHANGE_LOCK

ROOT = Path(__file__).parents[3]
WHERE = {Path("controlplane/advisory_locks.py"), Path("ias/gateway_views.py")}


def test_each_lock_has_a_number_of_its_own() -> None:
    numbers = [CHANGE_LOCK, *(number for name, number in vars(advisory_locks).items() if name.isupper())]
    assert len(numbers) >= 6
    assert sorted(numbers) == sorted(set(numbers))


def test_they_are_found_in_one_place() -> None:
    files = [path for package in ("controlplane", "ias", "extauth", "extproc", "ratelimit", "standalone") for path in (ROOT / package).rglob("*.py")]
    taken = {path.relative_to(ROOT) for path in files if re.search("(?i)0x1a5c4a", path.read_text())}
    assert taken == WHERE


def test_the_trigger_takes_the_lock_that_the_sealer_waits_for() -> None:
    migration = next((ROOT / "controlplane/migrations/versions").glob("0007_*.py")).read_text()
    assert f"pg_advisory_xact_lock_shared({advisory_locks.AUDIT_WRITERS})" in migration
