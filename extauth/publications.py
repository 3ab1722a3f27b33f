"""All published models in memory: by name and by path for a request, and by org for the list of models.

A public hostname is a virtual host: at it only its own publications are there, and those without one. At a host that is nobody's, such as
an address of the gateway itself, all are (docs/decisions/0021).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from extauth.limits import Rules, publication_rules
from extauth.visitors import Visitor
from ias.gateway_views import Publication


@dataclass(frozen=True, slots=True)
class Published:
    """A publication with what every request would compute anew."""

    publication: Publication
    org_ids: frozenset[str]
    rules: Rules
    listing: bytes
    """OpenAI's model object, JSON."""
    visitor: Visitor | None
    """Who comes without a key; None: nobody may."""

    @classmethod
    def of(cls, publication: Publication) -> "Published":
        """Prepare a publication."""
        listing = {"id": publication.model, "object": "model", "created": int(publication.created_at.timestamp()), "owned_by": "ias"}
        rules = publication_rules(publication.publication_id, publication.model, publication.limits)
        return cls(publication, frozenset(publication.allowed_org_ids), rules, msgspec.json.encode(listing), Visitor.of(publication))


class PublicationIndex:
    """Looking one up and listing those of an org never look at the others."""

    def __init__(self) -> None:
        self._by_id: dict[str, Published] = {}
        self._by_model: dict[str, Published] = {}
        self._by_org: dict[str, dict[str, Published]] = {}
        self._by_path: dict[str, dict[str, Published]] = {}
        self._hosts: Counter[str] = Counter()
        self._visited: dict[str, set[str]] = {}
        self._listed: dict[str, tuple[Published, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, model: str, host: str = "") -> Published | None:
        """Return the publication of a name, as far as it is there at the host (as the request names it)."""
        published = self._by_model.get(model)
        if published is None or published.publication.public_hostname is None:
            return published
        return published if self.is_here(published, host) else None

    def at(self, path: str, host: str = "") -> Published | None:
        """Return the publication whose own path it is; None also where several could be meant."""
        here = [published for published in self._by_path.get(path, {}).values() if self.is_here(published, host)]
        own = [published for published in here if published.publication.public_hostname is not None] if host_name(host) in self._hosts else []
        candidates = own or here
        return candidates[0] if len(candidates) == 1 else None

    def is_here(self, published: Published, host: str) -> bool:
        """Whether a publication is there at a host."""
        own = published.publication.public_hostname
        return own is None or own == (name := host_name(host)) or name not in self._hosts

    def of_org(self, org_id: str) -> tuple[Published, ...]:
        """Return what is published for an org, by name; sorted once after each change."""
        if (listed := self._listed.get(org_id)) is None:
            if not (published := self._by_org.get(org_id)):
                return ()
            listed = self._listed[org_id] = tuple(published[model] for model in sorted(published))
        return listed

    def visited_of(self, org_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the ids of the publications of these owners that need no key: they change with their owner."""
        return tuple(publication_id for org_id in org_ids for publication_id in self._visited.get(org_id, ()))

    def replace(self, publications: Iterable[Publication]) -> None:
        """Forget all and take these."""
        for table in (self._by_id, self._by_model, self._by_org, self._by_path, self._hosts, self._visited, self._listed):
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
        publication_id = publication.publication_id
        self._by_id[publication_id] = published
        self._by_model[publication.model] = published
        if publication.external_path is not None:
            self._by_path.setdefault(publication.external_path, {})[publication_id] = published
        if publication.public_hostname is not None:
            self._hosts[publication.public_hostname] += 1
        if not publication.require_api_key:
            self._visited.setdefault(publication.owner_org_id, set()).add(publication_id)
        for org_id in published.org_ids:
            self._by_org.setdefault(org_id, {})[publication.model] = published
            self._listed.pop(org_id, None)

    def _remove(self, publication_id: str) -> None:
        if (published := self._by_id.pop(publication_id, None)) is None:
            return
        publication = published.publication
        # Another publication may have taken the name over already: rows are newer than the changes that led to them.
        if self._by_model.get(publication.model) is published:
            del self._by_model[publication.model]
        if publication.external_path is not None:
            _take(self._by_path, publication.external_path, publication_id)
        if publication.public_hostname is not None:
            self._hosts -= Counter((publication.public_hostname,))
        if not publication.require_api_key:
            visited = self._visited[publication.owner_org_id]
            visited.discard(publication_id)
            if not visited:
                del self._visited[publication.owner_org_id]
        for org_id in published.org_ids:
            if self._by_org[org_id].get(publication.model) is published:
                del self._by_org[org_id][publication.model]
            self._listed.pop(org_id, None)


def host_name(host: str) -> str:
    """Return the name in a `host` or `:authority` as publications have theirs: lower case, without port and without a dot at its end."""
    name = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.rstrip(".").lower()


def _take(table: dict[str, dict[str, Published]], key: str, publication_id: str) -> None:
    del table[key][publication_id]
    if not table[key]:
        del table[key]
