"""Counts refusals by minute and kind, and keeps the latest of each as samples, in bounded memory whatever is sent. Pure."""

from collections import Counter, deque
from typing import NamedTuple

from ias.security_event import MOST_SAMPLES, RefusedRequest

MINUTE_MS = 60_000
ANONYMOUS_KINDS = 500
"""Kinds in one minute that are told apart when nobody knows the org."""
ORG_KINDS = 100
"""The same for each org: a stranger cannot use them up."""
ORG_SAMPLES = 200
"""Samples of one minute for each org; above it a new one takes the place of an older one of its kind, or is left out."""


class Kind(NamedTuple):
    """Refusals that are counted together."""

    minute_ms: int
    status: int
    code: str
    org_id: str | None
    credential: str | None
    address: str | None
    overflow: bool = False


class RefusalCounts:
    """Grows by the number of orgs, codes and minutes that are not taken yet, and by nothing that a client chooses."""

    def __init__(self) -> None:
        self._counts: dict[Kind, int] = {}
        self._kinds: dict[tuple[int, str | None], int] = {}
        self._samples: dict[Kind, deque[RefusedRequest]] = {}
        self._sampled: Counter[tuple[int, str | None]] = Counter()

    def add(self, kind: Kind, sample: RefusedRequest | None = None) -> None:
        """Count one refusal."""
        if kind not in self._counts:
            group = kind.minute_ms, kind.org_id
            told_apart = self._kinds.get(group, 0)
            if told_apart >= (ANONYMOUS_KINDS if kind.org_id is None else ORG_KINDS):
                kind = kind._replace(credential=None, address=None, overflow=True)
            else:
                self._kinds[group] = told_apart + 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if sample is not None:
            self._keep(kind, sample)

    def take_before(self, minute_ms: int) -> list[tuple[Kind, int, tuple[RefusedRequest, ...]]]:
        """Return the counts of the minutes before with their samples, and forget them."""
        kinds = [kind for kind in self._counts if kind.minute_ms < minute_ms]
        taken = [(kind, self._counts.pop(kind), tuple(self._samples.pop(kind, ()))) for kind in kinds]
        self._kinds = {group: count for group, count in self._kinds.items() if group[0] >= minute_ms}
        self._sampled = Counter({group: count for group, count in self._sampled.items() if group[0] >= minute_ms})
        return taken

    def _keep(self, kind: Kind, sample: RefusedRequest) -> None:
        kept = self._samples.get(kind, deque(maxlen=MOST_SAMPLES))
        group = kind.minute_ms, kind.org_id
        if len(kept) < MOST_SAMPLES:
            if self._sampled[group] < ORG_SAMPLES:
                self._sampled[group] += 1
            elif kept:
                kept.popleft()
            else:
                return
        kept.append(sample)
        self._samples[kind] = kept
