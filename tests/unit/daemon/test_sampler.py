"""The sampler: windows, totals over incarnations, and files that cannot be read."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_stats import StatsWriter
from tickdeck_daemon.observe.sampler import Sampler, Series, Target

SECOND = 1_000_000_000
FIRST = str(uuid.UUID(int=1))
SECOND_LIFE = str(uuid.UUID(int=2))


class Rig:
    """A sampler with a clock of its own and the stats files of one worker."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 1000 * SECOND
        self.sampler = Sampler(mono_ns=lambda: self.now, clock_ns=lambda: self.now)
        self.writers: list[StatsWriter] = []

    def writer(self, incarnation: str = FIRST) -> StatsWriter:
        path = self.directory / f"stats.{incarnation}.dat"
        self.writers.append(StatsWriter(path, "X-rx", incarnation))
        return self.writers[-1]

    def sample(self, seconds: float = 0.25, *, incarnation: str = FIRST) -> Series:
        self.now += int(seconds * SECOND)
        path = self.directory / f"stats.{incarnation}.dat"
        self.sampler.sample([Target("X-rx", incarnation, path)])
        return self.sampler.series("X-rx")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.sampler.close()
    for writer in rig.writers:
        writer.close()


def test_values_and_labels_are_read(rig: Rig) -> None:
    """A metric is found by name and labels, and an absent one is 0 but told apart."""
    writer = rig.writer()
    writer.set("rx_packets_total", 7, line="B")
    series = rig.sample()
    assert not series.stale
    assert series.value("rx_packets_total", line="B") == 7
    assert series.value("rx_packets_total", line="A") == 0
    assert series.has("rx_packets_total", line="A")
    assert not series.has("rx_packets_total", line="C")


@pytest.mark.parametrize(("window_s", "expected"), [(1.0, 100.0), (10.0, 100.0), (60.0, 100.0)])
def test_a_steady_rate_is_the_same_in_every_window(
    rig: Rig, window_s: float, expected: float
) -> None:
    """Rates are growth over the window, not a lifetime average."""
    writer = rig.writer()
    for _ in range(280):
        writer.add("arbiter_delivered_total", 25)
        rig.sample()
    assert rig.sampler.series("X-rx").rate("arbiter_delivered_total", window_s) == expected


def test_a_burst_after_an_hour_of_quiet_shows_in_full(rig: Rig) -> None:
    """The 1 s rate is that of the last second, however long the worker has run."""
    writer = rig.writer()
    for _ in range(70):
        rig.sample(1.0)
    for _ in range(4):
        writer.add("arbiter_delivered_total", 1000)
        rig.sample()
    series = rig.sampler.series("X-rx")
    assert series.rate("arbiter_delivered_total", 1.0) == 4000.0
    assert series.rate("arbiter_delivered_total", 10.0) == 400.0
    assert series.delta("arbiter_delivered_total", 10.0) == 4000


def test_a_young_series_uses_what_there_is(rig: Rig) -> None:
    """Before a window is full the rate is over the time that is known."""
    writer = rig.writer()
    assert rig.sample().rate("arbiter_delivered_total", 1.0) == 0.0
    writer.add("arbiter_delivered_total", 50)
    assert rig.sample(0.5).rate("arbiter_delivered_total", 10.0) == 100.0


def test_a_counter_that_falls_gives_no_negative_growth(rig: Rig) -> None:
    """Messages that arrive late lower a line's loss; that is no negative rate."""
    writer = rig.writer()
    writer.set("line_lost_total", 50, line="A")
    rig.sample()
    writer.set("line_lost_total", 20, line="A")
    assert rig.sample().delta("line_lost_total", 10.0, line="A") == 0


def test_a_lines_loss_has_a_window_and_a_total(rig: Rig) -> None:
    """It is a gauge to its worker, because it may fall, and yet it adds up."""
    writer = rig.writer()
    rig.sample()
    writer.set("line_lost_total", 30, line="A")
    assert rig.sample().delta("line_lost_total", 10.0, line="A") == 30
    rig.writer(SECOND_LIFE).set("line_lost_total", 1, line="A")
    assert rig.sample(incarnation=SECOND_LIFE).total("line_lost_total", line="A") == 31


def test_totals_go_on_over_incarnations_and_windows_do_not(rig: Rig) -> None:
    """A restart keeps what was counted, and gives no burst in the rates."""
    writer = rig.writer()
    writer.add("arbiter_delivered_total", 500)
    writer.set("arbiter_next_sequence", 501)
    rig.sample()
    second = rig.writer(SECOND_LIFE)
    second.add("arbiter_delivered_total", 20)
    series = rig.sample(incarnation=SECOND_LIFE)
    assert series.total("arbiter_delivered_total") == 520
    assert series.value("arbiter_delivered_total") == 20
    assert series.total("arbiter_next_sequence") == 0
    assert series.rate("arbiter_delivered_total", 10.0) == 0.0
    assert series.total_of_all("rx_packets_total") == 0


def test_total_of_all_adds_labels_and_incarnations(rig: Rig) -> None:
    """Reasons of rejection add up, also those of a worker that ended."""
    writer = rig.writer()
    writer.add("rx_rejected_total", 3, line="A", reason="truncated")
    writer.add("rx_rejected_total", 4, line="B", reason="wrong_session")
    assert rig.sample().total_of_all("rx_rejected_total") == 7
    rig.writer(SECOND_LIFE).add("rx_rejected_total", 1, line="A", reason="truncated")
    assert rig.sample(incarnation=SECOND_LIFE).total_of_all("rx_rejected_total") == 8


