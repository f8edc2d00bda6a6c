"""What of a journal's losses waits: over restarts, and beside an acknowledgement."""

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_plant import exchange_toml, private_directory
from fake_stats import JOURNAL_METRICS, RX_METRICS, StatsWriter
from fake_supervisor import FakeSupervisor
from serving import settings_below
from tickdeck_daemon import plant as plant_module
from tickdeck_daemon.errors import InvalidError, UnavailableError
from tickdeck_daemon.exchanges.store import ExchangeRecord
from tickdeck_daemon.observe.facts import JournalFacts
from tickdeck_daemon.observe.loss_watch import LossWatch
from tickdeck_daemon.observe.losses import Counts, LossStore, Waiting
from tickdeck_daemon.observe.sampler import Sampler, Target
from tickdeck_daemon.operate.journal_orders import JournalOrders
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.operate.recovery_report import REPORT_FILE
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.views import AdoptionResult, WorkerChange

LOG = "0123456789abcdef" * 2
HOLE, LOST, LATER = ("hole", 70, 79), ("acked_loss", 90, 94), ("hole", 100, 180)
WHY = Order("anna", "disk replaced")


def lacks(*ranges: tuple[str, int, int]) -> dict[str, Any]:
    """What an rx worker answers."""
    rows = [{"kind": kind, "from": first, "to": last} for kind, first, last in ranges]
    return {"log_id": LOG, "losses": rows}


class Rig:
    """A worker's statistics and answer, and a watch that is made anew at will."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sampler = Sampler()
        self.told: dict[str, Any] | None = lacks()
        self.rx = self.start_worker(1)
        self.watch = self.start_daemon()

    def start_worker(self, number: int) -> StatsWriter:
        """A new incarnation."""
        self.incarnation = str(uuid.UUID(int=number))
        self.path = self.root / f"stats.{self.incarnation}.dat"
        metrics = (*RX_METRICS, *JOURNAL_METRICS)
        self.rx = StatsWriter(self.path, "XNAS-rx", self.incarnation, metrics=metrics)
        return self.rx

    def start_daemon(self) -> LossWatch:
        """An empty memory over the same database."""

        async def ask(worker: str, op: str) -> dict[str, Any]:
            assert (worker, op) == ("XNAS-rx", "journal.losses")
            self.meanwhile()
            if self.told is None:
                raise UnavailableError("its disk hangs")
            return self.told

        self.sampler = Sampler()
        store = LossStore(self.root / "state.db")
        self.watch = LossWatch(store, self.sampler, ask, lambda _: self.root)
        return self.watch

    def meanwhile(self) -> None:
        """Happens between a question and its answer; replaced by tests."""

    def count(self, *, holes: int, lost: int) -> None:
        """Let the counters say so, and read them."""
        counts = {"journal_holes_total": holes, "journal_acked_loss_total": lost}
        self.rx.set_all(counts)
        self.sampler.sample([Target("XNAS-rx", self.incarnation, self.path)])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A worker that has lost nothing."""
    rig = Rig(tmp_path)
    rig.count(holes=0, lost=0)
    yield rig
    rig.watch.store.close()
    rig.sampler.close()
    rig.rx.close()


async def test_rows_are_counted_once_before_the_first_look_too(rig: Rig) -> None:
    """By a daemon that starts anew beside a worker that goes on."""
    rig.told = lacks(HOLE, LOST)
    rig.count(holes=1, lost=5)
    await rig.watch.look("XNAS")
    assert rig.watch.waiting("XNAS") == (5, 1)
    watch = rig.start_daemon()
    rig.count(holes=1, lost=5)
    assert watch.waiting("XNAS") == (5, 1)
    rig.count(holes=2, lost=5)
    assert watch.waiting("XNAS") == (5, 2), "what came while no daemon ran"


@pytest.mark.parametrize("is_told", [True, False], ids=["rows", "only_counters"])
async def test_what_was_acknowledged_stays_so_before_the_first_look(
    rig: Rig, *, is_told: bool
) -> None:
    """Also what only the counters had; another incarnation begins at 0."""
    if is_told:
        rig.told = lacks(HOLE, LOST)
        await rig.watch.look("XNAS")
    rig.count(holes=1, lost=5)
    await rig.watch.acknowledge("XNAS", rig.watch.see("XNAS"), "anna", "seen")
    assert rig.watch.waiting("XNAS") == (0, 0)
    watch = rig.start_daemon()
    rig.count(holes=1, lost=5)
    assert watch.waiting("XNAS") == (0, 0)
    rig.start_worker(2)
    watch = rig.start_daemon()
    rig.count(holes=1, lost=5)
    assert watch.waiting("XNAS") == (5, 1)


