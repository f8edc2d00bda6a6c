"""The verbs on gaps and the readiness of the recovery's sources, over a real socket."""

import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from fake_plant import exchange_toml
from serving import NAME, RECOVERABLE, Served, event_types, failure, get_exchange, serving
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck.v1 import observe_service_pb2 as observe_pb
from tickdeck.v1 import recovery_pb2
from tickdeck.v1 import recovery_service_pb2 as recovery_pb
from tickdeck_daemon.errors import NotFoundError, WrongStateError

Code = grpc.StatusCode
SNAPSHOT = """
[recovery.snapshot]
protocol = "glimpse"
address = "127.0.0.1:31010"
"""
PEER = 'peer_address = "127.0.0.1:31011"\n'


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A plant with one exchange that has every kind of source, and one open gap."""
    async with serving() as served:
        toml = exchange_toml() + RECOVERABLE + PEER + SNAPSHOT
        await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
        served.supervisor.stats["XNAS-rx"].gap(1, 100, 109, 3, missing=7)
        served.plant.tick()
        yield served


async def bare(served: Served) -> str:
    """Another exchange with an open gap, and nobody to ask."""
    toml = exchange_toml("BATS", port=31002)
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    served.supervisor.stats["BATS-rx"].gap(1, 100, 109, 3)
    served.plant.tick()
    return "exchanges/BATS"


def close(served: Served, identity: int = 1) -> None:
    rx = served.supervisor.stats["XNAS-rx"]
    rx.gap(identity, 100, 109, 5, closed_ns=time.time_ns())
    served.plant.tick()


async def test_a_snapshot_stands_in_for_a_gap(served: Served) -> None:
    """The dry run tells the effects and asks nobody; the worker is asked once per request id."""
    request = recovery_pb.RecoverBySnapshotRequest(exchange=NAME, gap_id=1, validate_only=True)
    planned = await served.recovery.RecoverBySnapshot(request)
    assert list(planned.effects) == [
        "take a snapshot: glimpse 127.0.0.1:31010",
        "it stands in for 7 messages of 100..109, which are not asked for any more",
        "the journal has the snapshot then, not these messages",
    ]
    assert served.supervisor.calls == []
    served.supervisor.answers["recovery.snapshot"] = {"gaps": 1}
    request = recovery_pb.RecoverBySnapshotRequest(
        exchange=NAME, gap_id=1, request_id=str(uuid.uuid4()), reason="venue is slow"
    )
    response = await served.recovery.RecoverBySnapshot(request)
    assert response.effects == planned.effects
    progress = recovery_pb.RecoveryProgress()
    assert response.operation.metadata.Unpack(progress)
    assert (progress.gaps_open, progress.messages_missing) == (1, 7)
    again = await served.recovery.RecoverBySnapshot(request)
    assert again.operation.name == response.operation.name
    assert served.supervisor.calls == [("XNAS-rx", "recovery.snapshot", {"gap_id": 1})]
    await served.recovery.RecoverBySnapshot(recovery_pb.RecoverBySnapshotRequest(exchange=NAME))
    assert served.supervisor.calls[1:] == [("XNAS-rx", "recovery.snapshot", {})]
    assert (await event_types(served)).count("recovery.snapshot_ordered") == 2


async def test_a_snapshot_of_a_channel_is_not_for_one_gap(served: Served) -> None:
    """GLIMPSE is of the whole channel: the dry run names the other gaps that it closes."""
    served.supervisor.stats["XNAS-rx"].gap(2, 200, 209, 3)
    served.plant.tick()
    request = recovery_pb.RecoverBySnapshotRequest(exchange=NAME, gap_id=2, validate_only=True)
    effects = (await served.recovery.RecoverBySnapshot(request)).effects
    assert "it also stands in for the other open gaps: 1" in effects


async def test_a_snapshot_needs_an_open_gap_and_a_source(served: Served) -> None:
    """Each mistake has its own reason; the worker is asked for none of them."""

    async def reason(exchange: str = NAME, gap_id: int = 0) -> str:
        request = recovery_pb.RecoverBySnapshotRequest(exchange=exchange, gap_id=gap_id)
        return (await failure(served.recovery.RecoverBySnapshot(request))).reason

    assert await reason(gap_id=9) == "GAP_NOT_FOUND"
    assert await reason(await bare(served), 1) == "NO_SNAPSHOT_SOURCE"
    close(served)
    assert await reason(gap_id=1) == "GAP_NOT_OPEN"
    assert await reason() == "NO_OPEN_GAP"
    assert await reason("exchanges/NONE") == "EXCHANGE_NOT_FOUND"
    assert served.supervisor.calls == []
    served.supervisor.stats["XNAS-rx"].gap(2, 100, 109, 3)
    served.plant.tick()
    refusal = WrongStateError("XNAS-rx refused recovery.snapshot: none", reason="WRONG_STATE")
    served.supervisor.answers["recovery.snapshot"] = refusal
    assert await reason(gap_id=2) == "WRONG_STATE"


async def test_a_retry_tells_whom_it_asks_in_turn(served: Served) -> None:
    """First the server, then the peer, then the snapshot."""
    request = recovery_pb.StartRecoveryRequest(exchange=NAME, gap_id=1, validate_only=True)
    assert list((await served.recovery.StartRecovery(request)).effects) == [
        "ask 127.0.0.1:31009 for 100..109, 7 missing",
        "then ask the peer at 127.0.0.1:31011 for what is still missing",
        "then let a snapshot stand in for the rest: glimpse 127.0.0.1:31010",
    ]


async def test_a_retry_where_only_a_snapshot_is_had(served: Served) -> None:
    """There is nobody to ask for a range, and the refusal says what there is."""
    toml = exchange_toml("XETR", port=31003) + SNAPSHOT
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    served.supervisor.stats["XETR-rx"].gap(1, 100, 109, 3)
    served.plant.tick()
    request = recovery_pb.StartRecoveryRequest(exchange="exchanges/XETR")
    found = await failure(served.recovery.StartRecovery(request))
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "NO_RECOVERY_SOURCE")
    assert "snapshot" in found.text


async def test_a_loss_is_accepted_with_its_reason(served: Served) -> None:
    """Actor and reason go to the worker's journal; the answer is what it declared lost."""
    request = recovery_pb.AcceptLossRequest(
        exchange=NAME, gap_id=1, reason="halted instrument", validate_only=True
    )
    planned = await served.recovery.AcceptLoss(request)
    assert planned.messages_lost == 7
    assert planned.effects[0] == "declare 7 messages of 100..109 lost for good"
    assert served.supervisor.calls == []
    served.supervisor.answers["recovery.accept_loss"] = {"gaps": 1, "messages": 6}
    request = recovery_pb.AcceptLossRequest(
        exchange=NAME, gap_id=1, reason=" halted instrument ", request_id=str(uuid.uuid4())
    )
    response = await served.recovery.AcceptLoss(request)
    assert response.messages_lost == 6
    assert await served.recovery.AcceptLoss(request) == response
    ((worker, op, args),) = served.supervisor.calls
    assert (worker, op) == ("XNAS-rx", "recovery.accept_loss")
    assert args == {"gap_id": 1, "actor": args["actor"], "reason": "halted instrument"}
    assert args["actor"].startswith("uid:")
    await served.plant.events.flush()
    (event,) = [e for e in served.plant.events.recent if e.type == "gap.loss_accepted"]
    assert (event.actor, event.details["lost"]) == (args["actor"], "6")
    assert event.message.endswith(": halted instrument")
    (gap,) = (await served.recovery.ListGaps(recovery_pb.ListGapsRequest())).gaps
    assert [note.text for note in gap.notes] == ["loss accepted: halted instrument"]


