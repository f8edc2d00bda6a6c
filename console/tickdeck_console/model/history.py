"""Short histories of a few series per exchange, for trends and plots."""

from collections import deque
from dataclasses import dataclass, field

from tickdeck_console.model.frame import Exchange

SAMPLES = 120
"""Samples kept per series: two minutes."""
SAMPLE_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of an exchange; None where nothing was measured."""

    time_s: float
    p99_us: float | None
    message_rate: float | None


@dataclass(slots=True)
class History:
    """Ring buffer of samples, at most one a second, with holes where the console was cut off."""

    samples: deque[Sample] = field(default_factory=lambda: deque[Sample](maxlen=SAMPLES))

    def add(self, exchange: Exchange, now_s: float) -> None:
        """Take a sample, unless one was taken within the last second."""
        if self.samples and now_s - self.samples[-1].time_s < SAMPLE_INTERVAL_S:
            return
        latency = exchange.latency()
        p99_us = latency.p99_ns / 1000 if latency else None
        self.samples.append(Sample(now_s, p99_us, exchange.message_rate))

    def hole(self, now_s: float) -> None:
        """Mark that nothing was seen up to now."""
        if self.samples and self.samples[-1].message_rate is not None:
            self.samples.append(Sample(now_s, None, None))