async def test_a_row_that_is_ahead_of_its_counter_is_counted_once(rig: Rig) -> None:
    """The worker tells it before the next reading of the statistics."""
    rig.told = lacks(HOLE)
    await rig.watch.look("XNAS")
    await rig.watch.acknowledge("XNAS", rig.watch.see("XNAS"), "anna", "seen")
    rig.count(holes=1, lost=0)
    assert rig.watch.waiting("XNAS") == (0, 0)


async def test_only_what_was_seen_is_acknowledged(rig: Rig) -> None:
    """Neither the row nor the count that came between the look and the order."""
    rig.told = lacks(HOLE)
    rig.count(holes=1, lost=0)
    await rig.watch.look("XNAS")
    seen = rig.watch.see("XNAS")
    assert (seen.acked_loss, seen.holes) == (0, 1)
    rig.told = lacks(HOLE, LATER)
    rig.count(holes=2, lost=5)
    await rig.watch.look("XNAS")
    rig.count(holes=3, lost=5)
    await rig.watch.acknowledge("XNAS", seen, "anna", "seen")
    assert rig.watch.waiting("XNAS") == (5, 2)
    (row,) = rig.watch.store.waiting("XNAS").losses
    assert (row.kind, row.from_seq, row.to_seq) == LATER


async def test_a_look_beside_the_acknowledgement_is_not_undone(rig: Rig) -> None:
    """What it has made rows of is counted once, whichever of the two ends last."""
    rig.told = lacks(HOLE)
    rig.count(holes=1, lost=0)
    await rig.watch.look("XNAS")
    seen, keep = rig.watch.see("XNAS"), rig.watch.store.acknowledge

    async def slow(exchange: str, rows: Waiting, counts: Counts, actor: str, reason: str) -> None:
        await keep(exchange, rows, counts, actor, reason)
        rig.told = lacks(HOLE, LATER)
        rig.count(holes=2, lost=0)
        await rig.watch.look("XNAS")

    rig.watch.store.acknowledge = slow  # type: ignore[method-assign]
    await rig.watch.acknowledge("XNAS", seen, "anna", "seen")
    assert rig.watch.waiting("XNAS") == (0, 1)


async def test_a_worker_that_starts_anew_beside_the_acknowledgement(rig: Rig) -> None:
    """What was seen of the one that has ended stays acknowledged; of the new one nothing is."""
    rig.count(holes=2, lost=0)
    seen = rig.watch.see("XNAS")
    rig.start_worker(2)
    rig.count(holes=1, lost=0)
    await rig.watch.acknowledge("XNAS", seen, "anna", "seen")
    assert rig.watch.waiting("XNAS") == (0, 1)


async def test_what_cannot_be_kept_is_not_acknowledged(rig: Rig) -> None:
    """It waits as before."""
    rig.count(holes=1, lost=5)
    seen = rig.watch.see("XNAS")
    rig.watch.store.close()
    with pytest.raises(sqlite3.Error):
        await rig.watch.acknowledge("XNAS", seen, "anna", "seen")
    assert rig.watch.waiting("XNAS") == (5, 1)


def unbounded(watch: LossWatch) -> list[tuple[str, str, int]]:
    """What waits without bounds, and whose counters said so."""
    seen = watch.see("XNAS").unbounded
    return [(one.kind, one.incarnation, one.count) for one in seen]


ENDED = str(uuid.UUID(int=1))
ONLY_COUNTED = [("acked_loss", ENDED, 5), ("hole", ENDED, 1)]


async def end_untold(rig: Rig) -> None:
    """A worker counts losses, tells nobody their bounds, and another one takes its place."""
    rig.told = None
    rig.count(holes=1, lost=5)
    await rig.watch.look("XNAS")
    rig.path.unlink()
    rig.start_worker(2)
    rig.told = lacks()


