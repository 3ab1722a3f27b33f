"""How an engine's counters are followed over restarts, and when a difference is an alarm. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

LEAST_TOKENS = 10_000
"""Below, requests that are running weigh too much for an alarm."""


class Tokens(NamedTuple):
    """Of prompts, and of what was made."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Followed:
    """One model of one engine since a starting point."""

    since: datetime
    counted: Tokens
    """By the engine, since then."""
    last: Tokens
    """What its counters said at `read_at`."""
    read_at: datetime
    resets: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One model of one engine."""

    backend: str
    model: str
    since: datetime
    engine: Tokens
    ledger: Tokens
    resets: int

    @property
    def tokens(self) -> Tokens:
        """Engine minus ledger. Running requests are in the engine's counters and not in the ledger yet."""
        return Tokens(self.engine.input - self.ledger.input, self.engine.output - self.ledger.output)

    def is_alarm(self, tolerance: float) -> bool:
        """Whether either difference is more than a share `tolerance` of all tokens."""
        total = max(sum(self.engine), sum(self.ledger))
        return total >= LEAST_TOKENS and max(map(abs, self.tokens)) > tolerance * total


def follow(known: Followed | None, seen: Tokens, read_at: datetime) -> Followed:
    """Return what is known after counters were read.

    The starting point is the first reading, and again the first of each day (UTC), so that a difference is one of today; and the first
    after the engine has restarted: what it counted between the last reading and its end is not known. Readings that come out of order
    change nothing.
    """
    if known is None:
        return Followed(read_at, Tokens(0, 0), seen, read_at)
    if read_at <= known.read_at:
        return known
    if seen.input < known.last.input or seen.output < known.last.output:
        return Followed(read_at, Tokens(0, 0), seen, read_at, known.resets + 1)
    if known.since.date() != read_at.date():
        return Followed(read_at, Tokens(0, 0), seen, read_at, known.resets)
    grown = Tokens(known.counted.input + seen.input - known.last.input, known.counted.output + seen.output - known.last.output)
    return replace(known, counted=grown, last=seen, read_at=read_at)


def table(differences: list[Difference]) -> str:
    """Lay the differences out for people, a line for each model of each engine."""
    head = ("engine", "model", "since", "engine in", "ledger in", "difference", "engine out", "ledger out", "difference", "restarts")
    rows = [head, *(_row(difference) for difference in differences)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(one: Difference) -> tuple[str, ...]:
    inputs = (one.engine.input, one.ledger.input, one.tokens.input)
    outputs = (one.engine.output, one.ledger.output, one.tokens.output)
    return (one.backend, one.model, one.since.strftime("%Y-%m-%d %H:%M:%SZ"), *map(str, (*inputs, *outputs, one.resets)))
