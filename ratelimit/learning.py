"""What settled requests teach: two decaying histograms for each (org, publication), in exact integers. The rule of `lua/learn.lua`."""

from dataclasses import dataclass, field

from ratelimit.ports import Learned, Sample

SAMPLES = 1_000
"""At so many all counts are halved, so that the last thousand or so decide."""
_BUCKETS = 64
_PROMPT_PERCENT, _OUTPUT_PERCENT = 99, 75


def _edges() -> tuple[int, ...]:
    edges = [1]
    while len(edges) < _BUCKETS:
        edges.append(edges[-1] + max(1, edges[-1] // 4))
    return tuple(edges)


EDGES = _edges()
"""Upper edges of the histograms' buckets, 25 % apart: 1 to about two million."""


class Histogram:
    """Counts of values by bucket."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    @property
    def total(self) -> int:
        """How many values are counted still."""
        return sum(self._counts.values())

    def add(self, value: int) -> None:
        edge = next((edge for edge in EDGES if edge >= value), EDGES[-1])
        self._counts[edge] = self._counts.get(edge, 0) + 1
        if self.total >= SAMPLES:
            self._counts = {edge: n // 2 for edge, n in self._counts.items() if n > 1}

    def quantile(self, percent: int) -> int:
        """The least edge that `percent` of the values do not pass; 0 if there are none."""
        total, below = self.total, 0
        for edge in sorted(self._counts):
            below += self._counts[edge]
            if below * 100 >= total * percent:
                return edge
        return 0


@dataclass(slots=True)
class Lessons:
    """What is known of one publication in one org."""

    prompts: Histogram = field(default_factory=Histogram)
    outputs: Histogram = field(default_factory=Histogram)

    def add(self, sample: Sample) -> None:
        ratio = per_kilobyte(sample)
        if ratio >= 0:
            self.prompts.add(ratio)
        self.outputs.add(sample.output_tokens)

    def learned(self) -> Learned:
        return Learned(self.prompts.quantile(_PROMPT_PERCENT), self.outputs.quantile(_OUTPUT_PERCENT), self.outputs.total)


def per_kilobyte(sample: Sample) -> int:
    """Prompt tokens for 1,000 bytes, rounded up; -1 if the bytes are not known."""
    return -(-sample.prompt_tokens * 1_000 // sample.prompt_bytes) if sample.prompt_bytes > 0 else -1
