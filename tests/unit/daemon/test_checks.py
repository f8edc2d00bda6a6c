"""Checks on demand: each fact has its verdict, and one run serves all who ask meanwhile."""

# ruff: noqa: ANN401 - any field may be changed

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fake_plant import until
from healthy_facts import MS, NOW, SECOND, facts, gap, line, source, worker
from tickdeck_daemon.errors import NotFoundError, UnavailableError
from tickdeck_daemon.observe.checks import (
    CheckRunner,
    ClockState,
    Evidence,
    ExchangeCheck,
    Ping,
    Verdict,
    judge,
    kernel_clock,
)
from tickdeck_daemon.observe.facts import (
    SESSION_ENDED,
    BookFacts,
    ExchangeFacts,
    JournalFacts,
    LayerDrops,
    SourceFacts,
)

GOOD_CLOCK = ClockState(True, 40)
JOURNAL = JournalFacts(directory="/j", disk_free_bytes=50 << 30, disk_used_ratio=0.4)


def moved(**changes: Any) -> ExchangeFacts:
    """Healthy facts a second later, with packets on both lines."""
    base = facts(
        now_ns=NOW,
        lines=(line("A", packets=110), line("B", packets=110)),
        journal=JOURNAL,
    )
    return replace(base, **changes)


def verdicts(
    after: ExchangeFacts,
    *,
    before: ExchangeFacts | None = None,
    pings: dict[str, Ping] | None = None,
    clock: ClockState = GOOD_CLOCK,
) -> dict[str, Verdict]:
    first = before or moved(
        now_ns=NOW - SECOND, lines=(line("A", packets=100), line("B", packets=100))
    )
    given = {"rx": Ping(MS), "book": Ping(MS)} if pings is None else pings
    results = judge(Evidence(first, after, given, clock))
    assert all(result.evidence and result.expected for result in results)
    return {result.check: result.verdict for result in results}


def test_a_healthy_exchange_passes_every_check() -> None:
    """Nothing is left undecided, and every check that the operators rely on is there."""
    found = verdicts(moved())
    assert set(found.values()) == {Verdict.PASS}
    assert {
        *("process.rx", "heartbeat.rx", "control.rx", "process.book", "control.book"),
        *("feed.progress.A", "feed.progress.B", "feed.silence.A", "kernel.drops.B"),
        *("drops", "gaps.open", "gaps.lost", "feed.session", "ring.lag", "book.trust"),
        *("book.continuity", "journal.state", "journal.durable", "disk.space", "clock"),
    } <= set(found)


def test_losses_name_their_layer_and_its_remedy() -> None:
    """The first layer that loses now is what to cure, whatever has lost before."""
    drops = (LayerDrops("xsk", total=9), LayerDrops("socket", total=812, in_10s=12))
    after = moved(drops=drops, lines=(line("A", kernel_drops=9, drops_shared=True), line("B")))
    found = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    assert found["drops"].evidence == "socket 12 in 10 s, 812 in all; xsk 0 in 10 s, 9 in all"
    assert found["drops"].remedy.startswith("socket: raise receive.rcvbuf_bytes")
    assert found["kernel.drops.A"].evidence == "0 in 10 s, 9 in all, of both lines together"


@pytest.mark.parametrize(
    ("path", "layer", "key"),
    [
        ("af_xdp", "xsk", "afxdp.rx_ring and afxdp.frame_count"),
        ("packet_mmap", "packet_ring", "packet_mmap.block_count"),
        ("recvmmsg", "socket", "receive.rcvbuf_bytes"),
        ("auto", "xsk", "afxdp.rx_ring"),
        ("af_xdp", "socket", "receive.rcvbuf_bytes"),
    ],
)
def test_drops_of_a_line_name_what_its_path_has(path: str, layer: str, key: str) -> None:
    """The remedy is that of the layer that lost, among those on the line's path."""
    drops = (LayerDrops("nic", of_host=True, total=9), LayerDrops(layer, total=9))
    lines = (line("A", kernel_drops=9, receive_path=path), line("B"))
    after = moved(drops=drops, lines=lines)
    found = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    remedy = found["kernel.drops.A"].remedy
    assert remedy.startswith(f"{layer}: raise ")
    assert key in remedy