async def test_a_loss_that_cannot_be_accepted(served: Served) -> None:
    """No gap, no reason, an unknown one, a closed one, an answer that is none."""

    async def reason(gap_id: int = 1, why: str = "because", *, dry: bool = False) -> str:
        request = recovery_pb.AcceptLossRequest(
            exchange=NAME, gap_id=gap_id, reason=why, validate_only=dry
        )
        return (await failure(served.recovery.AcceptLoss(request))).reason

    assert await reason(gap_id=0) == "GAP_REQUIRED"
    assert await reason(why=" ") == "REASON_REQUIRED"
    assert await reason(why="x" * 498, dry=True) == "INVALID_REASON"
    assert await reason(why="a\nb", dry=True) == "INVALID_REASON"
    assert await reason(gap_id=9, dry=True) == "GAP_NOT_FOUND"
    assert served.supervisor.calls == []
    served.supervisor.answers["recovery.accept_loss"] = {"gaps": 1}
    assert await reason() == "CONTROL_PROTOCOL"
    gone = NotFoundError("no such open gap", reason="NOT_FOUND")
    served.supervisor.answers["recovery.accept_loss"] = gone
    assert await reason() == "NOT_FOUND"
    close(served)
    assert await reason() == "GAP_NOT_OPEN"


async def test_an_accepted_loss_halts_nothing(served: Served) -> None:
    """Where losses end the worker, one that is accepted does not, and the dry run says so."""
    toml = exchange_toml("BATS", port=31002) + '[recovery]\nunrecoverable_policy = "halt"\n'
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    served.supervisor.stats["BATS-rx"].gap(1, 100, 109, 3)
    served.plant.tick()
    request = recovery_pb.AcceptLossRequest(
        exchange="exchanges/BATS", gap_id=1, reason="x", validate_only=True
    )
    effects = (await served.recovery.AcceptLoss(request)).effects
    assert effects[-1] == 'unrecoverable_policy = "halt" is not for accepted losses: no worker ends'


