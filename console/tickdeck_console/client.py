"""The connection to `tickdeckd`: the only module that imports grpc.

`Client` offers the generated asynchronous stubs on a channel that gives every unary call a
deadline and turns every gRPC failure into a `CommandError` with a message for people and an
exit code for scripts.
"""

import importlib
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

# grpc's own log goes to the terminal, into the middle of the console's screen; what matters comes
# back as an error of the call. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf.message import Message
from grpc import aio

from tickdeck.v1.book_service_pb2_grpc import BookServiceStub
from tickdeck.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from tickdeck.v1.journal_service_pb2_grpc import JournalServiceStub
from tickdeck.v1.observe_service_pb2_grpc import ObserveServiceStub
from tickdeck.v1.operation_service_pb2 import WatchOperationRequest
from tickdeck.v1.operation_service_pb2_grpc import OperationServiceStub
from tickdeck.v1.recovery_service_pb2_grpc import RecoveryServiceStub
from tickdeck.v1.replay_service_pb2_grpc import ReplayServiceStub
from tickdeck.v1.system_service_pb2_grpc import SystemServiceStub
from tickdeck.v1.worker_service_pb2_grpc import WorkerServiceStub
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.target import default_target, normalised

__all__ = [
    "CURSOR_EXPIRED",
    "NO_ANSWER",
    "Client",
    "CommandError",
    "ExitCode",
    "default_target",
    "finished",
    "new_request_id",
    "reading",
]

Response = TypeVar("Response")

NO_ANSWER = "NO_ANSWER"
"""Reason of the error when the daemon is connected and does not answer."""
CURSOR_EXPIRED = "CURSOR_EXPIRED"
"""The daemon's reason when events before the cursor are no longer kept."""
UNARY_TIMEOUT_S = 10.0
PAST_TIMEOUT_S = 120.0
"""A book of the past is built anew from a snapshot and the journal."""
"""Deadline of a unary call that names none; grpc's own default is to wait for ever."""


class Client:
    """Stubs of all services on one channel; use it as an asynchronous context manager.

    Calls raise `CommandError`. A unary call takes `timeout` in seconds, 10 when absent; a stream
    has none and ends when it is cancelled or closed.

    Args:
        target: `unix:PATH`, a bare path, or `host:port`; `default_target()` when absent.
    """

    def __init__(self, target: str | None = None) -> None:
        """Prepare the channel; it connects with the first call."""
        self.target = normalised(target) if target else default_target()
        self._channel = aio.insecure_channel(self.target, options=_CHANNEL_OPTIONS)
        channel = cast(aio.Channel, _MappedChannel(self._channel, self.target))
        self.system = SystemServiceStub(channel)
        self.exchange = ExchangeServiceStub(channel)
        self.worker = WorkerServiceStub(channel)
        self.observe = ObserveServiceStub(channel)
        self.recovery = RecoveryServiceStub(channel)
        self.journal = JournalServiceStub(channel)
        self.replay = ReplayServiceStub(channel)
        self.book = BookServiceStub(channel)
        self.operation = OperationServiceStub(channel)

    async def __aenter__(self) -> Self:
        """Needs a running event loop."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel; running calls end with an error."""
        await self._channel.close()


@asynccontextmanager
async def reading(
    call: aio.UnaryStreamCall[Any, Response],
) -> AsyncGenerator[AsyncIterator[Response], None]:
    """The messages of a stream, which is cancelled when the block is left."""
    try:
        yield aiter(call)
    finally:
        call.cancel()


async def finished(client: Client, started: Message) -> Any:  # noqa: ANN401
    """Wait for the operation that `started` carries; returns its response, packed.

    Args:
        client: Where it runs.
        started: A response with a field `operation`.

    Raises:
        CommandError: The operation failed.
    """
    operation: Any = cast(Any, started).operation
    if not operation.done:
        request = WatchOperationRequest(name=operation.name)
        async with reading(client.operation.WatchOperation(request)) as messages:
            async for message in messages:
                operation = cast(Any, message).operation
                if operation.done:
                    break
    if not operation.done:
        raise CommandError(
            f"operation {operation.name} was not followed to its end",
            "the daemon stopped; ask again when it is back",
            ExitCode.UNREACHABLE,
        )
    if operation.HasField("error"):
        codes = {code.value[0]: code for code in grpc.StatusCode}
        code = codes.get(operation.error.code, grpc.StatusCode.UNKNOWN)
        text = operation.error.message or code.name
        raise CommandError(text, exit_code=_EXIT_CODES.get(code, ExitCode.FAILED))
    return operation.response


