"""Puts all services on a server, the standard ones included."""

from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tickdeck.v1 import (
    book_service_pb2_grpc,
    exchange_service_pb2_grpc,
    journal_service_pb2_grpc,
    observe_service_pb2_grpc,
    operation_service_pb2_grpc,
    recovery_service_pb2_grpc,
    replay_service_pb2_grpc,
    system_service_pb2_grpc,
    worker_service_pb2_grpc,
)
from tickdeck_daemon.observe.health import State
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.recoveries import Recoveries
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services.access import services
from tickdeck_daemon.services.book import BookService
from tickdeck_daemon.services.exchange import ExchangeService
from tickdeck_daemon.services.guard import Guard
from tickdeck_daemon.services.journal import JournalService
from tickdeck_daemon.services.observe import ObserveService
from tickdeck_daemon.services.operation import (
    OPERATIONS_SERVICE,
    OperationService,
    StandardOperations,
)
from tickdeck_daemon.services.recovery import RecoveryService
from tickdeck_daemon.services.replay import ReplayService
from tickdeck_daemon.services.system import SystemService
from tickdeck_daemon.services.worker import WorkerService

SERVING_STATES = (State.OK, State.RECOVERING, State.DEGRADED)
"""States of an exchange that standard health calls SERVING: data comes and can be used."""
ALWAYS_SERVED = ("", "tickdeck.v1")


def add_services(server: aio.Server, plant: Plant, guard: Guard, actor: str) -> "HealthBridge":
    """Add every service to a server that has not started."""
    commands = Commands(plant)
    book_service_pb2_grpc.add_BookServiceServicer_to_server(
        BookService(plant, commands, actor), server
    )
    exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server(
        ExchangeService(plant, commands, actor), server
    )
    journal_service_pb2_grpc.add_JournalServiceServicer_to_server(
        JournalService(plant, commands, actor), server
    )
    observe_service_pb2_grpc.add_ObserveServiceServicer_to_server(ObserveService(plant), server)
    operation_service_pb2_grpc.add_OperationServiceServicer_to_server(
        OperationService(plant), server
    )
    recovery_service_pb2_grpc.add_RecoveryServiceServicer_to_server(
        RecoveryService(plant, Recoveries(plant), actor), server
    )
    replay_service_pb2_grpc.add_ReplayServiceServicer_to_server(
        ReplayService(plant, commands, actor), server
    )
    system_service_pb2_grpc.add_SystemServiceServicer_to_server(
        SystemService(plant, commands, guard, actor), server
    )
    worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(
        WorkerService(plant, commands, actor), server
    )
    server.add_generic_rpc_handlers((StandardOperations(plant).handler(),))
    names = [service.full_name for service in services()]
    names += [OPERATIONS_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    return HealthBridge(server, plant)


class HealthBridge:
    """Standard health: "", "tickdeck.v1" and "exchange/NAME"."""

    def __init__(self, server: aio.Server, plant: Plant) -> None:
        """Serve grpc.health.v1 on `server`."""
        # The stub does not know `health.aio`.
        self._servicer: Any = vars(health)["aio"].HealthServicer()
        self._plant = plant
        self._told: dict[str, bool] = {}
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def update(self) -> None:
        """Tell what has changed; gone exchanges become SERVICE_UNKNOWN."""
        wanted = {name: not self._plant.draining for name in ALWAYS_SERVED}
        for name, row in self._plant.health.rows():
            wanted[f"exchange/{name}"] = row.state in SERVING_STATES
        for name in self._told.keys() - wanted.keys():
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        for name, serving in wanted.items():
            if self._told.get(name) is not serving:
                word = "SERVING" if serving else "NOT_SERVING"
                status = health_pb2.HealthCheckResponse.ServingStatus.Value(word)
                await self._servicer.set(name, status)
        self._told = wanted
