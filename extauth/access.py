"""Step 5, access: published and open to the org, else 404; allowed for the key, else 403 (design §4)."""

from collections.abc import Sequence
from typing import Final

from extauth.publications import PublicationIndex, Published
from ias.endpoints import TOKENLESS, Endpoint
from ias.errors import model_not_allowed, model_not_found, wrong_protocol
from ias.gateway_views import ModelType
from ias.model_patterns import is_allowed

_OPENAI: Final = ModelType.OPENAI


def find_model(publications: PublicationIndex, model: str, org_id: str, allowed_models: Sequence[str], host: str = "") -> Published:
    """Return the publication that a request names; a foreign model, one of another host and none at all look the same."""
    published = publications.find(model, host)
    if published is None or org_id not in published.org_ids:
        raise model_not_found(model)
    if not is_allowed(model, allowed_models):
        raise model_not_allowed(model)
    return published


def is_traditional(publications: PublicationIndex, model: str, org_id: str, host: str = "") -> bool:
    """Whether a name is that of a traditional model, as far as the org may know: to others it is no model at all."""
    published = publications.find(model, host)
    return published is not None and org_id in published.org_ids and published.publication.model_type is not _OPENAI


def list_models(publications: PublicationIndex, org_id: str, allowed_models: Sequence[str], host: str = "") -> list[Published]:
    """Return the models that OpenAI's clients can use with a key at a host, by name."""
    return [
        published
        for published in publications.of_org(org_id)
        if published.publication.model_type is _OPENAI
        and is_allowed(published.publication.model, allowed_models)
        and publications.is_here(published, host)
    ]


def check_protocol(published: Published, endpoint: Endpoint) -> None:
    """Raise `wrong_protocol` for a request that the model's engine does not understand; only who may use the model learns that."""
    model = published.publication.model
    if published.publication.model_type is _OPENAI:
        if endpoint in TOKENLESS:
            raise wrong_protocol(model, f"an OpenAI request, as POST /v1/chat/completions with 'model': '{model}'")
    elif endpoint not in TOKENLESS:
        raise wrong_protocol(model, f"POST /models/{model}/predict (KServe v1) or POST /v2/models/{model}/infer (Open Inference Protocol)")
