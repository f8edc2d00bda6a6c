"""WorkerService: the worker processes."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import override

from tickdeck.v1 import worker_pb2, worker_service_pb2_grpc
from tickdeck.v1 import worker_service_pb2 as pb
from tickdeck_daemon.errors import InvalidError, NotFoundError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse, parse_optional
from tickdeck_daemon.services.once import once
from tickdeck_daemon.services.receive_report import receive_report
from tickdeck_daemon.services.times import timestamp
from tickdeck_daemon.workers.logtail import LogTail
from tickdeck_daemon.workers.views import WorkerView

REPORT_TIMEOUT_S = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SECONDS_MAX = (1 << 63) // 1_000_000_000 - 1
"""Nanoseconds of a time up to this fit 63 bits."""


class WorkerService(worker_service_pb2_grpc.WorkerServiceServicer):
    """Shows and restarts workers, and cuts their captures."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor

    @override
    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        exchange = parse_optional(request.exchange, "exchanges", field="exchange")
        if exchange:
            self._plant.store.get(exchange)
        workers = [self._worker(view) for view in self._plant.workers(exchange)]
        return pb.ListWorkersResponse(workers=workers)

    @override
    async def RestartWorker(
        self, request: pb.RestartWorkerRequest, context: Context
    ) -> pb.RestartWorkerResponse:
        worker_id = parse(request.name, "workers")

        async def restart() -> pb.RestartWorkerResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            effects = await self._commands.restart_worker(worker_id, order)
            return pb.RestartWorkerResponse(
                worker=self._worker(self._view(worker_id)), effects=effects
            )

        return await once(self._plant, "RestartWorker", request, pb.RestartWorkerResponse, restart)

    @override
    async def CutCapture(
        self, request: pb.CutCaptureRequest, context: Context
    ) -> pb.CutCaptureResponse:
        exchange = self._receiving_exchange(request.name)
        from_ns = _time_ns(request, "from_time")
        to_ns = _time_ns(request, "to_time")

        async def cut() -> pb.CutCaptureResponse:
            order = Order(self._actor, request.reason)
            done = await self._commands.cut_capture(exchange, from_ns, to_ns, order)
            return pb.CutCaptureResponse(
                path=done.path,
                packets=done.packets,
                first_time=timestamp(done.first_ns),
                last_time=timestamp(done.last_ns),
                bytes=done.bytes,
                lapped=done.lapped,
            )

        return await once(self._plant, "CutCapture", request, pb.CutCaptureResponse, cut)

    @override
    async def TailWorkerLogs(
        self, request: pb.TailWorkerLogsRequest, context: Context
    ) -> AsyncGenerator[pb.TailWorkerLogsResponse, None]:
        view = self._view(parse(request.name, "workers"))
        with LogTail(view.log_path) as tail:
            async for batch in tail.batches(request.lines, follow=request.follow):
                yield pb.TailWorkerLogsResponse(lines=batch.lines, skipped=batch.skipped)

    @override
    async def GetReceiveReport(
        self, request: pb.GetReceiveReportRequest, context: Context
    ) -> pb.GetReceiveReportResponse:
        name = parse(request.exchange, "exchanges", field="exchange")
        self._plant.store.get(name)
        worker = worker_id(name, "rx")
        answer = await self._plant.supervisor.call(
            worker, "receive.report", {}, timeout_s=REPORT_TIMEOUT_S
        )
        return receive_report(worker, answer)

    def _receiving_exchange(self, name: str) -> str:
        """The exchange of a name that is its own or its rx worker's."""
        if name.startswith("exchanges/"):
            return parse(name, "exchanges")
        view = self._view(parse(name, "workers"))
        if view.kind != "rx":
            text = f"{view.id} receives no packets; name exchanges/{view.exchange}"
            raise InvalidError(violations=[("name", text)], reason="NO_RECEIVER")
        return view.exchange

    def _view(self, worker_id: str) -> WorkerView:
        for view in self._plant.workers():
            if view.id == worker_id:
                return view
        text = f"no worker {worker_id!r}"
        raise NotFoundError(text, reason="WORKER_NOT_FOUND", metadata={"worker": worker_id})

    def _worker(self, view: WorkerView) -> worker_pb2.Worker:
        latest = self._plant.sampler.series(view.id).latest
        age_ns = latest.heartbeat_age_ns if latest else 0
        return convert.worker(view, age_ns, _resident_bytes(view.pid))


def _time_ns(request: pb.CutCaptureRequest, field: Literal["from_time", "to_time"]) -> int | None:
    """A time of the request in UTC nanoseconds; None when it is absent."""
    if not request.HasField(field):
        return None
    stamp: Timestamp = getattr(request, field)
    if not (0 <= stamp.seconds <= _SECONDS_MAX and 0 <= stamp.nanos < 1_000_000_000):
        text = f"{field} is no time from 1970 to 2262"
        raise InvalidError(violations=[(field, text)], reason="INVALID_TIME")
    return stamp.seconds * 1_000_000_000 + stamp.nanos


def _resident_bytes(pid: int | None) -> int:
    """Resident memory of a process; 0 when it has none or is gone."""
    if pid is None:
        return 0
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
