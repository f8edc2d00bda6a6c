"""What an operator does about open gaps, with real workers: the daemon's verbs and the CLI's."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from recovery_plant import EXCHANGE, NAME, RecoveryPlant, recovery_plant, until
from tickdeck.v1 import recovery_pb2
from tickdeck.v1.recovery_pb2 import Gap, RecoverySource
from tickdeck.v1.recovery_service_pb2 import (
    AcceptLossRequest,
    AnnotateGapRequest,
    RecoverBySnapshotRequest,
    RecoveryProgress,
    StartRecoveryRequest,
)
from tickdeck_console.client import finished, new_request_id

READY = recovery_pb2.RECOVERY_SOURCE_STATE_READY
FAILED = recovery_pb2.RECOVERY_SOURCE_STATE_FAILED
FILLED = recovery_pb2.GAP_STAGE_FILLED
UNRECOVERABLE = recovery_pb2.GAP_STAGE_UNRECOVERABLE
PROBE_AGE_MOST_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Lost:
    """Two open gaps, of 100 and 50 messages, that a silent server was asked for."""

    plant: RecoveryPlant
    silence: int
    """The fault that makes the server silent."""
    first: int
    """The first message of the first gap."""
    second: int
    ids: tuple[int, int]

    async def gaps(self) -> tuple[Gap, Gap]:
        """Both, in their order."""
        gaps = await self.plant.gaps()
        return gaps[self.first], gaps[self.second]

    async def journalled(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the journal tells of both."""
        gaps = await self.plant.journalled_gaps()
        return gaps[self.first], gaps[self.second]


@pytest.fixture
async def lost() -> AsyncIterator[Lost]:
    async with recovery_plant() as plant:
        silence = await plant.arm("lie", server="request", lie="silent")
        first, second = await plant.lose(100, 50)

        def in_vain(gaps: dict[int, Gap]) -> bool:
            found = (gaps.get(first), gaps.get(second))
            return all(gap is not None and gap.fault == "silent" for gap in found)

        gaps = await until(plant.gaps, in_vain, "two gaps that were asked for in vain")
        yield Lost(plant, silence, first, second, (gaps[first].id, gaps[second].id))


async def test_verbs_close_the_gaps(lost: Lost) -> None:
    """A loss is accepted, a snapshot stands in for the other gap, a note is kept: daemon and
    journal tell the same."""
    client = lost.plant.client
    one, two = lost.ids
    note = AnnotateGapRequest(
        exchange=EXCHANGE, gap_id=two, note="ticket 4711", request_id=new_request_id()
    )
    await client.recovery.AnnotateGap(note)
    loss = AcceptLossRequest(
        exchange=EXCHANGE, gap_id=one, reason="venue says no", request_id=new_request_id()
    )
    assert (await client.recovery.AcceptLoss(loss)).messages_lost == 100
    first, second = await until(
        lost.gaps, lambda gaps: gaps[0].stage == UNRECOVERABLE, "the first gap closed"
    )
    assert (first.reason, first.messages_missing) == ("operator", 100)
    assert not second.HasField("closed_time")
    snapshot = RecoverBySnapshotRequest(
        exchange=EXCHANGE, gap_id=two, request_id=new_request_id(), reason="server is silent"
    )
    progress = RecoveryProgress()
    packed = await finished(client, await client.recovery.RecoverBySnapshot(snapshot))
    assert packed.Unpack(progress)
    assert (progress.gaps_open, progress.gaps_filled) == (0, 1)
    first, second = await lost.gaps()
    assert (first.stage, second.stage) == (UNRECOVERABLE, FILLED)
    assert _parts(second) == {"snapshot": 50}
    assert second.HasField("snapshot_time")
    assert [gap.fault for gap in (first, second)] == ["silent", "silent"]
    assert [entry.text for entry in first.notes] == ["loss accepted: venue says no"]
    assert [entry.text for entry in second.notes] == ["ticket 4711"]
    first_row, second_row = await until(
        lost.journalled, lambda rows: rows[1]["by_snapshot"] == 50, "the row in the journal"
    )
    assert (first_row["reason"], second_row["state"]) == ("operator", "filled")
    last = lost.first + 99
    assert first_row["lost"] == [{"first": lost.first, "last": last, "reason": "operator"}]
    (entry,) = second_row["notes"]
    assert entry["note"] == "ticket 4711"
    assert entry["actor"].startswith("uid:")


async def test_a_snapshot_for_one_gap_closes_all(lost: Lost) -> None:
    """GLIMPSE is of the whole channel: what its dry run says of the other gaps comes true."""
    recovery = lost.plant.client.recovery
    about: dict[str, Any] = {"exchange": EXCHANGE, "gap_id": lost.ids[1]}
    planned = await recovery.RecoverBySnapshot(
        RecoverBySnapshotRequest(**about, validate_only=True)
    )
    assert f"it also stands in for the other open gaps: {lost.ids[0]}" in planned.effects
    order = RecoverBySnapshotRequest(**about, request_id=new_request_id())
    await finished(lost.plant.client, await recovery.RecoverBySnapshot(order))
    gaps = await until(lost.gaps, lambda gaps: all(gap.stage == FILLED for gap in gaps), "both")
    assert [_parts(gap) for gap in gaps] == [{"snapshot": 100}, {"snapshot": 50}]