async def test_what_an_ended_worker_had_only_counted_outlives_the_daemon(rig: Rig) -> None:
    """Any number of times, as what it was; an acknowledgement is for ever."""
    await end_untold(rig)
    for _ in range(2):
        rig.start_daemon()
        rig.count(holes=0, lost=0)
        assert rig.watch.waiting("XNAS") == (5, 1), "before the first look"
        await rig.watch.look("XNAS")
        assert rig.watch.waiting("XNAS") == (5, 1)
        assert unbounded(rig.watch) == ONLY_COUNTED
    watch = rig.watch
    assert all(one.seen_ns for one in watch.see("XNAS").unbounded)
    await watch.acknowledge("XNAS", watch.see("XNAS"), "anna", "seen")
    assert watch.waiting("XNAS") == (0, 0)
    watch = rig.start_daemon()
    rig.count(holes=0, lost=0)
    await watch.look("XNAS")
    assert (watch.waiting("XNAS"), unbounded(watch)) == ((0, 0), [])
    rig.told = lacks(LATER)
    rig.count(holes=1, lost=0)
    await watch.look("XNAS")
    assert watch.waiting("XNAS") == (0, 1), "of the one that runs now"


async def test_the_file_of_an_ended_worker_is_read(rig: Rig) -> None:
    """It lost something and ended while no daemon ran; the file stays, and is news once."""
    rig.rx.set_all({"journal_holes_total": 1, "journal_acked_loss_total": 5})
    rig.start_worker(2)
    for _ in range(2):
        rig.start_daemon()
        rig.count(holes=0, lost=0)
        await rig.watch.look("XNAS")
        assert unbounded(rig.watch) == ONLY_COUNTED
    await rig.watch.acknowledge("XNAS", rig.watch.see("XNAS"), "anna", "seen")
    watch = rig.start_daemon()
    rig.count(holes=0, lost=0)
    await watch.look("XNAS")
    assert unbounded(watch) == []


async def test_the_last_words_of_an_ended_worker_count(rig: Rig) -> None:
    """What it counted behind the last reading of its statistics; and nothing falls back before."""
    rig.told = None
    rig.count(holes=1, lost=0)
    await rig.watch.look("XNAS")
    assert rig.watch.waiting("XNAS") == (0, 1)
    rig.rx.set_all({"journal_holes_total": 3})
    rig.start_worker(2)
    rig.count(holes=0, lost=0)
    assert rig.watch.waiting("XNAS") == (0, 1)
    await rig.watch.look("XNAS")
    assert unbounded(rig.watch) == [("hole", ENDED, 3)]


async def test_a_damaged_file_of_an_ended_worker_hides_nothing(rig: Rig) -> None:
    """Neither what was read of it before nor the files of others."""
    rig.count(holes=1, lost=5)
    assert rig.watch.waiting("XNAS") == (5, 1)
    rig.path.unlink()
    rig.path.write_bytes(b"")
    rig.start_worker(2)
    rig.rx.set_all({"journal_holes_total": 2})
    rig.start_worker(3)
    rig.count(holes=0, lost=0)
    await rig.watch.look("XNAS")
    assert unbounded(rig.watch) == [*ONLY_COUNTED, ("hole", str(uuid.UUID(int=2)), 2)]


async def test_rows_of_what_was_acknowledged_by_count_do_not_come_back(rig: Rig) -> None:
    """The worker tells the bounds later, also to the next daemon; what is new waits."""
    rig.told = None
    rig.count(holes=1, lost=5)
    await rig.watch.look("XNAS")
    await rig.watch.acknowledge("XNAS", rig.watch.see("XNAS"), "anna", "seen")
    watch = rig.start_daemon()
    rig.told = lacks(HOLE, LOST)
    rig.count(holes=1, lost=5)
    await watch.look("XNAS")
    assert watch.waiting("XNAS") == (0, 0)
    rig.told = lacks(HOLE, LOST, LATER)
    rig.count(holes=2, lost=5)
    await watch.look("XNAS")
    assert watch.waiting("XNAS") == (0, 1)
    (row,) = watch.store.waiting("XNAS").losses
    assert (row.kind, row.from_seq, row.to_seq) == LATER


async def test_rows_are_no_part_of_what_is_acknowledged_by_count(rig: Rig) -> None:
    """A row and one that was only counted: what comes behind them waits."""
    rig.told = lacks(HOLE)
    rig.count(holes=1, lost=0)
    await rig.watch.look("XNAS")
    rig.told = None
    rig.count(holes=2, lost=0)
    await rig.watch.acknowledge("XNAS", rig.watch.see("XNAS"), "anna", "seen")
    assert rig.watch.waiting("XNAS") == (0, 0)
    rig.count(holes=3, lost=0)
    assert rig.watch.waiting("XNAS") == (0, 1)