async def test_a_loss_behind_an_open_gap_waits_for_it(served: Served) -> None:
    """The stream keeps its order, so "at once" is true of the first open gap only."""
    served.supervisor.stats["XNAS-rx"].gap(2, 200, 209, 3)
    served.plant.tick()

    async def effect(gap_id: int) -> str:
        request = recovery_pb.AcceptLossRequest(
            exchange=NAME, gap_id=gap_id, reason="x", validate_only=True
        )
        return (await served.recovery.AcceptLoss(request)).effects[-1]

    assert (await effect(1)).endswith("the stream goes on behind them at once")
    assert (await effect(2)).endswith("goes on behind them when gap 1 before them is closed")


async def test_a_note_is_journalled_and_shown(served: Served) -> None:
    """On an open gap and on a closed one, once per request id, also after the row changed."""
    served.supervisor.answers["recovery.annotate"] = {"gap_id": 1}
    request = recovery_pb.AnnotateGapRequest(
        exchange=NAME, gap_id=1, note=" venue rang back ", request_id=str(uuid.uuid4())
    )
    response = await served.recovery.AnnotateGap(request)
    assert await served.recovery.AnnotateGap(request) == response
    ((_, op, args),) = served.supervisor.calls
    assert (op, args["gap_id"], args["note"]) == ("recovery.annotate", 1, "venue rang back")
    assert [note.text for note in response.gap.notes] == ["venue rang back"]
    close(served)
    later = recovery_pb.AnnotateGapRequest(exchange=NAME, gap_id=1, note="closed by peer")
    await served.recovery.AnnotateGap(later)
    (gap,) = (await served.recovery.ListGaps(recovery_pb.ListGapsRequest())).gaps
    assert gap.stage == recovery_pb2.GAP_STAGE_FILLED
    assert [note.text for note in gap.notes] == ["venue rang back", "closed by peer"]
    assert gap.notes[0].actor.startswith("uid:")
    assert gap.notes[0].time.seconds > 0
    assert (await event_types(served)).count("gap.annotated") == 2


async def test_notes_that_are_none(served: Served) -> None:
    """Empty, too long, with control characters, on no gap; the dry run journals nothing."""

    async def found(note: str, gap_id: int = 1) -> str:
        request = recovery_pb.AnnotateGapRequest(exchange=NAME, gap_id=gap_id, note=note)
        return (await failure(served.recovery.AnnotateGap(request))).reason

    assert await found("  ") == "INVALID_NOTE"
    assert await found("€" * 171) == "INVALID_NOTE"
    assert await found("a\x1b[2J") == "INVALID_NOTE"
    assert await found("x", gap_id=0) == "GAP_REQUIRED"
    assert await found("x", gap_id=9) == "GAP_NOT_FOUND"
    dry = recovery_pb.AnnotateGapRequest(
        exchange=NAME, gap_id=1, note="€" * 170, validate_only=True
    )
    effects = (await served.recovery.AnnotateGap(dry)).effects
    assert list(effects) == ["journal a note on gap 1, 100..109"]
    assert served.supervisor.calls == []


async def test_a_gap_of_an_ended_worker_is_left_alone(served: Served) -> None:
    """The worker that runs now counts from 1 again: its gap 1 is another one."""
    served.supervisor.run_again("XNAS-rx")
    for call in (
        served.recovery.AnnotateGap(
            recovery_pb.AnnotateGapRequest(exchange=NAME, gap_id=1, note="x")
        ),
        served.recovery.AcceptLoss(
            recovery_pb.AcceptLossRequest(exchange=NAME, gap_id=1, reason="x")
        ),
    ):
        assert (await failure(call)).reason == "GAP_OF_ENDED_WORKER"
    assert served.supervisor.calls == []


