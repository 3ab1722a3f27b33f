"""Seed 003's three answers to who asks for a model that he does not get. Pure."""

from enum import StrEnum
from urllib.parse import urlsplit

from controlplane.approvals.rules import State
from controlplane.catalog.rules import Status
from controlplane.errors import Problem


class Refusal(StrEnum):
    """Why a model is not given. The order is that in which it is judged: whoever may not use a model is told nothing of it."""

    NOT_FOUND = "model_not_found"
    NOT_APPROVED = "model_not_approved"
    DEPRECATED = "model_deprecated"


_SENTENCES = {
    Refusal.NOT_FOUND: "The catalog has no model '{model}'. A model is named by its id, 'backend::engine-name', or by an alias.",
    Refusal.NOT_APPROVED: "The model '{model}' is not approved for the org. Ask an admin of the org for it.",
    Refusal.DEPRECATED: "The model '{model}' is deprecated: its backend does not have it any more.",
}


def judge(state: State, status: Status) -> Refusal | None:
    """Return why a model that is there is not given; None: it is."""
    if state is not State.APPROVED:
        return Refusal.NOT_APPROVED
    return Refusal.DEPRECATED if status is Status.DEPRECATED else None


def sentence(refusal: Refusal, model: str) -> str:
    """Return what to tell whoever asks."""
    return _SENTENCES[refusal].format(model=model[:320])


def problem(refusal: Refusal, model: str) -> Problem:
    """Return the REST answer."""
    told = sentence(refusal, model)
    if refusal is Refusal.NOT_APPROVED:
        return Problem(403, "model_not_approved", told)
    return Problem(404, "model_not_found", told) if refusal is Refusal.NOT_FOUND else Problem(410, "model_deprecated", told)


def url_kind(base_url: str) -> str:
    """Return `http` or `https`: the address itself is the operator's."""
    return urlsplit(base_url).scheme
