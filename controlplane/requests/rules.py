"""A request told in order: who, what was decided and why, where it went, how it ended, what it cost. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ias.usage_event import Outcome, UsageSource

_ENDS = {
    Outcome.COMPLETE: "The answer went out complete",
    Outcome.CLIENT_ABORT: "The client went away, or the connection to it broke, before the answer was complete",
    Outcome.UPSTREAM_ERROR: "The engine failed",
    Outcome.LOST: "Nobody saw the end: a process of the gateway ended first",
}
_SOURCES = {
    UsageSource.REPORTED: "as the engine reported them",
    UsageSource.COUNTED: "counted as they passed, because the engine reported none",
    UsageSource.ESTIMATED: "estimated, because nothing countable passed",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    text: str


class Admitted(Protocol):
    """What is asked of a row of the ledger."""

    admitted_at: datetime
    ended_at: datetime
    recorded_at: datetime
    org: str | None
    username: str | None
    key_name: str | None
    model: str
    upstream_model: str
    endpoint: str
    backend: str | None
    stream: bool
    outcome: str
    http_status: int
    input_tokens: int
    output_tokens: int
    usage_source: str
    held_tokens: int
    time_to_first_token_ms: int | None
    duration_ms: int


class Refused(Protocol):
    """What is asked of a sample."""

    at: datetime
    org: str | None
    username: str | None
    key_name: str | None
    method: str
    path: str
    model: str | None
    status: int
    code: str
    message: str
    limits: Sequence[Mapping[str, Any]]
    alike: int


def story_of_admitted(row: Admitted) -> list[Step]:
    """Tell what happened to a request that was admitted."""
    kind = "a stream" if row.stream else "one answer"
    charged = row.input_tokens + row.output_tokens
    steps = [
        Step(row.admitted_at, f"{_who(row)} asked {row.endpoint} of the model '{row.model}' for {kind}."),
        Step(row.admitted_at, f"Admitted: every limit and budget had room. {row.held_tokens} tokens were held."),
        Step(row.admitted_at, f"Sent to {_engine(row)} as '{row.upstream_model}'."),
    ]
    if row.time_to_first_token_ms is not None:
        first = row.admitted_at + timedelta(milliseconds=row.time_to_first_token_ms)
        steps.append(Step(first, f"The first token came after {row.time_to_first_token_ms} ms."))
    tokens = f"{row.input_tokens} in and {row.output_tokens} out, {_SOURCES[UsageSource(row.usage_source)]}"
    status = f", status {row.http_status}" if row.http_status else ", before an answer began"
    steps += [
        Step(row.ended_at, f"{_ENDS[Outcome(row.outcome)]}{status}, after {row.duration_ms} ms."),
        Step(row.ended_at, f"Charged {charged} tokens, {tokens}."),
        Step(row.ended_at, _settled(row.held_tokens, charged)),
        Step(row.recorded_at, "Written to the ledger."),
    ]
    return steps


def story_of_refused(row: Refused) -> list[Step]:
    """Tell why a request was refused."""
    of_model = f" of the model '{row.model}'" if row.model else ""
    return [
        Step(row.at, f"{_who(row)} asked {row.method} {row.path}{of_model}."),
        *(Step(row.at, text) for text in _limits(row.limits)),
        Step(row.at, f"Refused with {row.status} {row.code}: {row.message}"),
        Step(row.at, f"No engine was asked and nothing was charged. {row.alike} requests were refused alike in this minute."),
    ]


def _who(row: Admitted | Refused) -> str:
    return f"{row.username or 'Somebody'} of {row.org or 'an org'} with the key '{row.key_name or 'unknown'}'"


def _engine(row: Admitted) -> str:
    return f"the backend '{row.backend}'" if row.backend else "a backend that is there no more"


def _settled(held: int, charged: int) -> str:
    if charged == held:
        return "Exactly what was held."
    if charged < held:
        return f"{held - charged} tokens of the hold went back."
    return f"{charged - held} tokens more than the first hold; it was topped up, or the limits went below zero by that."


def _limits(limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The one that refused last: it is the reason."""
    for limit in sorted(limits, key=lambda limit: limit.get("retry_ms", 0) != 0):
        retry_ms, tried = limit.get("retry_ms", 0), " (only tried out)" if limit.get("dry_run") else ""
        left = f"{limit['name']}{tried}: {limit['remaining']} of {limit['capacity']} {limit['unit']} left"
        if retry_ms == 0:
            yield f"{left}, enough."
        elif retry_ms < 0:
            yield f"{left}; the request asked for more than there ever is."
        else:
            yield f"{left}, not enough before {-(-retry_ms // 1000)} s."
