"""The stats reader against the file that the Rust crate wrote, and against damaged ones."""

import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_daemon import stats
from tickdeck_daemon.stats import (
    DamagedError,
    ExitReason,
    GapRow,
    GapState,
    HistogramView,
    Kind,
    LayoutError,
    MissingMetricError,
    NotReadyError,
    State,
    StatsFile,
    drop_verdict,
    gap_fault,
    gap_sources,
)
from tickdeck_daemon.stats.histogram import BUCKETS, LIMIT, bucket_high, bucket_low, bucket_of
from tickdeck_daemon.workers.identity import boot_id, process_stat

INCARNATION = "00010203-0405-0607-0809-0a0b0c0d0e0f"
GOLDEN = Path(__file__).parents[2] / f"data/stats_v1_1/stats.{INCARNATION}.dat"
"""Written by `cargo run -p tickdeck-stats --example stats_sample`; its values are in
`native/crates/stats/tests/sample/mod.rs` and are repeated here by hand."""
OLD = Path(__file__).parents[2] / f"data/stats_v1/stats.{INCARNATION}.dat"
"""The same as minor version 0 wrote it: gap rows of 16 words instead of 32."""
GAP_STRIDE = 256
GAPS_OFFSET = 2048 + 3 * 32 + 8
"""Where the directory says at which offset the gap table begins."""


def test_identity_and_signs_of_life_are_those_of_the_writer() -> None:
    """Every field of the header is read from its place."""
    with StatsFile.open(GOLDEN) as file:
        identity = file.identity
        assert identity.worker_id == "XNAS-rx"
        assert identity.resource == "exchanges/XNAS"
        assert identity.build_id == "0.1.0+sample"
        assert identity.incarnation == INCARNATION
        assert identity.generation == 3
        assert identity.pid > 1
        assert identity.start_ticks > 0
        assert identity.start_real_ns > 1_700_000_000_000_000_000 > identity.start_mono_ns > 0
        assert (file.state, file.sub_state) == (State.DRAINING, 5)
        assert file.state_since_mono_ns >= identity.start_mono_ns
        assert (file.progress, file.command_generation) == (2, 412)
        assert file.heartbeat_age_ns(4_000_000_009) == 9
        assert file.heartbeat_age_ns(0) == 0
        assert file.last_packet_mono_ns == 3_999_000_000


def test_exit_record_is_read_whole() -> None:
    """The last words keep reason, code, signal, text and place."""
    with StatsFile.open(GOLDEN) as file:
        record = file.exit_record
    assert record is not None
    assert (record.reason, record.code, record.signal) == (ExitReason.FAILED, 1, 6)
    assert record.message == "cannot write segment 17: " + "é" * 115
    assert record.location == "journal/src/writer.rs:212"


def test_metrics_equal_what_was_written() -> None:
    """Names, labels, kinds, units and values of all single metrics, shards summed."""
    with StatsFile.open(GOLDEN) as file:
        metrics = file.metrics()
    assert [(m.name, m.labels, m.kind, m.unit, m.value) for m in metrics] == [
        ("rx_packets_total", {"line": "A"}, Kind.COUNTER, "packets", 1_000_007),
        ("rx_packets_total", {"line": "B"}, Kind.COUNTER, "packets", 999_999),
        ("rx_rejected_total", {"line": "A", "reason": "truncated"}, Kind.COUNTER, "packets", 2),
        ("arbiter_next_sequence", {}, Kind.GAUGE, "messages", 2**63 + 5),
        ("session_state", {}, Kind.STATE, "", 2),
        ("hold_packets_max", {}, Kind.HIGH_WATER, "packets", 40),
        ("journal_bytes_total", {}, Kind.COUNTER, "bytes", 123),
        ("journal_records_total", {}, Kind.COUNTER, "records", 11),
        ("gap_table_overflows_total", {}, Kind.COUNTER, "gaps", 1),
    ]


def test_value_sums_the_series_that_have_the_labels() -> None:
    """One series by its labels, several by fewer labels, an error for none."""
    with StatsFile.open(GOLDEN) as file:
        assert file.value("rx_packets_total", line="B") == 999_999
        assert file.value("rx_packets_total") == 2_000_006
        assert file.get("rx_packets_total", line="C") is None
        with pytest.raises(MissingMetricError, match="rx_packets_total"):
            file.value("rx_packets_total", line="C")
        assert file.get("latency_rx_to_ring_ns") is None


