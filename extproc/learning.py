"""What complete answers teach about a publication, so that answers cut short can be told in tokens.

A mean in which each new answer weighs `_WEIGHT`. An org's own answers count first and the publication's until there are enough of them,
so that one tenant cannot bend the counts of another. In memory only: after a start the priors hold until the first answers.
"""

from collections import OrderedDict
from dataclasses import dataclass

from extproc.dialects.reading import Reading
from ias.context import RequestContext

_WEIGHT = 0.1
_ENOUGH = 5
_ENTRIES = 10_000
_RANGES = {"per_delta": (0.05, 256.0), "per_ms": (1e-5, 10.0), "per_byte": (1e-4, 4.0)}


@dataclass(slots=True)
class Ratios:
    """Means of one publication, or of one org's use of it. The priors are what engines do when nothing is known."""

    answers: int = 0
    per_delta: float = 1.0
    """Output tokens in each piece of output that passed."""
    per_ms: float = 0.03
    """Output tokens in each millisecond between admission and end."""
    per_byte: float = 0.0
    """Prompt tokens in each byte of the request's body; 0: not known."""

    def learn(self, name: str, sample: float) -> None:
        low, high = _RANGES[name]
        sample = min(max(sample, low), high)
        known = getattr(self, name)
        first = self.answers == 0 or not known
        setattr(self, name, sample if first else known + _WEIGHT * (sample - known))


class Learned:
    """Ratios by (org, publication) and by publication, at most `_ENTRIES`; those not used for the longest time go."""

    def __init__(self) -> None:
        self._ratios: OrderedDict[tuple[str, str], Ratios] = OrderedDict()

    def of(self, context: RequestContext) -> Ratios:
        """The best known for a request."""
        own = self._ratios.get((context.org_id, context.publication_id))
        if own is not None and own.answers >= _ENOUGH:
            return own
        return self._ratios.get(("", context.publication_id)) or own or Ratios()

    def learn(self, context: RequestContext, seen: Reading, duration_ms: int) -> None:
        """Take in a complete answer of which the engine reported the usage."""
        for org_id in (context.org_id, ""):
            ratios = self._entry((org_id, context.publication_id))
            if seen.input and context.body_bytes:
                ratios.learn("per_byte", seen.input / context.body_bytes)
            if seen.output and seen.deltas:
                ratios.learn("per_delta", seen.output / seen.deltas)
            if seen.output and duration_ms > 0:
                ratios.learn("per_ms", seen.output / duration_ms)
            ratios.answers += 1

    def _entry(self, key: tuple[str, str]) -> Ratios:
        ratios = self._ratios.get(key)
        if ratios is None:
            ratios = self._ratios[key] = Ratios()
            if len(self._ratios) > _ENTRIES:
                self._ratios.popitem(last=False)
        self._ratios.move_to_end(key)
        return ratios
