"""Calendar periods in UTC, as the scripts reckon them (`lua/common.lua`, `start_of`)."""

from datetime import UTC, datetime, timedelta

from ratelimit.ports import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MORE_THAN_A_MONTH = timedelta(days=31)


def period_at(calendar: Period, at_ms: int) -> tuple[int, int]:
    """Return start and end, in ms since 1970, of the period that `at_ms` lies in; the end belongs to the next."""
    start = _start(calendar, _EPOCH + at_ms * _MS)
    match calendar:
        case Period.DAY:
            end = start + timedelta(days=1)
        case Period.WEEK:
            end = start + timedelta(days=7)
        case Period.MONTH:
            end = (start + _MORE_THAN_A_MONTH).replace(day=1)
    return (start - _EPOCH) // _MS, (end - _EPOCH) // _MS


def _start(calendar: Period, moment: datetime) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match calendar:
        case Period.DAY:
            return midnight
        case Period.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        case Period.MONTH:
            return midnight.replace(day=1)