def test_histograms_equal_what_was_written() -> None:
    """Buckets, sums, extremes and percentiles of a filled, a batch and an empty histogram."""
    with StatsFile.open(GOLDEN) as file:
        kernel, user, sync = file.histograms()
    assert (kernel.name, kernel.labels) == ("latency_rx_to_ring_ns", {"source": "kernel"})
    assert (kernel.count, kernel.min, kernel.max) == (9, 0, 2**40)
    assert kernel.sum == 31 + 32 + 33 + 2_000 + 123_456_789 + (2**38 - 1) + 2**40
    filled = {bucket: count for bucket, count in enumerate(kernel.buckets) if count}
    assert filled == {0: 1, 31: 1, 32: 1, 33: 1, 190: 2, 730: 1, 1087: 2}
    assert list(kernel.ranges())[4] == (992, 1008, 2)
    assert (kernel.percentile(50), kernel.percentile(99)) == (1007, 2**40)
    assert (user.count, user.sum, user.percentile(99.9)) == (64, 160_000, 2500)
    assert (sync.count, sync.min, sync.max, sync.percentile(50)) == (0, 0, 0, None)
    assert sync.mean() is None


def test_gap_rows_equal_what_was_written() -> None:
    """Every field of a row, in the order of the ids; gap 1 was overwritten by gap 257."""
    with StatsFile.open(GOLDEN) as file:
        rows = file.gaps()
        assert file.torn_gaps() == 0
    assert rows[0] == GapRow(
        id=2,
        first=100,
        last=199,
        state=GapState.FILLED,
        sources=0b110,
        reason=0,
        detected_ns=1_700_000_000_000_000_001,
        requested_ns=1_700_000_000_002_000_000,
        closed_ns=1_700_000_000_005_000_000,
        attempts=1,
        missing=0,
        lines_missed=0b01,
        slo_violated=False,
        drop_layer=8,
        drop_count=812,
        channel=7,
        waited_ns=1_700_000_000_001_000_000,
        requested_last_ns=1_700_000_000_003_000_000,
        partial_ns=1_700_000_000_004_000_000,
        by_line_b=40,
        by_request=60,
        stale_answers=3,
        injected=2,
        fault=4,
        noted=True,
    )
    assert [(row.id, row.state, row.missing) for row in rows] == [
        (2, GapState.FILLED, 0),
        (3, GapState.UNRECOVERABLE, 2),
        (257, GapState.SNAPSHOT, 3),
    ]
    assert (rows[1].reason, rows[1].lines_missed, rows[1].slo_violated) == (1, 3, True)
    last = rows[2]
    assert last.snapshot_ns == 1_700_000_000_006_000_000
    brought = (last.by_line_a, last.by_line_b, last.by_other_lines, last.by_request)
    assert (*brought, last.by_stream, last.by_peer, last.by_snapshot) == (1, 2, 3, 4, 5, 2, 1)
    assert gap_sources(last.sources) == ["A", "B", "re-request", "G", "stream", "peer", "snapshot"]
    assert not last.noted


def test_gap_rows_of_an_older_file_have_the_newer_words_empty() -> None:
    """A file of minor version 0 reads as ever; 0 says nothing in every field it does not have."""
    with StatsFile.open(OLD) as file:
        row = file.gaps()[0]
        assert [gap.id for gap in file.gaps()] == [2, 3, 257]
        assert file.torn_gaps() == 0
    assert (row.first, row.last, row.sources, row.attempts) == (100, 199, 0b110, 1)
    assert (row.drop_layer, row.channel, row.waited_ns, row.by_line_b, row.noted) == (0,) * 5
    assert gap_fault(row.fault) == "none"


