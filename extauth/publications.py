"""All published models in memory, by name for a request and by org for the list of models."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from extauth.limits import Rules, publication_rules
from ias.gateway_views import Publication


@dataclass(frozen=True, slots=True)
class Published:
    """A publication with what every request would compute anew."""

    publication: Publication
    org_ids: frozenset[str]
    rules: Rules
    listing: bytes
    """OpenAI's model object, JSON."""

    @classmethod
    def of(cls, publication: Publication) -> "Published":
        """Prepare a publication."""
        listing = {"id": publication.model, "object": "model", "created": int(publication.created_at.timestamp()), "owned_by": "ias"}
        rules = publication_rules(publication.publication_id, publication.model, publication.limits)
        return cls(publication, frozenset(publication.allowed_org_ids), rules, msgspec.json.encode(listing))


class PublicationIndex:
    """Looking one up and listing those of an org never look at the others."""

    def __init__(self) -> None:
        self._by_id: dict[str, Published] = {}
        self._by_model: dict[str, Published] = {}
        self._by_org: dict[str, dict[str, Published]] = {}
        self._listed: dict[str, tuple[Published, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, model: str) -> Published | None:
        """Return the publication of a name."""
        return self._by_model.get(model)

    def of_org(self, org_id: str) -> tuple[Published, ...]:
        """Return what is published for an org, by name; sorted once after each change."""
        if (listed := self._listed.get(org_id)) is None:
            if not (published := self._by_org.get(org_id)):
                return ()
            listed = self._listed[org_id] = tuple(published[model] for model in sorted(published))
        return listed

    def replace(self, publications: Iterable[Publication]) -> None:
        """Forget all and take these."""
        for table in (self._by_id, self._by_model, self._by_org, self._listed):
            table.clear()
        for publication in publications:
            self._add(Published.of(publication))

    def update(self, publication_ids: Iterable[str], publications: Iterable[Publication]) -> None:
        """These ids changed, and those of them that are published now look so."""
        for publication_id in publication_ids:
            self._remove(publication_id)
        for publication in publications:
            self._add(Published.of(publication))

    def _add(self, published: Published) -> None:
        publication = published.publication
        self._by_id[publication.publication_id] = published
        self._by_model[publication.model] = published
        for org_id in published.org_ids:
            self._by_org.setdefault(org_id, {})[publication.model] = published
            self._listed.pop(org_id, None)

    def _remove(self, publication_id: str) -> None:
        if (published := self._by_id.pop(publication_id, None)) is None:
            return
        # Another publication may have taken the name over already: rows are newer than the changes that led to them.
        model = published.publication.model
        if self._by_model.get(model) is published:
            del self._by_model[model]
        for org_id in published.org_ids:
            if self._by_org[org_id].get(model) is published:
                del self._by_org[org_id][model]
            self._listed.pop(org_id, None)