def new_request_id() -> str:
    """A fresh id for a mutation, so that sending it twice does it once."""
    return str(uuid.uuid4())


class _MappedChannel:
    """The two factories that generated stubs use, with deadlines and mapped errors.

    Raising from a grpc interceptor is not an option: the call object it leaves behind raises
    again from its destructor.
    """

    def __init__(self, channel: aio.Channel, target: str) -> None:
        self._channel = channel
        self._target = target

    def unary_unary(self, method: str, *factory: Any, **options: Any) -> Callable[..., Any]:  # noqa: ANN401
        send = self._channel.unary_unary(method, *factory, **options)

        async def call(request: object, timeout: float | None = None, **rest: Any) -> object:  # noqa: ANN401, ASYNC109
            try:
                return await send(request, timeout=timeout or UNARY_TIMEOUT_S, **rest)
            except aio.AioRpcError as error:
                raise _command_error(error, self._target) from error

        return call

    def unary_stream(self, method: str, *factory: Any, **options: Any) -> Callable[..., Any]:  # noqa: ANN401
        send = self._channel.unary_stream(method, *factory, **options)

        def call(request: object, timeout: float | None = None, **rest: Any) -> _Stream[Any]:  # noqa: ANN401
            return _Stream(send(request, timeout=timeout, **rest), self._target)

        return call


class _Stream(Generic[Response]):
    """The messages of a stream, with mapped errors."""

    def __init__(self, call: aio.UnaryStreamCall[Any, Response], target: str) -> None:
        self._call = call
        self._messages = aiter(call)
        self._target = target

    def cancel(self) -> bool:
        return self._call.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Response:
        try:
            return await anext(self._messages)
        except aio.AioRpcError as error:
            raise _command_error(error, self._target) from error


def _command_error(error: aio.AioRpcError, target: str) -> CommandError:
    """The message, hint and exit code for a failed call, from the status and its details."""
    code = error.code()
    status = _rpc_status.from_call(error)
    info = _error_details.ErrorInfo()
    violations = _error_details.BadRequest()
    hints = _error_details.Help()
    for detail in status.details if status else ():
        for message in (info, violations, hints):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    text = error.details() or code.name
    if code in _UNREACHABLE and not info.reason:
        return _unreachable(code, text, target)
    # What the text says already is not said again.
    news = [v for v in violations.field_violations if v.description not in text]
    lines = [f"{v.field}: {v.description}" for v in news]
    return CommandError(
        "\n  ".join([text, *lines]),
        "; ".join(f"{link.description} {link.url}".strip() for link in hints.links),
        _EXIT_CODES.get(code, ExitCode.FAILED),
        info.reason,
    )


def _unreachable(code: grpc.StatusCode, text: str, target: str) -> CommandError:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CommandError(
            f"tickdeckd at {target} did not answer in time",
            "it may hang: see its log, or `tickdeck stat DIR` for the workers' own numbers",
            ExitCode.UNREACHABLE,
            NO_ANSWER,
        )
    cause = next((words for words in _CAUSES if words in text.lower()), "no connection")
    return CommandError(
        f"tickdeckd is not reachable at {target}: {cause}",
        "start it with `tickdeck daemon`, or name its socket with --target or TICKDECK_SOCKET",
        ExitCode.UNREACHABLE,
    )


# google.rpc ships no types; imported by name these are Any to the type checkers.
_rpc_status: Any = importlib.import_module("grpc_status.rpc_status")
_error_details: Any = importlib.import_module("google.rpc.error_details_pb2")
_CAUSES = (
    "no such file or directory",
    "connection refused",
    "permission denied",
    "connection reset",
    "socket closed",
    "goaway",
)
_UNREACHABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
_EXIT_CODES = {
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.REFUSED,
    grpc.StatusCode.ABORTED: ExitCode.REFUSED,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.REFUSED,
}
_CHANNEL_OPTIONS = (
    # Bounds what a slow reader lets the server buffer for it.
    ("grpc.http2.lookahead_bytes", 65536),
    ("grpc.http2.bdp_probe", 0),
    # The feed decides when to try again; grpc's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
