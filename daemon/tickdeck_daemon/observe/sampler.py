"""Reads every worker's stats file four times a second and keeps what rates need.

Counters in a stats file only grow, so rates and windows are made here: a worker's series holds
frames of its counters (each sample of the last 2 s, one a second for 64 s) and of its
histograms (one a second for 12 s; they are long, so they are read no more often). A new
incarnation begins new frames; what the ended ones had counted is carried, so that totals do
not fall back.

A file that is missing, foreign, torn or too new never stops the others: the last good values
stay, marked stale, and the reason is counted.
"""

import time
from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from tickdeck_daemon.stats import GapRow, HistogramView, Kind, Metric, StatsError, StatsFile

_log = structlog.stdlib.get_logger(__name__)

SAMPLE_INTERVAL_S = 0.25
FINE_NS = 2_000_000_000
COARSE_NS = 1_000_000_000
COARSE_FRAMES = 64
HISTOGRAM_FRAMES = 12

Key = tuple[str, str]
"""Metric name, and its labels as "k=v,k=v" in order of name."""


@dataclass(frozen=True, slots=True)
class Target:
    """A stats file that should be read."""

    worker: str
    incarnation: str | None
    path: Path | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one stats file."""

    mono_ns: int
    time_ns: int
    """UTC."""
    incarnation: str
    metrics: Mapping[Key, Metric]
    histograms: Mapping[Key, HistogramView] | None
    """None when they were not due."""
    gaps: tuple[GapRow, ...]
    heartbeat_age_ns: int


_Row: TypeAlias = "array[int]"


class _Frames:
    """Counters of one incarnation over time."""

    def __init__(self, first: Sample) -> None:
        """`index` tells where each counter is in a row."""
        self._incarnation = first.incarnation
        counters = [key for key, metric in first.metrics.items() if _accumulates(metric)]
        self.index = {key: position for position, key in enumerate(counters)}
        self.fine: deque[tuple[int, _Row]] = deque()
        self.coarse: deque[tuple[int, _Row]] = deque(maxlen=COARSE_FRAMES)
        self.histograms: deque[tuple[int, Mapping[Key, HistogramView]]] = deque(
            maxlen=HISTOGRAM_FRAMES
        )
        self.windows: dict[float, dict[Key, HistogramView]] = {}
        """Differences by window, until the next histograms are read."""
        self._bases: dict[int, tuple[int, _Row]] = {}

    def fit(self, sample: Sample) -> bool:
        """True when a sample continues these frames."""
        same = sample.incarnation == self._incarnation
        return same and all(key in sample.metrics for key in self.index)

    def add(self, sample: Sample) -> None:
        """Add a row and forget what is too old."""
        row = array("Q", (_clamp(sample.metrics[key].value) for key in self.index))
        self._bases.clear()
        self.fine.append((sample.mono_ns, row))
        while self.fine[0][0] < sample.mono_ns - FINE_NS:
            self.fine.popleft()
        if not self.coarse or sample.mono_ns - self.coarse[-1][0] >= COARSE_NS:
            self.coarse.append((sample.mono_ns, row))
        if sample.histograms is not None:
            self.histograms.append((sample.mono_ns, sample.histograms))
            self.windows.clear()

    def base(self, since_ns: int) -> tuple[int, _Row]:
        """The last row at or before a time, else the oldest there is."""
        if since_ns not in self._bases:
            rows = sorted((*self.coarse, *self.fine), key=lambda row: row[0])
            position = bisect_right(rows, since_ns, key=lambda row: row[0])
            self._bases[since_ns] = rows[max(0, position - 1)]
        return self._bases[since_ns]


class Series:
    """What is known of one worker: the last sample, totals and windows."""

    def __init__(self, worker: str) -> None:
        """Start without a sample."""
        self.worker = worker
        self.latest: Sample | None = None
        self.error = "not read yet"
        """Why the last reading failed; empty when it did not, else `latest` is old."""
        self._carried: Counter[Key] = Counter()
        self._frames: _Frames | None = None

    @property
    def stale(self) -> bool:
        """True when the values are not those of the last reading."""
        return bool(self.error)

    def has(self, name: str, **labels: str) -> bool:
        """True when the worker has this metric: 0 and absent are not the same evidence."""
        return self.latest is not None and key_of(name, labels) in self.latest.metrics

    def value(self, name: str, **labels: str) -> int:
        """Present value of a metric in the running incarnation; 0 when there is none."""
        metric = self.latest.metrics.get(key_of(name, labels)) if self.latest else None
        return metric.value if metric else 0

    def total(self, name: str, **labels: str) -> int:
        """A counter of the running incarnation and of those that ended before it."""
        return self.value(name, **labels) + self._carried[key_of(name, labels)]

    def total_of_all(self, *names: str) -> int:
        """`total` summed over some counters and all their labels."""
        metrics = self.latest.metrics.items() if self.latest else ()
        present = sum(metric.value for (name, _), metric in metrics if name in names)
        return present + sum(count for (name, _), count in self._carried.items() if name in names)

    def delta(self, name: str, window_s: float, **labels: str) -> int:
        """Growth of a counter within the window, never below 0."""
        return self._growth(key_of(name, labels), window_s)[0]

    def rate(self, name: str, window_s: float, **labels: str) -> float:
        """Growth per second over the window, or over what is known of it; 0 when stale."""
        growth, seconds = self._growth(key_of(name, labels), window_s)
        return growth / seconds if seconds and not self.stale else 0.0

    def histograms(self, window_s: float) -> dict[Key, HistogramView]:
        """What each histogram counted within the window, as of the last full second."""
        frames = self._frames
        if frames is None or not frames.histograms:
            return {}
        if window_s not in frames.windows:
            frames.windows[window_s] = _window(frames.histograms, int(window_s * 1e9))
        return frames.windows[window_s]

    def cumulative(self) -> Mapping[Key, HistogramView]:
        """All that each histogram of the running incarnation counted, up to a second ago."""
        frames = self._frames
        return frames.histograms[-1][1] if frames and frames.histograms else {}

    def wants_histograms(self, incarnation: str, mono_ns: int) -> bool:
        """True when the next sample should carry histograms."""
        frames = self._frames
        same = self.latest is not None and self.latest.incarnation == incarnation
        if frames is None or not frames.histograms or not same:
            return True
        return mono_ns - frames.histograms[-1][0] >= COARSE_NS

    def take(self, sample: Sample) -> None:
        """Add a reading."""
        last = self.latest
        if last is not None and last.incarnation != sample.incarnation:
            for key, metric in last.metrics.items():
                if _accumulates(metric):
                    self._carried[key] += metric.value
        if self._frames is None or not self._frames.fit(sample):
            self._frames = _Frames(sample)
        self._frames.add(sample)
        self.latest = sample
        self.error = ""

    def _growth(self, key: Key, window_s: float) -> tuple[int, float]:
        """Growth within the window and the seconds that it took."""
        frames = self._frames
        if frames is None or self.latest is None or key not in frames.index:
            return 0, 0.0
        began_ns, began = frames.base(self.latest.mono_ns - int(window_s * 1e9))
        position = frames.index[key]
        growth = frames.fine[-1][1][position] - began[position]
        return max(0, growth), (self.latest.mono_ns - began_ns) / 1e9


class _Opener(Protocol):
    """Opens a stats file; replaced in tests."""

    def __call__(self, path: Path, /) -> StatsFile: ...


class _OpenFile:
    """A mapped file with the keys of its metrics, whose order never changes."""

    def __init__(self, path: Path, file: StatsFile) -> None:
        """Take over an open file."""
        self.path = path
        self.file = file
        self.keys = [key_of(metric.name, metric.labels) for metric in file.metrics()]


class Sampler:
    """All series of the plant."""

    def __init__(
        self,
        *,
        open_file: _Opener = StatsFile.open,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Start without targets; the clocks are replaced in tests."""
        self._open_file = open_file
        self._mono_ns = mono_ns
        self._clock_ns = clock_ns
        self._files: dict[str, _OpenFile] = {}
        self._series: dict[str, Series] = {}
        self.failures: Counter[str] = Counter()
        """Failed readings by reason."""

    def sample(self, targets: Iterable[Target]) -> None:
        """Read every target once; series of other workers are dropped."""
        wanted = {target.worker: target for target in targets}
        for gone in self._series.keys() - wanted.keys():
            del self._series[gone]
            self._close(gone)
        for worker, target in wanted.items():
            series = self._series.setdefault(worker, Series(worker))
            try:
                series.take(self._read(target, series))
            except StatsError as error:
                self._fail(series, type(error).__name__, str(error))
            except OSError as error:
                self._fail(series, type(error).__name__, error.strerror or str(error))

    def series(self, worker: str) -> Series:
        """The series of a worker; an empty one when it is not sampled."""
        return self._series.get(worker) or Series(worker)

    def close(self) -> None:
        """Unmap all files."""
        for worker in list(self._files):
            self._close(worker)

    def _read(self, target: Target, series: Series) -> Sample:
        if target.path is None or target.incarnation is None:
            raise FileNotFoundError(2, "no process yet")
        known = self._files.get(target.worker)
        if known is None or known.path != target.path:
            self._close(target.worker)
            known = _OpenFile(target.path, self._open_file(target.path))
            self._files[target.worker] = known
        file = known.file
        if file.identity.incarnation != target.incarnation:
            self._close(target.worker)
            raise ForeignFileError(target.path, file.identity.incarnation, target.incarnation)
        now = self._mono_ns()
        histograms = None
        if series.wants_histograms(target.incarnation, now):
            histograms = {key_of(view.name, view.labels): view for view in file.histograms()}
        return Sample(
            mono_ns=now,
            time_ns=self._clock_ns(),
            incarnation=target.incarnation,
            metrics=dict(zip(known.keys, file.metrics(), strict=True)),
            histograms=histograms,
            gaps=tuple(file.gaps()),
            heartbeat_age_ns=file.heartbeat_age_ns(now),
        )

    def _fail(self, series: Series, reason: str, text: str) -> None:
        """Count a failed reading; logged only when the reason is new."""
        self.failures[reason] += 1
        if series.error != text:
            _log.warning("stats file not read", worker=series.worker, reason=reason, error=text)
        series.error = text

    def _close(self, worker: str) -> None:
        known = self._files.pop(worker, None)
        if known is not None:
            known.file.close()


