"""JSON of approvals."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field, model_validator

from controlplane.api_model import ApiModel, ShortText
from controlplane.approvals.rules import State
from controlplane.backends.schemas import BackendFilter
from controlplane.catalog.rules import Status, canonical_id
from controlplane.pagination import PageQuery
from controlplane.quota_requests.schemas import Explanation

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A canonical id, `backend::engine's name`, or an alias."""
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f*]*(\*[^\x00-\x1f\x7f*]*){0,8}$")]
"""The engine's name of a model, with up to eight `*` for any characters."""


class ApprovalQuery(PageQuery):
    """The query parameters of the list."""

    state: State | None = None
    backend: BackendFilter = None
    name: str | None = Field(
        default=None, min_length=1, max_length=256, pattern=r"^[^\x00]*$", description="A part of the engine's name of the model."
    )


class ApprovalView(ApiModel):
    """A model, and what the org has decided of it."""

    id: UUID
    backend: str
    upstream_model: str
    aliases: list[str]
    capabilities: list[str] = Field(examples=[["chat", "tools"]])
    modalities: list[str] = Field(examples=[["text", "image"]])
    context_tokens: int | None
    output_tokens: int | None
    status: Status
    state: State
    reason: str | None
    decided_by: UUID | None = Field(description="Null: nobody, or a rule.")
    decided_at: datetime | None
    first_seen_at: datetime

    @computed_field  # type: ignore[prop-decorator]
    @property
    def model(self) -> str:
        """Its canonical id."""
        return canonical_id(self.backend, self.upstream_model)


class DecisionBody(ApiModel):
    """Of which models something is decided: those that are named, or all of a backend or a pattern from whose state there is a way."""

    models: list[ModelName] | None = Field(default=None, min_length=1, max_length=200, description="Ids, `backend::engine-name`, or aliases.")
    backend: ShortText | None = Field(default=None, examples=["gpu-pool"], description="Name of a backend.")
    pattern: Pattern | None = Field(default=None, description="Of the engine's names, with `*` for any characters.")
    reason: Explanation | None = None
    dry_run: bool = Field(default=False, strict=True, description="Only say what would happen.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.models is None) == (self.backend is None and self.pattern is None):
            raise ValueError("either models, or backend and pattern or one of them")
        return self


class MoveView(ApiModel):
    """What happens to one model."""

    model: str
    before: State
    after: State


class DecisionView(ApiModel):
    """What was decided, or would be."""

    dry_run: bool
    count: int
    models: list[MoveView] = Field(description="The first two hundred.")


class NewRuleBody(ApiModel):
    """Which models are approved without anybody being asked."""

    backend: ShortText | None = Field(default=None, description="Name of a backend; null: every one.")
    pattern: Pattern = Field(default="*", examples=["llama-*"])


class RuleView(ApiModel):
    """A rule of an org."""

    id: UUID
    backend: str | None
    pattern: str
    created_by: UUID | None = Field(description="Null: every new org has it.")
    created_at: datetime
    ended_by: UUID | None
    ended_at: datetime | None = Field(description="What it has approved until then stays so.")


def moves_view(dry_run: bool, moves: list[tuple[Any, State]]) -> DecisionView:
    """Show what happens to rows of models."""
    shown = [MoveView(model=canonical_id(row.backend, row.upstream_model), before=State(row.state), after=after) for row, after in moves[:200]]
    return DecisionView(dry_run=dry_run, count=len(moves), models=shown)
