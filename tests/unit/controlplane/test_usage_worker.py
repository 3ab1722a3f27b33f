"""What the worker is told, what it keeps and what it refuses because it is too old."""

from datetime import UTC, datetime

import pytest

from controlplane.usage.app import _acceptance
from controlplane.usage.settings import WorkerSettings
from controlplane.usage.upkeep import oldest_kept
from ias.ids import uuid7
from ias.settings import ConfigError
from tests.support.usage_events import event


@pytest.mark.parametrize(
    ("now", "months", "oldest"),
    [
        (datetime(2026, 11, 21, 9, tzinfo=UTC), 2, datetime(2026, 9, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), 13, datetime(2024, 12, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), 12, datetime(2025, 12, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), 0, datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_whole_months_are_kept_beside_the_current_one(now: datetime, months: int, oldest: datetime) -> None:
    assert oldest_kept(now, months) == oldest


def test_an_event_of_a_month_that_was_dropped_is_refused() -> None:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    old, fresh = event(1, event_id=str(uuid7(now_ms - 200 * 86_400_000))), event(1, event_id=str(uuid7(now_ms)))
    _acceptance(0)(old)
    _acceptance(2)(fresh)
    with pytest.raises(ValueError, match="older than what the ledger keeps"):
        _acceptance(2)(old)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "IAS_SPOOL_DIRS needs at least one directory, or IAS_KAFKA_BOOTSTRAP a broker"),
        ({"IAS_SPOOL_DIRS": " , "}, "IAS_SPOOL_DIRS needs at least one directory"),
        ({"IAS_SPOOL_DIRS": "/spool", "IAS_LEDGER_MONTHS": "1"}, "at least 2 months"),
    ],
)
def test_settings_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name, value in {"IAS_DATABASE_URL": "postgresql://x", "IAS_VALKEY_URL": "redis://x", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        WorkerSettings.load()


def test_kafka_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IAS_DATABASE_URL": "postgresql://x", "IAS_VALKEY_URL": "redis://x", "IAS_KAFKA_BOOTSTRAP": "k:9092"}.items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings.load().spool_dirs == ()
