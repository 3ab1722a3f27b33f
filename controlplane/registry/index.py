"""The registry in memory: one number for each set of models, with a bit for each model. Pure.

Models stand in the order of their ids; model n is bit n. What an org may use is one number, and so is what has a capability, a modality or a
provider: a filter is `&`. Ten thousand models are 1.3 kB for each org, made when it is asked for first; what a rule approves is
made once for all orgs that have the same rule.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from controlplane.approvals.rules import Rule, State
from controlplane.catalog.rules import Status, canonical_id
from controlplane.registry.models import Approvals, Filter, Model, Provider
from controlplane.registry.rules import Refusal, judge

_NOTHING = Approvals()
_K = TypeVar("_K")


@dataclass(slots=True)
class Entry:
    """A model at its place; what it is and how its provider is may change."""

    model_id: str
    model: Model
    provider: Provider


class Index:
    """All models of living backends, and what each org may use of them."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._models: dict[UUID, Model] = {}
        self._providers: dict[UUID, Provider] = {}
        self._approvals: dict[str, Approvals] = {}
        self._arrange()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def orgs(self) -> int:
        """How many orgs have decided something."""
        return len(self._approvals)

    def replace(self, providers: Iterable[Provider], models: Iterable[Model], approvals: Mapping[str, Approvals]) -> None:
        """Forget all and take these."""
        self._providers = {one.id: one for one in providers}
        self._models = {one.id: one for one in models}
        self._approvals = dict(approvals)
        self._arrange()

    def set_providers(self, providers: Iterable[Provider]) -> None:
        """These are all backends there are now. Their models move only when one came, went or has another name."""
        before, self._providers = self._providers, {one.id: one for one in providers}
        if before == self._providers:
            return
        if {(one.id, one.name) for one in before.values()} != {(one.id, one.name) for one in self._providers.values()}:
            self._arrange()
            return
        for entry in self._entries:
            entry.provider = self._providers[entry.model.backend_id]

    def set_models(self, gone: Iterable[UUID], models: Iterable[Model]) -> None:
        """Take models away, and others in. Where the same ones are there afterwards, what orgs may use of them stays as it is."""
        before = {model_id: known for model_id in gone if (known := self._models.pop(model_id, None)) is not None}
        after = {one.id: one for one in models}
        self._models |= after
        if {_place_and_age(one) for one in before.values()} == {_place_and_age(one) for one in after.values()}:
            for model in after.values():
                if (place := self._place_of.get(model.id)) is not None:
                    self._describe_anew(place, model)
        else:
            self._arrange()

    def models_of(self, backend_id: UUID) -> list[UUID]:
        """Return the models that are known of a backend."""
        return [model.id for model in self._models.values() if model.backend_id == backend_id]

    def set_approvals(self, approvals: Mapping[str, Approvals]) -> None:
        """Take what these orgs have decided by now."""
        self._approvals |= approvals
        for org_id in approvals:
            self._approved.pop(org_id, None)

    def resolve(self, org_id: str, model: str) -> Entry | Refusal:
        """Return the model that an id or an alias means for an org, or why the org does not get it."""
        place = self._places.get(model)
        if place is None:
            return Refusal.NOT_FOUND
        entry = self._entries[place]
        state = State.APPROVED if self._approved_by(org_id) >> place & 1 else State.PENDING
        return judge(state, Status.ACTIVE if entry.model.is_active else Status.DEPRECATED) or entry

    def page(self, org_id: str, wanted: Filter, after: str, limit: int) -> tuple[list[Entry], bool]:
        """Return the next models that an org may use, beginning after an id, and whether there are more."""
        bits = self._approved_by(org_id) & self._active
        for table, key in ((self._capable, wanted.capability), (self._modal, wanted.modality), (self._provided, wanted.provider)):
            if key:
                bits &= table.get(key, 0)
        start = bisect_right(self._ids, after) if after else 0
        found = [self._entries[place] for place in _places(bits >> start, start, limit + 1)]
        return found[:limit], len(found) > limit

    def _approved_by(self, org_id: str) -> int:
        if (bits := self._approved.get(org_id)) is None:
            known = self._approvals.get(org_id)
            bits = self._evaluate(known or _NOTHING)
            if known is not None:  # what strangers ask for takes no room
                self._approved[org_id] = bits
        return bits

    def _evaluate(self, approvals: Approvals) -> int:
        bits = 0
        for rule in approvals.rules:
            bits |= self._approved_by_rule(rule)
        for model_id, state in approvals.decided:
            if (place := self._place_of.get(model_id)) is not None:
                bits = bits | 1 << place if state is State.APPROVED else bits & ~(1 << place)
        return bits

    def _approved_by_rule(self, rule: Rule) -> int:
        if (bits := self._ruled.get(rule)) is None:
            bits = self._ruled[rule] = self._matching(rule)
        return bits

    def _matching(self, rule: Rule) -> int:
        """As `Rule.approves` says of each model, but most rules are simple: all of a backend, or a beginning of a name."""
        if rule.ended_at is None and rule.pattern == "*":
            return self._all if rule.backend_id is None else self._of_backend.get(rule.backend_id, 0)
        models = [entry.model for entry in self._entries]
        prefix = rule.pattern[:-1]
        if rule.ended_at is None and rule.pattern.endswith("*") and "*" not in prefix:
            bits = _set(place for place, one in enumerate(models) if one.upstream_model.startswith(prefix))
            return bits if rule.backend_id is None else bits & self._of_backend.get(rule.backend_id, 0)
        return _set(place for place, one in enumerate(models) if rule.approves(one.backend_id, one.upstream_model, one.first_seen_at))

    def _arrange(self) -> None:
        """Give every model its place."""
        known = [(canonical_id(self._providers[one.backend_id].name, one.upstream_model), one) for one in self._living()]
        known.sort(key=lambda pair: pair[0])
        self._entries = [Entry(model_id, one, self._providers[one.backend_id]) for model_id, one in known]
        self._ids = [model_id for model_id, _ in known]
        self._all = (1 << len(known)) - 1
        self._place_of = {one.id: place for place, (_, one) in enumerate(known)}
        self._of_backend = _by_key((place, (one.backend_id,)) for place, (_, one) in enumerate(known))
        self._approved: dict[str, int] = {}
        self._ruled: dict[Rule, int] = {}
        self._places = {alias: place for place, (_, one) in enumerate(known) for alias in one.aliases}
        self._places |= {model_id: place for place, (model_id, _) in enumerate(known)}
        self._active = _set(place for place, (_, one) in enumerate(known) if one.is_active)
        self._capable = _by_key((place, one.capabilities) for place, (_, one) in enumerate(known))
        self._modal = _by_key((place, one.modalities) for place, (_, one) in enumerate(known))
        self._provided = {self._providers[backend_id].name: bits for backend_id, bits in self._of_backend.items()}

    def _describe_anew(self, place: int, model: Model) -> None:
        """Take what changed about a model that stays at its place."""
        entry, bit = self._entries[place], 1 << place
        before, entry.model = entry.model, model
        for alias in before.aliases:
            if self._places.get(alias) == place:  # another one may have it by now
                del self._places[alias]
        self._places |= dict.fromkeys(model.aliases, place)
        self._active = self._active | bit if model.is_active else self._active & ~bit
        for table, had, has in ((self._capable, before.capabilities, model.capabilities), (self._modal, before.modalities, model.modalities)):
            if had != has:
                for key in had:
                    table[key] &= ~bit
                for key in has:
                    table[key] = table.get(key, 0) | bit

    def _living(self) -> Iterator[Model]:
        return (one for one in self._models.values() if one.backend_id in self._providers)


