import pytest

from controlplane.usage.dimensions import Dimension, quantiles_ms
from controlplane.usage.rollups import DURATION_BOUNDS_MS

BUCKETS = len(DURATION_BOUNDS_MS) + 1


def histogram(**counts: int) -> list[int]:
    """`b0=3`: three requests in the first bucket."""
    return [counts.get(f"b{number}", 0) for number in range(BUCKETS)]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        (histogram(), 0.5, None),
        (histogram(b0=10), 0.5, 50),
        (histogram(b0=1, b1=1), 0.5, 100),
        (histogram(b3=4), 0.25, 500 + 125),
        (histogram(b0=99, b12=1), 0.99, 100),
        (histogram(b12=1), 0.5, 600_000),
        (histogram(b0=1, b12=99), 0.99, 600_000),
    ],
)
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: list[int], share: float, expected: int | None) -> None:
    assert quantiles_ms(counts, DURATION_BOUNDS_MS, [share]) == [expected]


def test_every_dimension_has_its_column() -> None:
    assert [dimension.column for dimension in Dimension] == ["org_id", "user_id", "key_id", "publication_id", "model", "endpoint", "outcome"]


def test_quantiles_are_told_together() -> None:
    assert quantiles_ms(histogram(b0=50, b3=45, b7=5), DURATION_BOUNDS_MS, [0.25, 0.5, 0.9, 0.99]) == [50, 100, 944, 26_000]
    assert quantiles_ms(histogram(), DURATION_BOUNDS_MS, [0.5, 0.9]) == [None, None]