async def test_a_dry_run_changes_nothing(lost: Lost) -> None:
    """Every verb with `validate_only` tells its effects; gaps, notes and journal stay as they
    were."""
    before = [_essence(gap) for gap in await lost.gaps()]
    recovery = lost.plant.client.recovery
    about: dict[str, Any] = {"exchange": EXCHANGE, "gap_id": lost.ids[0], "validate_only": True}
    planned = [
        await recovery.StartRecovery(StartRecoveryRequest(**about)),
        await recovery.RecoverBySnapshot(RecoverBySnapshotRequest(**about)),
        await recovery.AcceptLoss(AcceptLossRequest(**about, reason="dry run")),
        await recovery.AnnotateGap(AnnotateGapRequest(**about, note="dry run")),
    ]
    assert all(response.effects for response in planned)
    # The silent server is asked once more: by then an order would have had its effect.
    attempts = (await lost.gaps())[0].attempts
    after = await until(lost.gaps, lambda gaps: gaps[0].attempts > attempts, "another request")
    assert [_essence(gap) for gap in after] == before
    rows = await lost.journalled()
    assert [(row["state"], row["notes"]) for row in rows] == [("open", [])] * 2


async def test_a_lie_is_told_with_the_gap(lost: Lost) -> None:
    """The last lie of the server is the gap's fault; when it is honest again, the gap is filled
    and keeps the name of the lie."""
    plant = lost.plant
    await plant.venue.call("fault.clear", fault_id=lost.silence)
    lie = await plant.arm("lie", server="request", lie="wrong_session")
    told, _ = await until(lost.gaps, lambda gaps: gaps[0].fault == "wrong_session", "the lie")
    assert told.messages_missing == 100
    await plant.venue.call("fault.clear", fault_id=lie)
    filled = await until(
        lost.gaps, lambda gaps: all(gap.stage == FILLED for gap in gaps), "both filled"
    )
    assert _parts(filled[0]) == {"retransmit": 100}
    assert filled[0].fault == "wrong_session"


async def test_the_commands_and_their_exit_codes(lost: Lost) -> None:
    """The same verbs in a shell: what each prints and how it exits, also when it is refused."""
    one, two = (f"{NAME}-{number}" for number in lost.ids)
    for arguments, status in (
        (("gaps", "show", f"{NAME}-999"), 4),
        (("gaps", "show", "nothing"), 2),
        (("gaps", "accept-loss", one), 2),
        (("gaps", "accept-loss", f"{NAME}-999", "--reason", "x", "--yes"), 4),
        (("gaps", "accept-loss", one, "--reason", "x", "--dry-run"), 0),
        (("gaps", "retry", NAME, "--no-wait"), 0),
        (("gaps", "annotate", two, "venue rang back"), 0),
        (("gaps", "accept-loss", one, "--reason", "venue says no", "--yes"), 0),
        (("gaps", "snapshot", NAME, "--yes"), 0),
        (("gaps", "snapshot", NAME, "--yes"), 5),
        (("gaps", "accept-loss", one, "--reason", "twice", "--yes"), 5),
        (("recovery", "sources", NAME), 0),
        (("lines", NAME), 0),
    ):
        result = await lost.plant.tickdeck(*arguments)
        assert result.returncode == status, (arguments, result.stdout, result.stderr)
        # What went wrong is told on standard error, and nothing else.
        assert bool(result.stderr) == bool(status), (arguments, result.stdout, result.stderr)
    shown = (await lost.plant.tickdeck("gaps", "show", two)).stdout
    for words in ("FILLED", "snapshot     50", "venue rang back", "fault      silent"):
        assert words in shown, shown
    listed = json.loads((await lost.plant.tickdeck("gaps", "list", NAME, "--json")).stdout)
    stages = {int(gap["first_seq"]): gap["stage"] for gap in listed["gaps"]}
    assert (stages[lost.first], stages[lost.second]) == ("UNRECOVERABLE", "FILLED")


async def test_sources_come_and_go() -> None:
    """Readiness follows the venue's servers, with the age of the probe and why one failed."""
    async with recovery_plant() as plant:
        ready = await plant.sources()
        assert list(ready) == ["request", "snapshot"]
        for source in ready.values():
            assert source.address == plant.servers[_SERVER[source.source]]
            assert 0 <= source.age_ns < PROBE_AGE_MOST_NS, source
        await plant.venue.child.stop()
        gone = await until(plant.sources, lambda seen: _all(seen, FAILED), "both failed")
        assert all(source.detail for source in gone.values()), gone
        shown = json.loads((await plant.tickdeck("recovery", "sources", NAME, "--json")).stdout)
        states = [source["state"] for source in shown["sources"]]
        assert states == ["FAILED"] * 2
        await plant.open_venue()
        await plant.venue.call("play")
        back = await until(plant.sources, lambda seen: _all(seen, READY), "both ready again")
        assert not any(source.detail for source in back.values()), back
        for name, source in back.items():
            assert source.probed_time.ToNanoseconds() > gone[name].probed_time.ToNanoseconds()


_SERVER = {"request": "request", "snapshot": "glimpse"}


def _all(sources: dict[str, RecoverySource], state: int) -> bool:
    return all(source.state == state for source in sources.values())


def _parts(gap: Gap) -> dict[str, int]:
    return {part.source: part.messages for part in gap.parts}


def _essence(gap: Gap) -> tuple[object, ...]:
    """What only a verb, or an answer, changes."""
    return gap.stage, gap.messages_missing, list(gap.notes), gap.noted, gap.reason
