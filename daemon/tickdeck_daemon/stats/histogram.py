"""Base-2 log-linear histograms as the workers write them: 32 buckets per octave.

Values below 32 have a bucket each; above, a bucket is at most 1/32 of its value wide, so a
percentile is at most 3.1 % too high. The last bucket also holds everything beyond `LIMIT`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BUCKETS = 1088
"""Number of buckets."""
LIMIT = (1 << 38) - 1
"""Largest value with a bucket of its own width: 275 s in nanoseconds."""


@dataclass(frozen=True, slots=True)
class HistogramView:
    """One histogram at one moment, or the difference of two moments."""

    name: str
    labels: dict[str, str]
    unit: str
    count: int
    """Values recorded; the sum of `buckets`."""
    sum: int
    min: int
    """Smallest value, 0 when empty. Of a difference: the lower end of its first bucket."""
    max: int
    """Largest value, 0 when empty. Of a difference: the upper end of its last bucket."""
    buckets: list[int]

    def percentile(self, percent: float) -> int | None:
        """The value that `percent` (0 to 100) of the values do not exceed; None when empty.

        Rounded up to the end of its bucket, but never beyond `max`.
        """
        wanted = max(1, -(-self.count * min(percent, 100.0) // 100))
        seen = 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if count and seen >= wanted:
                return min(bucket_high(bucket), self.max) if bucket < BUCKETS - 1 else self.max
        return None

    def mean(self) -> float | None:
        """Average; None when empty."""
        return self.sum / self.count if self.count else None

    def difference(self, older: "HistogramView") -> "HistogramView":
        """What was recorded since `older`, an earlier view of the same histogram.

        Raises:
            ValueError: `older` is not earlier: it counted what this one did not.
        """
        buckets = [new - old for new, old in zip(self.buckets, older.buckets, strict=True)]
        if min(buckets) < 0:
            raise ValueError(
                f"{self.name}: the view to subtract is of a later or another histogram"
            )
        used = [bucket for bucket, count in enumerate(buckets) if count]
        return HistogramView(
            name=self.name,
            labels=self.labels,
            unit=self.unit,
            count=sum(buckets),
            sum=self.sum - older.sum,
            min=max(bucket_low(used[0]), self.min) if used else 0,
            max=self.max if used and used[-1] == BUCKETS - 1 else _upper(used, self.max),
            buckets=buckets,
        )

    def plus(self, other: "HistogramView") -> "HistogramView":
        """Both together: shards of one histogram, or several workers."""
        filled = [view for view in (self, other) if view.count]
        return HistogramView(
            name=self.name,
            labels=self.labels,
            unit=self.unit,
            count=self.count + other.count,
            sum=self.sum + other.sum,
            min=min((view.min for view in filled), default=0),
            max=max(self.max, other.max),
            buckets=[a + b for a, b in zip(self.buckets, other.buckets, strict=True)],
        )

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """The buckets that hold something: lower end, upper end (exclusive), count."""
        for bucket, count in enumerate(self.buckets):
            if count:
                yield bucket_low(bucket), bucket_high(bucket) + 1, count


def bucket_of(value: int) -> int:
    """The bucket of a value."""
    value = min(value, LIMIT)
    if value < 32:
        return value
    exponent = value.bit_length() - 1
    return (exponent - 4) * 32 + ((value >> (exponent - 5)) & 31)


def bucket_low(bucket: int) -> int:
    """Smallest value of a bucket."""
    octave, within = divmod(bucket, 32)
    return within if octave == 0 else (32 + within) << (octave - 1)


def bucket_high(bucket: int) -> int:
    """Largest value of a bucket; the last one also holds everything beyond `LIMIT`."""
    return LIMIT if bucket == BUCKETS - 1 else bucket_low(bucket + 1) - 1


def _upper(used: list[int], largest: int) -> int:
    return min(bucket_high(used[-1]), largest) if used else 0