def test_a_longer_row_of_a_version_to_come_is_read_up_to_what_is_known(tmp_path: Path) -> None:
    """The stride is the file's own: words behind those that this reader knows are passed over."""
    data = bytearray(GOLDEN.read_bytes())
    (gaps_at,) = struct.unpack_from("<Q", data, GAPS_OFFSET)
    with StatsFile.open(GOLDEN) as file:
        known = file.gaps()
    slots = [data[gaps_at + slot * GAP_STRIDE :][:GAP_STRIDE] for slot in range(4)]
    data[gaps_at:] = b"".join(slot + b"\7" * 64 for slot in slots)
    struct.pack_into("<QII", data, GAPS_OFFSET + 8, 4 * (GAP_STRIDE + 64), 4, GAP_STRIDE + 64)
    struct.pack_into("<Q", data, 24, len(data))
    with StatsFile.open(_write(tmp_path, data)) as file:
        assert file.gaps() == known


def test_codes_of_a_newer_worker_stay_visible() -> None:
    """A verdict or a fault without a word is told as its number, and an unknown state is one."""
    assert drop_verdict(0) == ""
    assert drop_verdict(8) == "socket"
    assert drop_verdict(99) == "CODE_99"
    assert (gap_fault(11), gap_fault(12)) == ("disconnected", "CODE_12")
    assert GapState(8) is GapState.UNKNOWN
    assert not GapState.SNAPSHOT.is_final


def test_whose_loss_a_gap_is() -> None:
    """Lost on all lines, late on one, late on both; open while a line may still bring it."""
    with StatsFile.open(GOLDEN) as file:
        row = file.gaps()[0]
    assert row.lost_on == "all", "60 messages had to be asked for"
    late = replace(row, by_line_b=100, by_request=0)
    assert late.lost_on == "one"
    assert replace(late, lines_missed=0).lost_on == "none"
    waiting = replace(row, state=GapState.WAITING, waited_ns=0, by_line_b=0, by_request=0)
    assert waiting.lost_on == ""


def test_a_row_whose_writer_died_inside_is_torn_and_not_told(tmp_path: Path) -> None:
    """An odd sequence ends after bounded tries; the other rows are still read."""
    data = bytearray(GOLDEN.read_bytes())
    (gaps_at,) = struct.unpack_from("<Q", data, GAPS_OFFSET)
    sequence_at = gaps_at + 2 * GAP_STRIDE
    struct.pack_into("<Q", data, sequence_at, struct.unpack_from("<Q", data, sequence_at)[0] + 1)
    with StatsFile.open(_write(tmp_path, data)) as file:
        assert [row.id for row in file.gaps()] == [3, 257]
        assert file.torn_gaps() == 1


