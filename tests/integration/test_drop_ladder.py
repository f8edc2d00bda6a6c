"""Where a gap was lost, from real workers through the daemon to the command line."""

import json
import os
import subprocess
from typing import Any

from demo_runs import ROOT, program
from tickdeck.v1 import recovery_pb2
from tickdeck.v1.observe_service_pb2 import RunHealthCheckRequest
from tickdeck.v1.recovery_service_pb2 import ListGapsRequest
from tickdeck.v1.worker_service_pb2 import GetReceiveReportRequest
from tickdeck_console.client import new_request_id
from tickdeck_console.demo.headless import follow
from tickdeck_console.demo.options import DemoOptions
from tickdeck_console.demo.plant import DemoPlant

EXCHANGE = "exchanges/DEMO"
LAYERS = [
    "nic",
    "softnet",
    "xdp_program",
    "xsk",
    "packet_ring",
    "socket",
    "receiver",
    "arbiter",
    "ring",
    "journal",
]


async def test_what_the_venue_left_out_is_lost_upstream() -> None:
    """A gap on both lines that no layer of this host lost: told with the gap, on demand, and by the
    command; the health check finds no loss on the way."""
    options = DemoOptions(
        input=None, generated_messages=20_000, instruments=3, loss_a=0, loss_b=0, gap=100,
        rate=20_000, seed=7, kill_book=False, kill_daemon=False, kill_rx=False,
        kill_export=False, keep=False,
    )  # fmt: skip
    async with DemoPlant(options) as plant:
        await plant.play()
        await follow(plant, lambda _: None)
        gaps = (await plant.client.recovery.ListGaps(ListGapsRequest(exchange=EXCHANGE))).gaps
        report = await plant.client.worker.GetReceiveReport(
            GetReceiveReportRequest(exchange=EXCHANGE)
        )
        shown = command(plant, "drops", "DEMO", "--json")
        request = RunHealthCheckRequest(request_id=new_request_id(), name=EXCHANGE)
        checked = await plant.client.observe.RunHealthCheck(request)
    [gap] = [gap for gap in gaps if gap.stage == recovery_pb2.GAP_STAGE_FILLED]
    assert (gap.drop_verdict, gap.drop_count) == ("upstream", 0)
    assert report.last_verdict.gap_id == gap.id
    assert report.last_verdict.text == "upstream: not lost on this host"
    layers = list(dict.fromkeys(row.layer for row in report.layers))
    assert layers == LAYERS
    assert all(row.readable for row in report.layers), report
    assert [line.line for line in report.lines] == ["A", "B"]
    assert all(line.path for line in report.lines)
    assert [line["path"] for line in shown["lines"]] == [line.path for line in report.lines]
    assert shown["last_verdict"]["layer"] == "upstream"
    drops = next(one for one in checked.exchanges[0].checks if one.check == "drops")
    assert drops.evidence.startswith("no layer loses: nic, softnet"), drops


def command(plant: DemoPlant, *arguments: str) -> dict[str, Any]:
    """The JSON of a `tickdeck` command on the plant's daemon."""
    target = f"unix:{plant.runtime / 'tickdeckd.sock'}"
    result = subprocess.run(
        [program("tickdeck"), "--target", target, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=os.environ,
    )
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document
