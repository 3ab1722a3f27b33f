"""Step 5, access: published and open to the org, else 404; allowed for the key, else 403 (design §4)."""

from collections.abc import Sequence

from extauth.publications import PublicationIndex, Published
from ias.errors import model_not_allowed, model_not_found
from ias.model_patterns import is_allowed


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
