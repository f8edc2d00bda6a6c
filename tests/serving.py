"""A served plant with a fake supervisor, and a client on its socket."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]
from grpc import aio

from fake_plant import exchange_toml, private_directory
from fake_supervisor import FakeSupervisor
from tickdeck.v1 import (
    book_service_pb2_grpc,
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    journal_service_pb2_grpc,
    observe_service_pb2_grpc,
    operation_service_pb2_grpc,
    recovery_service_pb2_grpc,
    replay_service_pb2_grpc,
    system_service_pb2_grpc,
    worker_service_pb2_grpc,
)
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.server import Server
from tickdeck_daemon.settings import Settings

NAME = "exchanges/XNAS"
RECOVERABLE = """
[recovery]
replay_protocol = "moldudp64"
request_address = "127.0.0.1:31009"
"""
DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
)


def settings_below(root: Path) -> Settings:
    """Directories of a private daemon."""
    return Settings(
        runtime_dir=root / "run",
        state_dir=root / "state",
        config_dir=root / "config",
        log_dir=root / "log",
        socket_path=root / "run" / "tickdeckd.sock",
    )


class Served:
    """A server that runs, its plant, and stubs of all services."""

    def __init__(self, server: Server, settings: Settings, channel: aio.Channel) -> None:
        self.server = server
        self.settings = settings
        self.channel = channel
        self.system = system_service_pb2_grpc.SystemServiceStub(channel)
        self.exchange = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        self.worker = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self.observe = observe_service_pb2_grpc.ObserveServiceStub(channel)
        self.recovery = recovery_service_pb2_grpc.RecoveryServiceStub(channel)
        self.journal = journal_service_pb2_grpc.JournalServiceStub(channel)
        self.replay = replay_service_pb2_grpc.ReplayServiceStub(channel)
        self.book = book_service_pb2_grpc.BookServiceStub(channel)
        self.operation = operation_service_pb2_grpc.OperationServiceStub(channel)

    @property
    def plant(self) -> Plant:
        return self.server.plant

    @property
    def supervisor(self) -> FakeSupervisor:
        return cast("FakeSupervisor", self.server.plant.supervisor)


@asynccontextmanager
async def serving(
    settings: Settings | None = None, *, write_limit_s: float = 10.0
) -> AsyncGenerator[Served]:
    """Serve a plant below `settings`, or below a directory of its own."""
    with private_directory() as root:
        settings = settings or settings_below(root)
        server = Server(settings, make_supervisor=FakeSupervisor, write_limit_s=write_limit_s)
        await server.start()
        try:
            async with aio.insecure_channel(f"unix:{settings.socket_path}") as channel:
                yield Served(server, settings, channel)
        finally:
            await server.stop()


def create_request(
    name: str = "XNAS", port: int = 31001, *, request_id: str = "", validate_only: bool = False
) -> exchange_service_pb2.CreateExchangeRequest:
    """A request for an exchange with a recovery source."""
    return exchange_service_pb2.CreateExchangeRequest(
        toml=exchange_toml(name, port=port) + RECOVERABLE,
        request_id=request_id,
        validate_only=validate_only,
    )


async def get_exchange(served: Served, name: str = NAME) -> exchange_pb2.Exchange:
    """Read an exchange."""
    request = exchange_service_pb2.GetExchangeRequest(name=name)
    return (await served.exchange.GetExchange(request)).exchange


async def event_types(served: Served) -> list[str]:
    """Types of the events so far."""
    await served.plant.events.flush()
    return [event.type for event in served.plant.events.recent]


async def raw_call(served: Served, method: str, request: bytes = b"") -> bytes:
    """Call any unary method with bytes."""
    channel: Any = served.channel
    async with asyncio.timeout(60):
        answer: bytes = await channel.unary_unary(method)(request)
    return answer


class Failure:
    """The status of a failed call, with its details by type."""

    def __init__(self, error: grpc.RpcError) -> None:
        call = cast("aio.AioRpcError", error)
        self.code = call.code()
        self.text = call.details() or ""
        self.details: dict[str, Any] = {}
        for key, value in call.trailing_metadata():
            if key == "grpc-status-details-bin":
                self.details = dict(_details(cast("bytes", value)))

    @property
    def reason(self) -> str:
        reason: str = self.details["ErrorInfo"].reason
        return reason

    @property
    def fields(self) -> list[str]:
        """Fields named by BadRequest."""
        return [violation.field for violation in self.details["BadRequest"].field_violations]


def _details(data: bytes) -> Iterator[tuple[str, Any]]:
    for packed in status_pb2.Status.FromString(data).details:
        for kind in DETAILS:
            message = kind()
            if packed.Unpack(message):
                yield kind.DESCRIPTOR.name, message


async def failure(call: Any) -> Failure:  # noqa: ANN401 - any call
    """Await a call that must fail."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return Failure(error)
    raise AssertionError(f"the call succeeded: {answer}")