class ForeignFileError(StatsError):
    """The file is that of another incarnation than the worker that runs."""

    def __init__(self, path: Path, found: str, wanted: str) -> None:
        """Name both incarnations."""
        super().__init__(f"{path} belongs to incarnation {found}, the worker is {wanted}")


def key_of(name: str, labels: Mapping[str, str]) -> Key:
    """Key of a metric: labels in order of their names."""
    if not labels:
        return name, ""
    return name, ",".join(f"{key}={labels[key]}" for key in sorted(labels))


def _accumulates(metric: Metric) -> bool:
    """True for what adds up over time.

    `line_lost_total` does, though its worker calls it a gauge: a late arrival takes a loss back.
    """
    return metric.kind is Kind.COUNTER or metric.name.endswith("_total")


def _window(
    frames: Iterable[tuple[int, Mapping[Key, HistogramView]]], window_ns: int
) -> dict[Key, HistogramView]:
    """Difference of the last frame and the one a window before it, or all when there is none."""
    ordered = list(frames)
    last_ns, last = ordered[-1]
    before = [frame for mono_ns, frame in ordered if mono_ns <= last_ns - window_ns]
    old: Mapping[Key, HistogramView] = before[-1] if before else {}
    return {key: view.difference(old[key]) if key in old else view for key, view in last.items()}


def _clamp(value: int) -> int:
    """Into the range of an unsigned word; a torn read can give nothing else."""
    return min(max(value, 0), 2**64 - 1)