def told(source: str, state: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    base = {"source": source, "protocol": "p", "address": "a:1", "state": state, "detail": ""}
    return {**base, "probed_ns": time.time_ns(), "rtt_ns": 90_000, **more}


async def sources(served: Served) -> list[recovery_pb2.RecoverySource]:
    request = recovery_pb.ListRecoverySourcesRequest(exchange=NAME)
    return list((await served.recovery.ListRecoverySources(request)).sources)


async def test_sources_tell_state_and_age(served: Served) -> None:
    """As the worker says, in the order in which they are asked; an old probe is not known."""
    served.supervisor.answers["recovery.sources"] = {
        "sources": [
            told("peer", "failed", detail="connection refused"),
            told("request", "ready"),
            told("snapshot", "ready", probed_ns=time.time_ns() - 60_000_000_000),
        ]
    }
    request, peer, snapshot = await sources(served)
    assert [one.source for one in (request, peer, snapshot)] == ["request", "peer", "snapshot"]
    assert (request.state, request.rtt_ns) == (recovery_pb2.RECOVERY_SOURCE_STATE_READY, 90_000)
    assert request.probed_time.seconds > 0
    assert (peer.state, peer.detail) == (
        recovery_pb2.RECOVERY_SOURCE_STATE_FAILED,
        "connection refused",
    )
    assert snapshot.state == recovery_pb2.RECOVERY_SOURCE_STATE_UNKNOWN
    told_s = re.fullmatch(r"the last probe is (\d+\.\d) s old; then it was ready", snapshot.detail)
    assert told_s, snapshot.detail
    assert float(told_s[1]) >= 60.0
    assert snapshot.age_ns >= 60_000_000_000


async def test_sources_without_a_worker_are_unknown(served: Served) -> None:
    """Nobody answers, or in another form: all are listed, each with the reason."""
    for answer in (None, {}, {"sources": [told("request", "well")]}):
        if answer is not None:
            served.supervisor.answers["recovery.sources"] = answer
        found = await sources(served)
        unknown = recovery_pb2.RECOVERY_SOURCE_STATE_UNKNOWN
        assert [(one.source, one.state) for one in found] == [
            *(("request", unknown), ("peer", unknown), ("snapshot", unknown)),
        ]
        assert all(one.detail for one in found)
    request = recovery_pb.ListRecoverySourcesRequest(exchange="exchanges/NONE")
    assert (await failure(served.recovery.ListRecoverySources(request))).code is Code.NOT_FOUND


async def test_health_and_spec_carry_the_race_and_the_sources(served: Served) -> None:
    """The row of the exchange has what the statistics tell; the spec where the sources are."""
    rx = served.supervisor.stats["XNAS-rx"]
    rx.record("line_lead_ns", 5_000, labels="line=B", times=10)
    rx.set("line_alone_since_ns", time.time_ns(), line="A")
    rx.set("line_loss_run_most", 4, line="B")
    rx.add("arbiter_conflicts_total", 2)
    rx.add("recovery_lies_total", 1, fault="wrong_session")
    rx.set("recovery_source_state", 2, source="request")
    rx.set("recovery_source_probed_ns", time.time_ns(), source="request")
    rx.set("recovery_storm", 1)
    served.plant.tick()
    response = await served.observe.GetSnapshot(observe_pb.GetSnapshotRequest(name=NAME))
    (row,) = response.exchanges
    a, b = row.lines
    assert a.HasField("alone_since")
    assert not b.HasField("alone_since")
    assert b.loss_run_most == 4
    assert (row.conflicts, row.recovery_storm) == (2, True)
    assert dict(row.recovery_faults) == {"wrong_session": 1}
    assert [(one.source, one.state) for one in row.recovery_sources] == [
        ("request", recovery_pb2.RECOVERY_SOURCE_STATE_FAILED),
        ("peer", recovery_pb2.RECOVERY_SOURCE_STATE_UNKNOWN),
        ("snapshot", recovery_pb2.RECOVERY_SOURCE_STATE_UNKNOWN),
    ]
    types = await event_types(served)
    for type_ in ("arbiter.conflict", "recovery.source_failed", "recovery.storm_began"):
        assert types.count(type_) == 1
    spec = (await get_exchange(served)).spec
    assert (spec.replay_protocol, spec.peer_address) == ("moldudp64", "127.0.0.1:31011")
    assert (spec.snapshot_protocol, spec.snapshot_address) == ("glimpse", "127.0.0.1:31010")
