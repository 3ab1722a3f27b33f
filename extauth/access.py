"""Step 5, access: published and open to the org, else 404; allowed for the key, else 403 (design §4)."""

from collections.abc import Sequence

from extauth.publications import PublicationIndex, Published
from ias.errors import model_not_allowed, model_not_found


def find_model(publications: PublicationIndex, model: str, org_id: str, allowed_models: Sequence[str]) -> Published:
    """Return the publication that a request names; a foreign model and none at all look the same."""
    published = publications.find(model)
    if published is None or org_id not in published.org_ids:
        raise model_not_found(model)
    if not is_allowed(model, allowed_models):
        raise model_not_allowed(model)
    return published


def list_models(publications: PublicationIndex, org_id: str, allowed_models: Sequence[str]) -> list[Published]:
    """Return what a key may use, by name."""
    return [published for published in publications.of_org(org_id) if is_allowed(published.publication.model, allowed_models)]


def is_allowed(model: str, patterns: Sequence[str]) -> bool:
    """Whether a key's list names the model; an empty list names all."""
    return not patterns or any(_matches(model, pattern) for pattern in patterns)


def _matches(model: str, pattern: str) -> bool:
    """`*` stands for any characters. No regular expression: many stars would make one slow, and customers choose patterns."""
    first, *middle = pattern.split("*")
    if not middle:
        return model == pattern
    last = middle.pop()
    if len(model) < len(first) + len(last) or not model.startswith(first) or not model.endswith(last):
        return False
    place, end = len(first), len(model) - len(last)
    for piece in middle:
        found = model.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
