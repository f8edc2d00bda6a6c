"""Histograms as the plots and tables need them: differences, percentiles, logarithmic bins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tickdeck_console.model.facts import Histogram


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts over bins whose edges grow by a constant factor."""

    edges: tuple[float, ...]
    """One more than there are counts."""
    counts: tuple[float, ...]

    def shares(self) -> tuple[float, ...]:
        """Each count as a part of all; all zero when there are none."""
        total = sum(self.counts)
        return tuple(count / total if total else 0.0 for count in self.counts)


def difference(new: Histogram, old: Histogram) -> Histogram:
    """What was counted between two readings; `new` itself when the worker started again."""
    if new.count < old.count:
        return new
    before = {(bucket.lower, bucket.upper): bucket.count for bucket in old.buckets}
    counted = [
        replace(bucket, count=bucket.count - before.get((bucket.lower, bucket.upper), 0))
        for bucket in new.buckets
    ]
    if any(bucket.count < 0 for bucket in counted):
        return new
    kept = tuple(bucket for bucket in counted if bucket.count)
    return replace(
        new, count=new.count - old.count, total=new.total - old.total, buckets=kept, low=0, high=0
    )


def percentile(histogram: Histogram, part: float) -> int:
    """Upper edge of the bucket that holds the value at `part` (0 to 1); 0 when it is empty."""
    wanted = max(math.ceil(histogram.count * part), 1)
    seen = 0
    for bucket in sorted(histogram.buckets, key=lambda bucket: bucket.lower):
        seen += bucket.count
        if seen >= wanted:
            return min(bucket.upper, histogram.high) if histogram.high else bucket.upper
    return 0


def span(histograms: Sequence[Histogram]) -> tuple[float, float] | None:
    """The lowest and highest edge of all non-empty buckets; None when there are none."""
    buckets = [bucket for entry in histograms for bucket in entry.buckets if bucket.count]
    if not buckets:
        return None
    low = max(min(bucket.lower for bucket in buckets), 1)
    return float(low), float(max(max(bucket.upper for bucket in buckets), low * 2))


def log_bins(histogram: Histogram, low: float, high: float, columns: int) -> Bins:
    """Counts over `columns` bins from `low` to `high`; a bucket over several bins is shared out."""
    step = math.log(high / low) / columns
    edges = tuple(low * math.exp(step * index) for index in range(columns + 1))
    counts = [0.0] * columns
    for bucket in histogram.buckets:
        first = math.log(max(bucket.lower, low) / low) / step
        last = max(math.log(max(min(bucket.upper, high), low) / low) / step, first + 1e-9)
        for index in range(min(int(first), columns - 1), min(math.ceil(last), columns)):
            overlap = min(last, index + 1) - max(first, index)
            counts[index] += bucket.count * max(overlap, 0.0) / (last - first)
    return Bins(edges, tuple(counts))


def decades(low: float, high: float) -> list[float]:
    """Round values (1, 2, 5 times a power of ten) within a range, for an axis."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return [value for value in values if low <= value <= high]
