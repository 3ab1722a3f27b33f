"""Finds a publication and makes its document."""

from controlplane.authorization import Access
from controlplane.documentation.document import document_of, kind_of
from controlplane.documentation.repository import DocumentationRepository
from controlplane.documentation.schemas import DocumentationView
from controlplane.publishing import rules
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.views import view_of


async def describe(publisher: Publisher, access: Access, name: str) -> DocumentationView:
    """Make the document of a model that the person's org may call. Raises Problem 404, the same whether or not others may."""
    repository = DocumentationRepository(access.uow, access.reach)
    if (row := await repository.find(name)) is None:
        raise rules.not_published(name)
    kind = kind_of(row.model_type, row.upstream_model, await repository.capabilities(row.id))
    return document_of(view_of(row, None, publisher.gateway_url), kind)
