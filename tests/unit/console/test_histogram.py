"""Histograms keep their counts through differences and bins."""

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_console.model.facts import Bucket, Histogram
from tickdeck_console.model.histogram import decades, difference, log_bins, percentile, span


def histogram(*buckets: tuple[int, int, int], high: int = 0) -> Histogram:
    entries = tuple(Bucket(*bucket) for bucket in buckets)
    return Histogram("s", "kernel", "ns", sum(b.count for b in entries), entries, high=high)


counted = st.dictionaries(st.integers(1, 2000), st.integers(1, 10_000), min_size=1, max_size=40)


@given(counted, st.integers(5, 120))
def test_bins_keep_every_value(counts: dict[int, int], columns: int) -> None:
    """Sharing buckets out over bins neither loses nor invents a value."""
    whole = histogram(*((lower * 10, lower * 10 + 10, n) for lower, n in sorted(counts.items())))
    edges = span([whole])
    assert edges is not None
    bins = log_bins(whole, *edges, columns)
    assert len(bins.edges) == columns + 1
    assert isclose(sum(bins.counts), whole.count, rel_tol=1e-6)
    assert all(count >= 0 for count in bins.counts)
    assert isclose(sum(bins.shares()), 1.0)


def test_bins_grow_by_a_constant_factor() -> None:
    """The axis is logarithmic."""
    bins = log_bins(histogram((1, 1000, 1)), 1.0, 1000.0, 3)
    assert isclose(bins.edges[-1], 1000)
    assert all(isclose(upper / lower, 10) for lower, upper in pairwise(bins.edges))


def test_the_difference_is_what_was_counted_since() -> None:
    """Two readings of a cumulative histogram give the window between them."""
    old = histogram((10, 20, 5), (20, 30, 1))
    new = histogram((10, 20, 5), (20, 30, 4), (40, 50, 2))
    assert difference(new, old).buckets == (Bucket(20, 30, 3), Bucket(40, 50, 2))
    assert difference(new, old).count == 5


@pytest.mark.parametrize(
    "new",
    [histogram((10, 20, 2)), histogram((10, 20, 3), (30, 40, 5)), histogram((30, 40, 3))],
)
def test_a_restarted_worker_counts_from_zero(new: Histogram) -> None:
    """Counts that shrank are those of a new incarnation, not negative ones."""
    assert difference(new, histogram((10, 20, 5))) == new


def test_percentile() -> None:
    """The upper edge of the bucket, never beyond the largest value."""
    whole = histogram((10, 20, 98), (20, 30, 1), (500, 600, 1), high=510)
    assert percentile(whole, 0.5) == 20
    assert percentile(whole, 0.99) == 30
    assert percentile(whole, 0.999) == 510
    assert percentile(histogram(), 0.5) == 0


def test_an_empty_histogram_has_no_span() -> None:
    """Nothing measured draws nothing."""
    assert span([histogram()]) is None
    assert span([]) is None


def test_decades_are_round() -> None:
    """The axis shows 1, 2 and 5."""
    assert decades(900, 12_000) == [1000, 2000, 5000, 10_000]
