"""What the store's decisions told of earlier requests, by org and publication. Pure.

An org that is new to a publication starts from what other orgs showed there: their median, and only where there are several,
so that no tenant decides what another one is held.
"""

from collections import OrderedDict
from statistics import median_low
from typing import Final

from extauth.estimate import NOTHING_LEARNED
from ratelimit.ports import Learned

ENOUGH_SAMPLES: Final = 20
"""Fewer say too little of an org."""
ENOUGH_ORGS: Final = 3
_ORGS_OF_A_PRIOR: Final = 64
_FRESH_MS: Final = 1_000
"""What was told so lately is not asked for again: it moves slowly, and telling it is a tenth of an admission."""


class LearnedValues:
    """At most `capacity` pairs and as many publications; the least recently told go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_pair: OrderedDict[tuple[str, str], Learned] = OrderedDict()
        self._by_publication: OrderedDict[str, OrderedDict[str, Learned]] = OrderedDict()
        self._priors: dict[str, Learned] = {}
        self._asked_ms: dict[tuple[str, str], int] = {}
        """Of the pairs in `_by_pair`."""

    def __len__(self) -> int:
        return len(self._by_pair)

    def of(self, org_id: str, publication_id: str) -> Learned:
        """What to estimate a request by."""
        known = self._by_pair.get((org_id, publication_id))
        if known is not None and known.samples >= ENOUGH_SAMPLES:
            return known
        return self._priors.get(publication_id, NOTHING_LEARNED)

    def is_due(self, org_id: str, publication_id: str, now_ms: int) -> bool:
        """Whether the next decision is to tell anew; if so, those of the next second are not."""
        pair = (org_id, publication_id)
        if 0 <= now_ms - self._asked_ms.get(pair, -_FRESH_MS) < _FRESH_MS:
            return False
        if pair in self._by_pair:
            self._asked_ms[pair] = now_ms
        return True

    def note(self, org_id: str, publication_id: str, learned: Learned) -> None:
        """Take over what a decision told."""
        pair = (org_id, publication_id)
        before = self._by_pair.get(pair)
        self._by_pair[pair] = learned
        self._by_pair.move_to_end(pair)
        if len(self._by_pair) > self._capacity:
            gone, _ = self._by_pair.popitem(last=False)
            self._asked_ms.pop(gone, None)
        if learned.samples >= ENOUGH_SAMPLES and (before is None or before.samples < ENOUGH_SAMPLES or not _same(before, learned)):
            self._note_for_others(org_id, publication_id, learned)

    def _note_for_others(self, org_id: str, publication_id: str, learned: Learned) -> None:
        orgs = self._by_publication.setdefault(publication_id, OrderedDict())
        self._by_publication.move_to_end(publication_id)
        orgs[org_id] = learned
        orgs.move_to_end(org_id)
        if len(orgs) > _ORGS_OF_A_PRIOR:
            orgs.popitem(last=False)
        if len(orgs) >= ENOUGH_ORGS:
            tokens, output = (median_low(one.tokens_per_kilobyte for one in orgs.values()), median_low(one.output_tokens for one in orgs.values()))
            self._priors[publication_id] = Learned(tokens, output, ENOUGH_SAMPLES)
        if len(self._by_publication) > self._capacity:
            forgotten, _ = self._by_publication.popitem(last=False)
            self._priors.pop(forgotten, None)


def _same(one: Learned, other: Learned) -> bool:
    return one.tokens_per_kilobyte == other.tokens_per_kilobyte and one.output_tokens == other.output_tokens