def test_histograms_are_differences_of_a_window(rig: Rig) -> None:
    """What was recorded before the window does not move its percentiles."""
    writer = rig.writer()
    writer.record("journal_sync_ns", 900 * 1_000_000, times=1000)
    for _ in range(12):
        writer.record("journal_sync_ns", 1_000_000, times=10)
        rig.sample(1.0)
    series = rig.sampler.series("X-rx")
    window = series.histograms(10.0)["journal_sync_ns", ""]
    assert window.count == 100
    p99 = window.percentile(99.0)
    assert p99 is not None
    assert p99 < 1_100_000
    assert series.cumulative()["journal_sync_ns", ""].count == 1120


def test_histograms_of_a_young_series_hold_all(rig: Rig) -> None:
    """Before a window is full it is everything since the start."""
    rig.writer().record("journal_sync_ns", 1000, times=5)
    assert rig.sample().histograms(10.0)["journal_sync_ns", ""].count == 5


def test_a_missing_file_is_stale_and_counted(rig: Rig) -> None:
    """A worker without a file keeps its last values, marked, and comes back by itself."""
    series = rig.sample()
    assert series.stale
    assert rig.sampler.failures["FileNotFoundError"] == 1
    writer = rig.writer()
    writer.add("arbiter_delivered_total", 5)
    assert not rig.sample().stale
    assert rig.sampler.series("X-rx").value("arbiter_delivered_total") == 5


def test_a_foreign_file_is_never_taken(rig: Rig) -> None:
    """A file of another incarnation under the expected name gives no values."""
    rig.writer(SECOND_LIFE).add("arbiter_delivered_total", 99)
    os.rename(rig.directory / f"stats.{SECOND_LIFE}.dat", rig.directory / f"stats.{FIRST}.dat")
    series = rig.sample()
    assert series.stale
    assert series.latest is None
    assert rig.sampler.failures["ForeignFileError"] == 1
    assert "belongs to incarnation" in series.error


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "NotReadyError"),
        (b"short", "NotReadyError"),
        (bytes(8192), "NotReadyError"),
        (b"TDSTATS1" + b"\x09" * 8192, "LayoutError"),
        (b"TDSTATS1" + b"\x01\x00\x00\x00\x00\x10\x00\x00" + b"\xff" * 8184, "DamagedError"),
    ],
    ids=["empty", "short", "not published", "another layout", "contradicts itself"],
)
def test_a_damaged_file_is_counted_by_reason_and_hurts_no_other(
    rig: Rig, content: bytes, reason: str
) -> None:
    """One bad file leaves the samples of the other workers as they are."""
    bad = rig.directory / f"stats.{SECOND_LIFE}.dat"
    bad.write_bytes(content)
    good = rig.writer()
    good.add("arbiter_delivered_total", 5)
    rig.sampler.sample([Target("bad", SECOND_LIFE, bad), Target("X-rx", FIRST, good.path)])
    assert rig.sampler.series("bad").stale
    assert rig.sampler.failures == {reason: 1}
    assert rig.sampler.series("X-rx").value("arbiter_delivered_total") == 5


def test_a_failed_reading_keeps_the_last_values_and_no_rate(rig: Rig) -> None:
    """Old values stay for the eye; a rate of old values would be a lie."""
    writer = rig.writer()
    rig.sample()
    writer.add("arbiter_delivered_total", 100)
    assert rig.sample().rate("arbiter_delivered_total", 1.0) > 0
    rig.now += SECOND
    rig.sampler.sample([Target("X-rx", SECOND_LIFE, rig.directory / "gone.dat")])
    series = rig.sampler.series("X-rx")
    assert series.value("arbiter_delivered_total") == 100
    assert series.rate("arbiter_delivered_total", 1.0) == 0.0


def test_a_worker_without_a_process_is_stale(rig: Rig) -> None:
    """No incarnation means that there is nothing to read."""
    rig.sampler.sample([Target("X-rx", None, None)])
    assert rig.sampler.series("X-rx").stale


def test_series_of_workers_that_are_gone_are_dropped(rig: Rig) -> None:
    """What is no longer a target costs nothing any more."""
    rig.writer().add("arbiter_delivered_total", 5)
    rig.sample()
    rig.sampler.sample([])
    assert rig.sampler.series("X-rx").latest is None


def test_the_heartbeat_ages_when_nobody_beats(rig: Rig) -> None:
    """Its age is taken at each sample, whatever else the file says."""
    writer = rig.writer()
    writer.beat(rig.now)
    sample = rig.sample(4.0).latest
    assert sample is not None
    assert sample.heartbeat_age_ns == 4 * SECOND


def test_frames_stay_bounded(rig: Rig) -> None:
    """An hour of samples keeps no more than the windows need."""
    rig.writer()
    for _ in range(1000):
        rig.sample()
    frames = rig.sampler.series("X-rx")._frames  # pyright: ignore[reportPrivateUsage]
    assert frames is not None
    assert len(frames.fine) <= 9
    assert len(frames.coarse) <= 64
    assert len(frames.histograms) <= 12