async def test_an_answer_beside_a_new_worker_is_asked_for_again(rig: Rig) -> None:
    """It may be of either: what one tells does not settle what the other has counted."""
    rig.told = lacks(LATER)
    rig.count(holes=1, lost=0)

    def start_another() -> None:
        rig.start_worker(2)
        rig.count(holes=1, lost=0)
        rig.meanwhile = Rig.meanwhile.__get__(rig)  # type: ignore[method-assign]

    rig.meanwhile = start_another  # type: ignore[method-assign]
    await rig.watch.look("XNAS")
    assert rig.watch.waiting("XNAS") == (0, 2)
    await rig.watch.look("XNAS")
    assert rig.watch.waiting("XNAS") == (0, 2)
    assert unbounded(rig.watch) == [("hole", ENDED, 1)]


async def test_what_the_worker_no_longer_remembers_is_counted_once(rig: Rig) -> None:
    """It tells its newest losses only; the older ones are rows."""
    rig.told = lacks(HOLE)
    rig.count(holes=1, lost=0)
    await rig.watch.look("XNAS")
    rig.told = lacks(LATER)
    rig.count(holes=2, lost=0)
    await rig.watch.look("XNAS")
    assert (rig.watch.waiting("XNAS"), unbounded(rig.watch)) == ((0, 2), [])


