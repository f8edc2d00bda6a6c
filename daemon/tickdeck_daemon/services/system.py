"""SystemService: the daemon itself."""

import asyncio
import os
import socket
from importlib import metadata

from typing_extensions import override

from tickdeck.v1 import system_service_pb2 as pb
from tickdeck.v1 import system_service_pb2_grpc
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services.guard import Context, Guard
from tickdeck_daemon.services.names import parse_optional
from tickdeck_daemon.services.once import once
from tickdeck_daemon.services.preflight_report import preflight_report
from tickdeck_daemon.services.times import timestamp

STOP_DELAY_S = 0.1
"""Time for the answer to a drain to reach its caller before the server stops."""


class SystemService(system_service_pb2_grpc.SystemServiceServicer):
    """Tells about the daemon and ends it."""

    def __init__(self, plant: Plant, commands: Commands, guard: Guard, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._guard = guard
        self._actor = actor

    @override
    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        plant = self._plant
        return pb.GetServerInfoResponse(
            version=_version(),
            instance_id=plant.instance_id,
            host=socket.gethostname(),
            start_time=timestamp(plant.started_ns),
            workers_adopted=len(plant.adoption.adopted),
            draining=plant.draining,
            pid=os.getpid(),
            counters={
                "event_log_writes_failed": plant.events.write_failures,
                "stats_reads_failed": plant.sampler.failures.total(),
                "streams_cut": self._guard.streams_cut,
                "streams_open": self._guard.streams,
                "ticks_failed": plant.tick_failures,
            },
        )

    @override
    async def DrainDaemon(
        self, request: pb.DrainDaemonRequest, context: Context
    ) -> pb.DrainDaemonResponse:
        async def drain() -> pb.DrainDaemonResponse:
            order = Order(self._actor, request.reason)
            stopping = await self._commands.drain_daemon(
                stop_workers=request.stop_workers, order=order
            )
            return pb.DrainDaemonResponse(workers_stopping=stopping)

        response = await once(self._plant, "DrainDaemon", request, pb.DrainDaemonResponse, drain)
        asyncio.get_running_loop().call_later(STOP_DELAY_S, self._plant.stop_requested.set)
        return response

    @override
    async def RunPreflight(
        self, request: pb.RunPreflightRequest, context: Context
    ) -> pb.RunPreflightResponse:
        name = parse_optional(request.name, "exchanges")

        async def run() -> pb.RunPreflightResponse:
            return preflight_report(await self._commands.preflight(name, request.toml))

        return await once(self._plant, "RunPreflight", request, pb.RunPreflightResponse, run)


def _version() -> str:
    try:
        return metadata.version("tickdeck")
    except metadata.PackageNotFoundError:
        return "unknown"
