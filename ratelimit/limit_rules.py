"""Limits that are configured here, for descriptors of the Rate Limit Service that bring none. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ias.model_patterns import matches
from protos import ratelimit_pb2


class LimitUnit(StrEnum):
    """The units of Envoy. They are lengths of time here, not pages of a calendar: a month has 30 days, a year 365."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def of_envoy(self) -> ratelimit_pb2.RateLimitUnit:
        """Envoy's number of it."""
        return _UNITS[self][0]

    @property
    def ms(self) -> int:
        """Its length."""
        return _UNITS[self][1]


_DAY_MS = 24 * 3_600_000
_UNITS: Final = {
    LimitUnit.SECOND: (ratelimit_pb2.SECOND, 1_000),
    LimitUnit.MINUTE: (ratelimit_pb2.MINUTE, 60_000),
    LimitUnit.HOUR: (ratelimit_pb2.HOUR, 3_600_000),
    LimitUnit.DAY: (ratelimit_pb2.DAY, _DAY_MS),
    LimitUnit.WEEK: (ratelimit_pb2.WEEK, 7 * _DAY_MS),
    LimitUnit.MONTH: (ratelimit_pb2.MONTH, 30 * _DAY_MS),
    LimitUnit.YEAR: (ratelimit_pb2.YEAR, 365 * _DAY_MS),
}


@dataclass(frozen=True, slots=True)
class LimitRule:
    """One limit for all descriptors that it names; each of them has a bucket of its own."""

    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012  (read where a setting is of this type)

    name: str
    """What a client reads when it is reached."""
    domain: str
    """Envoy's domain; `*` stands for any characters."""
    entries: tuple[tuple[str, str], ...]
    """Key and value of every entry of the descriptor, in order; `*` stands for any characters."""
    requests_per_unit: int
    unit: LimitUnit
    dry_run: bool = False
    """Never refuses; the metric `ias_limit_would_refuse_total` says what it would have done."""

    def __post_init__(self) -> None:
        if not self.name or not self.entries or not 0 <= self.requests_per_unit < 1 << 32:
            raise ValueError("a limit needs a name, at least one entry, and 0 to 4294967295 requests_per_unit")

    def names(self, domain: str, entries: Sequence[tuple[str, str]]) -> bool:
        """Whether it is for such a descriptor."""
        return (
            len(entries) == len(self.entries)
            and matches(domain, self.domain)
            and all(
                matches(key, key_pattern) and matches(value, value_pattern)
                for (key, value), (key_pattern, value_pattern) in zip(entries, self.entries, strict=True)
            )
        )