class Adopting(FakeSupervisor):
    """Finds an rx worker that has lost something, and tells of it when `may_tell`."""

    told = lacks(HOLE, LOST)
    may_tell = True

    def __init__(self, settings: Settings, on_change: Callable[[WorkerChange], None]) -> None:
        super().__init__(settings, on_change)
        self.asked = asyncio.Event()

    async def start(self, exchanges: Iterable[ExchangeRecord]) -> AdoptionResult:
        self.rx_metrics = (*RX_METRICS, *JOURNAL_METRICS)
        found = await super().start(exchanges)
        counts = {"journal_holes_total": 1, "journal_acked_loss_total": 5}
        if "XNAS-rx" in self.stats:
            self.stats["XNAS-rx"].set_all(counts)
        return found

    async def call(
        self, worker_id: str, op: str, args: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        if op != "journal.losses":
            return await super().call(worker_id, op, args, timeout_s=timeout_s)
        if not self.may_tell:
            self.asked.set()
            await asyncio.Event().wait()
        return self.told


class Silent(Adopting):
    """Its worker's disk hangs."""

    may_tell = False


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Directories of a daemon with one exchange, whose losses are acknowledged."""
    with private_directory() as root:
        settings = settings_below(root)
        settings.exchanges_dir.mkdir(parents=True)
        (settings.exchanges_dir / "XNAS.toml").write_text(exchange_toml())
        yield settings


def journal_of(plant: Plant) -> JournalFacts:
    """What the latest tick has seen."""
    health = plant.health.get("XNAS")
    assert health
    assert health.facts.journal
    return health.facts.journal


async def acknowledged_losses(settings: Settings) -> None:
    """Let a daemon run until its losses are acknowledged."""
    plant = Plant(settings, make_supervisor=Adopting)
    await plant.start()
    _, effects = await JournalOrders(plant).acknowledge("XNAS", WHY)
    assert effects == ["take note of 5 durable records lost", "take note of 1 holes"]
    await plant.close()


async def test_the_first_tick_knows_what_was_acknowledged(settings: Settings) -> None:
    """Of a worker that this daemon meets for the first time too: it is asked before."""
    await acknowledged_losses(settings)
    plant = Plant(settings, make_supervisor=Adopting)
    ticks: list[tuple[int, int]] = []
    publish = plant.health.publish

    def watched(rows: Any) -> None:  # noqa: ANN401 - passed on
        ticks.extend(
            (r.facts.journal.acked_loss_new, r.facts.journal.holes_new) for r in rows.values()
        )
        publish(rows)

    plant.health.publish = watched  # type: ignore[method-assign]
    await plant.start()
    assert ticks[0] == (0, 0)
    types = [event.type for event in plant.events.recent]
    assert types.count("journal.acked_loss") == 1, "told by the first daemon only"
    await plant.close()


async def test_a_worker_that_hangs_does_not_hold_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counters are the alarm then."""
    monkeypatch.setattr(plant_module, "LOSSES_TIMEOUT_S", 0.05)
    plant = Plant(settings, make_supervisor=Silent)
    async with asyncio.timeout(60):
        await plant.start()
    journal = journal_of(plant)
    assert (journal.acked_loss_new, journal.holes_new) == (5, 1)
    await plant.close()


class Anew(Adopting):
    """Starts another rx worker, which has lost nothing and tells nothing."""

    told = lacks()

    async def start(self, exchanges: Iterable[ExchangeRecord]) -> AdoptionResult:
        found = await super().start(exchanges)
        self.stats["XNAS-rx"].set_all({"journal_holes_total": 0, "journal_acked_loss_total": 0})
        return found


async def test_losses_only_counted_are_an_alarm_of_the_next_daemon(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the worker that counted them is gone with its file; until they are acknowledged."""
    monkeypatch.setattr(plant_module, "LOSSES_TIMEOUT_S", 0.05)
    plant = Plant(settings, make_supervisor=Silent)
    await plant.start()
    assert isinstance(plant.supervisor, Silent)
    await plant.supervisor.asked.wait()
    await plant.close()
    for path in settings.worker_dir("XNAS-rx").iterdir():
        path.unlink()
    plant = Plant(settings, make_supervisor=Anew)
    await plant.start()
    health = plant.health.get("XNAS")
    assert health
    assert {"journal.acked_loss", "journal.holes"} <= {cause.key for cause in health.causes}
    _, effects = await JournalOrders(plant).acknowledge("XNAS", WHY)
    assert effects == ["take note of 5 durable records lost", "take note of 1 holes"]
    await plant.close()
    plant = Plant(settings, make_supervisor=Anew)
    await plant.start()
    journal = journal_of(plant)
    assert (journal.acked_loss_new, journal.holes_new) == (0, 0)
    await plant.close()


class Marking(Adopting):
    """Another hole comes while its worker marks the report."""

    async def call(
        self, worker_id: str, op: str, args: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        if op != "journal.acknowledge":
            return await super().call(worker_id, op, args, timeout_s=timeout_s)
        self.told = lacks(HOLE, LOST, LATER)
        self.stats["XNAS-rx"].set_all({"journal_holes_total": 2})
        self.between()
        return {}

    def between(self) -> None:
        """Set by the test."""


async def test_a_loss_while_the_report_is_marked_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marking may take long; nobody saw what came meanwhile."""
    plant = Plant(settings, make_supervisor=Marking)
    await plant.start()
    directory = report(plant)
    supervisor = plant.supervisor
    assert isinstance(supervisor, Marking)
    supervisor.between = plant.tick  # type: ignore[method-assign]
    forgotten: list[str] = []
    monkeypatch.setattr(plant.disk_watch, "forget_report", forgotten.append)
    problems, effects = await JournalOrders(plant).acknowledge("XNAS", WHY)
    assert (problems, effects[1:]) == (
        1,
        ["take note of 5 durable records lost", "take note of 1 holes"],
    )
    assert plant.losses.waiting("XNAS") == (0, 1)
    await plant.losses.look("XNAS")
    assert plant.losses.waiting("XNAS") == (0, 1)
    assert (directory / REPORT_FILE).exists()
    assert forgotten == [str(directory)]
    await plant.close()


def report(plant: Plant) -> Path:
    """Put a report into the journal's directory."""
    directory = Path(plant.collector.journal_directory(plant.store.get("XNAS")))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REPORT_FILE).write_text('{"problems": []}')
    return directory


async def test_only_a_worker_without_the_op_leaves_the_report_to_the_daemon(
    settings: Settings,
) -> None:
    """Any other refusal is the caller's; the file stays as it is."""
    plant = Plant(settings, make_supervisor=Adopting)
    await plant.start()
    path = report(plant) / REPORT_FILE
    supervisor = plant.supervisor
    assert isinstance(supervisor, Adopting)
    refusal = InvalidError("args of another shape", reason="BAD_ARGS")
    supervisor.answers["journal.acknowledge"] = refusal
    with pytest.raises(InvalidError) as refused:
        await JournalOrders(plant).acknowledge("XNAS", WHY)
    assert refused.value is refusal
    assert path.read_text() == '{"problems": []}'
    assert plant.losses.waiting("XNAS") == (5, 1), "nothing is acknowledged"
    supervisor.answers["journal.acknowledge"] = InvalidError("?", reason="UNKNOWN_OP")
    await JournalOrders(plant).acknowledge("XNAS", WHY)
    assert '"acknowledged": true' in path.read_text()
    await plant.close()