def test_the_line_race_is_checked() -> None:
    """Lines that disagree, and one that carries alone, are warnings with their numbers."""
    found = verdicts(moved())
    assert (found["lines.conflicts"], found["lines.race"]) == (Verdict.PASS, Verdict.PASS)
    alone = (line("A", packets=110, alone_since_ns=NOW - 40 * SECOND), line("B", packets=110))
    after = moved(lines=alone, conflicts=3)
    results = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    race, conflicts = results["lines.race"], results["lines.conflicts"]
    assert (race.verdict, conflicts.verdict) == (Verdict.WARN, Verdict.WARN)
    assert "line A carries alone for 40.0 s" in race.evidence
    assert race.age_ns == 40 * SECOND
    assert "3 in all" in conflicts.evidence


@pytest.mark.parametrize(
    ("one", "verdict", "words"),
    [
        (source(), Verdict.PASS, "ready, probed 1.0 s ago, round trip 180 us"),
        (source("in_use", 99 * SECOND), Verdict.PASS, "in use"),
        (source("failed"), Verdict.WARN, "failed, probed 1.0 s ago"),
        (source(age_ns=31 * SECOND), Verdict.UNKNOWN, "unknown, probed 31.0 s ago"),
        (source("failed", 31 * SECOND), Verdict.UNKNOWN, "unknown, probed 31.0 s ago"),
        (source("unknown", probed_ns=0), Verdict.UNKNOWN, "unknown, never probed"),
        (source("ready", probed_ns=0), Verdict.UNKNOWN, "unknown, never probed"),
        (source("unknown", probed_ns=0, probe_interval_ns=0), Verdict.WARN, "never probed"),
        (
            source("unknown", probed_ns=0, probe_interval_ns=60 * SECOND),
            Verdict.WARN,
            "never probed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sources_of_the_recovery_are_judged_by_their_last_probe(
    one: SourceFacts, verdict: Verdict, words: str
) -> None:
    """Nothing is ready because it is silent: an old probe, or none, is not known."""
    after = moved(sources=(one,))
    results = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    found = results["recovery.source.request"]
    assert (found.verdict, words in found.evidence) == (verdict, True), found.evidence
    assert ("tickdeck recovery sources X" in found.remedy) is (
        verdict is not Verdict.PASS and one.probe_interval_ns > 0
    )


def test_a_storm_is_a_warning() -> None:
    """With the number from which it is one."""
    after = moved(storm=True, storm_gaps=64, snapshots=2)
    results = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    assert results["recovery.storm"].verdict is Verdict.WARN
    assert "storm above 64; 2 snapshots" in results["recovery.storm"].evidence


def test_an_ipv6_target_is_in_brackets() -> None:
    """So that the port can be told from the group."""
    silent = line("A", packets=100, last_packet_ns=NOW - 9 * SECOND, group="ff15::1", port=31001)
    after = moved(lines=(silent, line("B")))
    found = {one.check: one for one in judge(Evidence(after, after, {}, GOOD_CLOCK))}
    assert "[ff15::1]:31001 on" in found["feed.silence.A"].remedy


SILENT = tuple(line(n, packets=100, last_packet_ns=NOW - 9 * SECOND) for n in "AB")
CASES: list[tuple[dict[str, Any], str, Verdict]] = [
    ({"rx": worker("rx", state="BACKOFF", ready=False)}, "process.rx", Verdict.FAIL),
    ({"rx": worker("rx", ready=False)}, "process.rx", Verdict.FAIL),
    ({"rx": worker("rx", restarts_10min=1)}, "process.rx", Verdict.WARN),
    ({"rx": None}, "process.rx", Verdict.FAIL),
    ({"rx": worker("rx", heartbeat_age_ns=9 * SECOND)}, "heartbeat.rx", Verdict.FAIL),
    ({"rx": worker("rx", heartbeat_age_ns=None)}, "heartbeat.rx", Verdict.UNKNOWN),
    ({"lines": SILENT}, "feed.progress.A", Verdict.FAIL),
    ({"lines": SILENT}, "feed.silence.B", Verdict.FAIL),
    ({"lines": SILENT, "session_state": SESSION_ENDED}, "feed.progress.A", Verdict.PASS),
    ({"lines": (line("A", kernel_drops=5),)}, "kernel.drops.A", Verdict.WARN),
    ({"lines": (line("A", kernel_drops=5, drops_10s=5),)}, "kernel.drops.A", Verdict.FAIL),
    ({"drops": ()}, "drops", Verdict.UNKNOWN),
    ({"drops": (LayerDrops("socket", total=5),)}, "drops", Verdict.WARN),
    ({"drops": (LayerDrops("socket", total=5, in_10s=5),)}, "drops", Verdict.FAIL),
    ({"drops": (LayerDrops("nic", of_host=True, total=5),)}, "drops", Verdict.PASS),
    ({"drops": (LayerDrops("nic", of_host=True, total=5, in_10s=5),)}, "drops", Verdict.WARN),
    ({"gaps": (gap(100 * MS),)}, "gaps.open", Verdict.WARN),
    ({"gaps": (gap(2 * SECOND),)}, "gaps.open", Verdict.FAIL),
    ({"messages_lost": 1, "gaps_unrecovered": 1}, "gaps.lost", Verdict.FAIL),
    ({"session": "", "session_state": 0}, "feed.session", Verdict.FAIL),
    ({"session_state": SESSION_ENDED}, "feed.session", Verdict.WARN),
    ({"book": None}, "book.trust", Verdict.UNKNOWN),
    ({"book": BookFacts(trust="SUSPECT")}, "book.trust", Verdict.FAIL),
    ({"book": BookFacts(sequence_errors=1)}, "book.continuity", Verdict.FAIL),
    ({"book": BookFacts(lag_records=800)}, "ring.lag", Verdict.FAIL),
    ({"journal": None}, "journal.state", Verdict.UNKNOWN),
    ({"journal": replace(JOURNAL, state="SLOW")}, "journal.state", Verdict.FAIL),
    ({"journal": replace(JOURNAL, overruns=1)}, "journal.state", Verdict.FAIL),
    ({"journal": replace(JOURNAL, sync_p99_ns=90 * MS)}, "journal.durable", Verdict.FAIL),
    ({"journal": replace(JOURNAL, disk_free_bytes=None)}, "disk.space", Verdict.UNKNOWN),
    (
        {"journal": replace(JOURNAL, disk_free_bytes=5 << 30, disk_used_ratio=0.9)},
        "disk.space",
        Verdict.WARN,
    ),
    (
        {"journal": replace(JOURNAL, disk_free_bytes=1 << 28, disk_used_ratio=0.99)},
        "disk.space",
        Verdict.FAIL,
    ),
]


@pytest.mark.parametrize(("changes", "check", "verdict"), CASES)
def test_each_fact_has_its_verdict(changes: dict[str, Any], check: str, verdict: Verdict) -> None:
    """One fact that is not normal decides the verdict of the check that watches it."""
    assert verdicts(moved(**changes))[check] is verdict


def test_a_frozen_line_fails_although_its_last_packet_is_young() -> None:
    """Progress is the difference of two samples, not a flag and not an age."""
    frozen = (line("A", packets=100), line("B", packets=110))
    found = verdicts(moved(lines=frozen))
    assert found["feed.progress.A"] is Verdict.FAIL
    assert found["feed.progress.B"] is Verdict.PASS


def test_a_worker_that_does_not_answer_fails() -> None:
    """A process that runs and beats but whose control socket is dead is told."""
    found = verdicts(moved(), pings={"rx": Ping(SECOND, "no answer"), "book": Ping(MS)})
    assert found["control.rx"] is Verdict.FAIL
    assert found["control.book"] is Verdict.PASS


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [
        (ClockState(True, 3), Verdict.PASS),
        (ClockState(False, 16_000_000), Verdict.WARN),
        (ClockState(None), Verdict.UNKNOWN),
    ],
)
def test_the_clock_is_judged_by_what_the_kernel_says(clock: ClockState, verdict: Verdict) -> None:
    """A clock that nobody keeps is a warning; one that cannot be asked is unknown."""
    assert verdicts(moved(), clock=clock)["clock"] is verdict


def test_a_stamp_from_the_future_means_that_the_clock_was_set_back() -> None:
    """Ages are worth nothing then, so the check says so."""
    ahead = (line("A", packets=110, last_packet_ns=NOW + 60 * SECOND), line("B", packets=110))
    assert verdicts(moved(lines=ahead))["clock"] is Verdict.FAIL


def test_a_stopped_exchange_is_a_warning_and_nothing_else() -> None:
    """What an operator stopped is not judged for being silent."""
    assert verdicts(moved(wanted=False)) == {"exchange.desired": Verdict.WARN}


def test_remedies_stand_with_failures_only() -> None:
    """A check that passed asks for nothing; one that failed says what to do."""
    for changes, check, verdict in CASES:
        first = moved(now_ns=NOW - SECOND)
        results = judge(Evidence(first, moved(**changes), {}, GOOD_CLOCK))
        (result,) = [result for result in results if result.check == check]
        if verdict is Verdict.FAIL:
            assert result.remedy, check
        for passed in results:
            assert passed.verdict is not Verdict.PASS or not passed.remedy


@pytest.mark.parametrize(
    ("found", "worst"),
    [
        ([Verdict.PASS, Verdict.WARN], Verdict.WARN),
        ([Verdict.WARN, Verdict.UNKNOWN], Verdict.UNKNOWN),
        ([Verdict.UNKNOWN, Verdict.FAIL], Verdict.FAIL),
        ([], Verdict.UNKNOWN),
    ],
)
def test_an_exchange_is_as_good_as_its_worst_check(found: list[Verdict], worst: Verdict) -> None:
    """What is unknown is worse than a warning, and no checks at all decide nothing."""
    (result, *_) = judge(Evidence(moved(), moved(), {}, GOOD_CLOCK))
    checks = tuple(replace(result, verdict=verdict) for verdict in found)
    assert ExchangeCheck("X", checks, NOW).verdict is worst


class Bench:
    """A runner over facts that the test turns on."""

    def __init__(self) -> None:
        self.looks = 0
        self.pings: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.runner = CheckRunner(
            self.facts, self.ping, poll_s=0.001, clock_state=lambda: GOOD_CLOCK
        )

    def facts(self, name: str) -> ExchangeFacts:
        if name != "X":
            raise NotFoundError(f"no exchange {name}")
        self.looks += 1
        lines = tuple(line(n, packets=self.looks) for n in "AB")
        return moved(lines=lines, now_ns=NOW + self.looks)

    async def ping(self, name: str) -> object:
        self.pings.append(name)
        await self.gate.wait()
        if name == "X-book":
            raise UnavailableError("nobody there")
        return {}


async def test_a_run_gathers_evidence_and_is_remembered() -> None:
    """Pings go to every worker, an error becomes evidence, the result is kept."""
    bench = Bench()
    check, shared = await bench.runner.run("X")
    assert not shared
    assert sorted(bench.pings) == ["X-book", "X-rx"]
    by_name = {result.check: result for result in check.checks}
    assert by_name["control.book"].verdict is Verdict.FAIL
    assert by_name["control.book"].evidence == "nobody there"
    assert by_name["feed.progress.A"].verdict is Verdict.PASS
    assert bench.runner.last("X") is check
    assert not bench.runner.in_progress("X")


async def test_only_one_check_runs_at_a_time() -> None:
    """A second caller gets the result of the run under way, and is told so."""
    bench = Bench()
    bench.gate.clear()
    first = asyncio.create_task(bench.runner.run("X"))
    await until(lambda: len(bench.pings) == 2)
    second = asyncio.create_task(bench.runner.run("X"))
    await asyncio.sleep(0)
    assert bench.runner.in_progress("X")
    bench.gate.set()
    (one, first_shared), (two, second_shared) = await asyncio.gather(first, second)
    assert one is two
    assert (first_shared, second_shared) == (False, True)
    assert len(bench.pings) == 2


async def test_a_caller_that_leaves_does_not_take_the_result_away() -> None:
    """The run goes on for those who still wait."""
    bench = Bench()
    bench.gate.clear()
    first = asyncio.create_task(bench.runner.run("X"))
    await until(lambda: len(bench.pings) == 2)
    second = asyncio.create_task(bench.runner.run("X"))
    await asyncio.sleep(0)
    first.cancel()
    bench.gate.set()
    _, shared = await second
    assert shared


async def test_an_unknown_exchange_is_an_error_and_blocks_nothing() -> None:
    """A failed run leaves no run behind."""
    bench = Bench()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await bench.runner.run("Y")
    assert not bench.runner.in_progress("Y")


async def test_lines_that_stand_still_are_waited_for_only_so_long() -> None:
    """Without progress the run ends after the longest normal silence."""
    still = moved(heartbeat_ns=20 * MS)

    async def ping(name: str) -> object:
        return name

    runner = CheckRunner(lambda _: still, ping, poll_s=0.001, clock_state=lambda: GOOD_CLOCK)
    async with asyncio.timeout(60):
        check, _ = await runner.run("X")
    assert check.verdict is Verdict.FAIL


def test_the_kernel_can_be_asked_about_its_clock() -> None:
    """adjtimex answers without any right."""
    assert kernel_clock().synchronised is not None
