"""JSON of what connections to engines may take, and how it is kept: of a backend, and of a publication."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from controlplane.api_model import ApiModel

_Seconds = Annotated[int, Field(ge=1, le=86_400, strict=True)]
_Count = Annotated[int, Field(ge=1, le=65_536, strict=True)]


class Traffic(ApiModel):
    """What connections to a backend, or to all of a publication together, may take; null: no limit but the gateway's own."""

    connect_timeout_ms: Annotated[int, Field(ge=10, le=60_000, strict=True)] = 2_000
    silence_timeout_seconds: _Seconds | None = Field(
        default=None, description="a backend that sends nothing for so long, before its answer or in it, is given up: 504, or the answer is cut"
    )
    answer_timeout_seconds: _Seconds | None = Field(default=None, description="from the end of the request to the end of the answer")
    max_connections: _Count | None = Field(default=None, description="connections; requests beyond them wait")
    max_pending_requests: _Count | None = Field(default=None, description="requests that may wait for a connection; more get 503")
    max_requests: _Count | None = Field(default=None, description="requests that may run at once; more get 503")


_WORDS = {"silence_timeout_s": "silence_timeout_seconds", "answer_timeout_s": "answer_timeout_seconds"}


def traffic_of(stored: Mapping[str, Any]) -> Traffic:
    """Make the API's words of the column, which has the gateway port's and holds only what is set."""
    return Traffic(**{_WORDS.get(name, name): value for name, value in stored.items()})


def stored_traffic(traffic: Traffic) -> dict[str, Any]:
    """Make the column of the API's words."""
    words = {theirs: ours for ours, theirs in _WORDS.items()}
    return {words.get(name, name): value for name, value in traffic.model_dump(exclude_defaults=True).items()}


def changed_traffic(stored: Mapping[str, Any], wanted: Traffic) -> dict[str, Any]:
    """Return the column after a change: what is not given stays."""
    return stored_traffic(Traffic(**{**traffic_of(stored).model_dump(), **wanted.model_dump(exclude_unset=True)}))
