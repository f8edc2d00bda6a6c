"""The running daemon behind the console's verbs on gaps: each sends what it says."""

from collections.abc import AsyncIterator

import grpc
import pytest

from fake_tickdeckd import FakeDaemon, RefusalError
from tickdeck.v1 import recovery_service_pb2 as recovery
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed.live_plant import LivePlant


@pytest.fixture
async def plant(fake_daemon: FakeDaemon) -> AsyncIterator[LivePlant]:
    """Connected to the fake daemon."""
    fake_daemon.start()
    live = LivePlant(fake_daemon.target)
    yield live
    await live.close()


async def test_a_snapshot_a_loss_and_a_note(fake_daemon: FakeDaemon, plant: LivePlant) -> None:
    """Exchange, gap, reason and dry run arrive, each time under a request id of its own."""
    fake_daemon.answers["RecoverBySnapshot"] = recovery.RecoverBySnapshotResponse(effects=["s"])
    fake_daemon.answers["AcceptLoss"] = recovery.AcceptLossResponse(effects=["l"])
    fake_daemon.answers["AnnotateGap"] = recovery.AnnotateGapResponse(effects=["n"])
    assert await plant.snapshot("X", 3, "why", dry_run=True) == ("s",)
    assert await plant.accept_loss("X", 3, "why", dry_run=False) == ("l",)
    assert await plant.annotate("X", 3, "venue rang", dry_run=False) == ("n",)
    (taken,) = fake_daemon.asked("RecoverBySnapshot")
    (lost,) = fake_daemon.asked("AcceptLoss")
    (noted,) = fake_daemon.asked("AnnotateGap")
    assert (taken.exchange, taken.gap_id, taken.reason) == ("exchanges/X", 3, "why")
    assert (taken.validate_only, lost.validate_only, lost.reason) == (True, False, "why")
    assert (noted.gap_id, noted.note) == (3, "venue rang")
    assert len({taken.request_id, lost.request_id, noted.request_id}) == 3


async def test_a_refusal_keeps_its_words(fake_daemon: FakeDaemon, plant: LivePlant) -> None:
    """What the daemon says is what the operator reads."""
    fake_daemon.answers["AcceptLoss"] = RefusalError(
        grpc.StatusCode.FAILED_PRECONDITION, "gap 3 of X is FILLED", "GAP_NOT_OPEN"
    )
    with pytest.raises(CommandError, match="gap 3 of X is FILLED") as caught:
        await plant.accept_loss("X", 3, "why", dry_run=True)
    assert caught.value.exit_code is ExitCode.REFUSED