def test_a_row_is_never_a_mixture_of_two(tmp_path: Path) -> None:
    """A writer in another process changes a row all the time; what is read is as it was put."""
    data = bytearray(GOLDEN.read_bytes())
    (gaps_at,) = struct.unpack_from("<Q", data, GAPS_OFFSET)
    path = _write(tmp_path, data)
    command = [
        sys.executable,
        "-c",
        ENDLESS_WRITER,
        str(path),
        str((gaps_at + 5 * GAP_STRIDE) // 8),
    ]
    with subprocess.Popen(command) as writer, StatsFile.open(path) as file:
        try:
            deadline = time.monotonic() + 240
            seen: set[int] = set()
            while len(seen) < 500:
                assert time.monotonic() < deadline, f"{len(seen)} rows within 240 s"
                for row in file.gaps():
                    if row.id == 5:
                        seen.add(row.first)
                        later = (row.last, row.sources, row.attempts, row.missing)
                        assert later == tuple(row.first + place for place in (1, 3, 8, 9))
                os.sched_yield()  # both may have to share one core
        finally:
            writer.kill()


ENDLESS_WRITER = """
import mmap, sys
file = open(sys.argv[1], "r+b")
words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
slot, number, sequence = int(sys.argv[2]), 1, 0
while True:
    words[slot] = sequence + 1
    words[slot + 1] = 5
    for place in range(12):
        words[slot + 2 + place] = number + place
    words[slot] = sequence = sequence + 2
    number += 1
    for _ in range(500):
        pass
"""
"""Puts rows whose fields all follow from the first one into the slot of gap 5."""


@pytest.mark.parametrize(
    ("offset", "value", "error"),
    [
        (0, b"\0" * 8, NotReadyError),
        (0, b"ELF", NotReadyError),
        (8, b"\2\0", LayoutError),
        (16, b"\1\2\3\4\5\6\7\10", DamagedError),
        (24, b"\0\0", DamagedError),
        (88, b"\377", DamagedError),
        (2048 + 4, b"\2", LayoutError),
        (2048 + 8, b"\7", DamagedError),
        (2048 + 32 + 16, b"\0\0\0\1", DamagedError),
        (2048 + 32 + 24, b"\377\377", DamagedError),
        (2048 + 32 + 28, b"\0\0", DamagedError),
        (4096 + 12, b"\377\377", DamagedError),
        (4096 + 16, b"\20", DamagedError),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(
    tmp_path: Path, offset: int, value: bytes, error: type[Exception]
) -> None:
    """Whatever is wrong in header, directory or descriptors is a typed error, never a crash."""
    data = bytearray(GOLDEN.read_bytes())
    data[offset : offset + len(value)] = value
    path = _write(tmp_path, data)
    with pytest.raises(error, match=path.name):
        StatsFile.open(path)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    """Touching pages behind the end would kill the reader, so the length is checked first."""
    data = GOLDEN.read_bytes()
    for length in (0, 100, 4096, len(data) - 8):
        with pytest.raises((NotReadyError, DamagedError)):
            StatsFile.open(_write(tmp_path, data[:length]))


def test_unknown_sections_and_codes_are_not_errors(tmp_path: Path) -> None:
    """A newer minor version may add sections; a newer state is UNKNOWN, not a crash."""
    data = bytearray(GOLDEN.read_bytes())
    struct.pack_into("<I", data, 88, 5)
    struct.pack_into("<IHHQQII", data, 2048 + 4 * 32, 77, 9, 0, 1 << 40, 3, 1, 1)
    struct.pack_into("<I", data, 640, 99)
    with StatsFile.open(_write(tmp_path, data)) as file:
        assert file.state is State.UNKNOWN
        assert file.value("rx_packets_total", line="A") == 1_000_007


def test_numbers_are_those_of_the_moment(tmp_path: Path) -> None:
    """A mapped file shows what is stored after it was opened."""
    path = _write(tmp_path, GOLDEN.read_bytes())
    with StatsFile.open(path) as file, path.open("r+b") as writer:
        before = file.progress
        writer.seek(576)
        writer.write(struct.pack("<Q", 9))
        writer.flush()
        assert (before, file.progress) == (2, 9)


def test_a_report_tells_a_dead_worker_from_its_file_alone() -> None:
    """JSON and text show identity, death, values, percentiles, gaps and last words."""
    report = stats.to_json(GOLDEN.parent)
    (worker,) = report["workers"]
    assert worker["worker"] == "XNAS-rx"
    assert worker["alive"] is False
    assert json.loads(json.dumps(report))["workers"][0]["metrics"][3]["value"] == 2**63 + 5
    assert worker["histograms"][1]["percentiles"]["p99.9"] == 2500
    assert worker["gaps"][0]["sources"] == ["B", "re-request"]
    assert worker["gaps"][0]["brought"]["request"] == 60
    assert worker["gaps"][0]["fault"] == "stale"
    assert worker["gaps"][1]["reason"] == "attempts exhausted"
    text = stats.render(report)
    for part in ("XNAS-rx", "dead", "rx_packets_total{line=A}", "1,000,007", "p99.9 2.5 us"):
        assert part in text
    assert "exit FAILED, code 1, signal 6: cannot write segment 17" in text
    assert "lost on all lines (A+B)" in text
    assert "noted" in text


def test_a_report_knows_a_living_writer(tmp_path: Path) -> None:
    """Alive needs boot id, pid and start time alike; another start time means dead."""
    stat = process_stat(os.getpid())
    assert stat is not None
    data = bytearray(GOLDEN.read_bytes())
    data[40:56] = bytes.fromhex(boot_id().replace("-", ""))
    struct.pack_into("<QI", data, 72, stat.start_time_ticks, os.getpid())
    path = _write(tmp_path, data)
    (worker,) = stats.to_json(path, now_mono_ns=4_000_000_500)["workers"]
    assert (worker["alive"], worker["heartbeat_age_ns"]) == (True, 500)
    struct.pack_into("<Q", data, 72, stat.start_time_ticks - 1)
    (worker,) = stats.to_json(_write(tmp_path, data))["workers"]
    assert worker["alive"] is False


def test_a_runtime_directory_gives_the_newest_file_of_each_worker(tmp_path: Path) -> None:
    """Workers are found below workers/; a file that is damaged does not hide the others."""
    good, bad = tmp_path / "workers/XNAS-rx", tmp_path / "workers/XEUR-rx"
    good.mkdir(parents=True)
    bad.mkdir()
    (good / "stats.old.dat").write_bytes(b"older")
    _wait_for_the_clock_of(good / "stats.old.dat")
    (good / "stats.new.dat").write_bytes(GOLDEN.read_bytes())
    (good / "stats.newer.dat.tmp").write_bytes(b"not published")
    (bad / "stats.x.dat").write_bytes(bytes(5000))
    report = stats.to_json(tmp_path)
    broken, whole = report["workers"]
    assert "not published" in broken["error"]
    assert whole["file"].endswith("stats.new.dat")
    assert "cannot read" in stats.render(report)
    assert stats.main([str(tmp_path)]) == 1
    assert stats.main([str(good), "--json"]) == 0


def test_nothing_to_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty directory and an absent one are told, not shown as empty."""
    assert stats.main([str(tmp_path)]) == 1
    assert "no stats file" in capsys.readouterr().err
    assert stats.main([str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


@given(st.integers(0, LIMIT))
def test_a_bucket_holds_its_values_within_the_error_bound(value: int) -> None:
    """The value lies in its bucket, which is no wider than 1/32 of it."""
    bucket = bucket_of(value)
    assert bucket_low(bucket) <= value <= bucket_high(bucket)
    assert (bucket_high(bucket) - bucket_low(bucket)) * 32 <= value
    assert bucket <= bucket_of(value + 1) < BUCKETS


values = st.lists(st.integers(0, 40).flatmap(lambda bits: st.integers(0, 2**bits)), max_size=80)


@given(values, st.floats(0, 100))
def test_a_percentile_is_at_most_a_bucket_too_high(recorded: list[int], percent: float) -> None:
    """Never below the exact one, at most 1/32 above, and exact beyond the range."""
    view = _view(recorded)
    estimate = view.percentile(percent)
    if not recorded:
        assert estimate is None
        return
    rank = max(1, -int(-len(recorded) * percent // 100))
    exact = sorted(recorded)[rank - 1]
    assert estimate is not None
    if exact < LIMIT:
        assert exact <= estimate <= exact + exact / 32
    else:
        assert estimate == max(recorded)


@given(values, values)
def test_a_difference_is_what_was_recorded_in_between(older: list[int], newer: list[int]) -> None:
    """Subtracting the older view leaves the later values; adding it again gives the whole."""
    difference = _view(older + newer).difference(_view(older))
    expected = _view(newer)
    assert (difference.buckets, difference.count) == (expected.buckets, len(newer))
    assert difference.sum == sum(newer)
    if newer:
        assert difference.min <= min(newer)
        assert difference.max >= min(max(newer), LIMIT)
    assert difference.plus(_view(older)).buckets == _view(older + newer).buckets


def test_a_difference_in_the_wrong_order_is_refused() -> None:
    """A view that counted less is not the later one, such as after a restart."""
    with pytest.raises(ValueError, match="x_ns"):
        _view([1]).difference(_view([1, 1]))


def _view(recorded: list[int]) -> HistogramView:
    buckets = [0] * BUCKETS
    for value in recorded:
        buckets[bucket_of(value)] += 1
    return HistogramView(
        name="x_ns",
        labels={},
        unit="ns",
        count=len(recorded),
        sum=sum(recorded),
        min=min(recorded, default=0),
        max=max(recorded, default=0),
        buckets=buckets,
    )


def _write(directory: Path, data: bytes | bytearray) -> Path:
    path = directory / "stats.changed.dat"
    path.write_bytes(data)
    return path


def _wait_for_the_clock_of(path: Path) -> None:
    """File times move in ticks of some milliseconds: wait until a new file gets a later one."""
    probe = path.with_name("probe")
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > path.stat().st_ctime_ns:
            return