def _place_and_age(model: Model) -> tuple[object, ...]:
    """What decides of a model's place and of the rules that approve it."""
    return model.id, model.backend_id, model.upstream_model, model.first_seen_at


def price_at(model: Model, now: datetime) -> tuple[int, datetime | None]:
    """Return which price is in force, -1: none, and when the next one begins."""
    begun = bisect_right([price.valid_from for price in model.prices], now)
    return begun - 1, model.prices[begun].valid_from if begun < len(model.prices) else None


def _set(places: Iterable[int]) -> int:
    """Return the number whose bits are set at these places."""
    room = bytearray()
    for place in places:
        byte = place >> 3
        if byte >= len(room):
            room.extend(bytes(byte + 1 - len(room)))
        room[byte] |= 1 << (place & 7)
    return int.from_bytes(room, "little")


def _by_key(places: Iterable[tuple[int, Iterable[_K]]]) -> dict[_K, int]:
    found: dict[_K, list[int]] = {}
    for place, keys in places:
        for key in keys:
            found.setdefault(key, []).append(place)
    return {key: _set(ones) for key, ones in found.items()}


def _places(bits: int, start: int, limit: int) -> Iterator[int]:
    """Yield the places of the first bits that are set."""
    while bits and limit:
        lowest = (bits & -bits).bit_length()
        start += lowest
        bits >>= lowest
        limit -= 1
        yield start - 1
