"""A daemon that says what a test tells it to, on a real socket.

Every RPC of `tickdeck.v1` is found in the descriptors; a test puts an answer (a message, a list of
messages for a stream, or a function of the request) under its name. What has no answer is
UNIMPLEMENTED, so that a test sees each call that it did not expect.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf import message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]
from grpc_status import rpc_status

from tickdeck.v1 import (
    book_service_pb2,
    exchange_service_pb2,
    journal_service_pb2,
    observe_pb2,
    observe_service_pb2,
    operation_service_pb2,
    recovery_service_pb2,
    replay_service_pb2,
    system_service_pb2,
    worker_service_pb2,
)

MODULES: tuple[Any, ...] = (
    book_service_pb2,
    exchange_service_pb2,
    journal_service_pb2,
    observe_service_pb2,
    operation_service_pb2,
    recovery_service_pb2,
    replay_service_pb2,
    system_service_pb2,
    worker_service_pb2,
)
Untyped = Any
"""A message whose class the test does not name, or grpc's untyped things."""


class RefusalError(Exception):
    """Untyped with an error, as the daemon does."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        violations: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        details: list[Message] = []
        if reason:
            details.append(error_details_pb2.ErrorInfo(reason=reason, domain="tickdeck"))
        if violations:
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(field=f, description=d)
                        for f, d in violations
                    ]
                )
            )
        packed: list[Any] = []
        for detail in details:
            wrapped = AnyMessage()
            wrapped.Pack(detail)
            packed.append(wrapped)
        number = cast(int, code.value[0])
        self.status = status_pb2.Status(code=number, message=message, details=packed)


class FakeDaemon(grpc.GenericRpcHandler):
    """Canned answers by RPC name; also remembers what was asked."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "tickdeckd.sock"
        self.target = f"unix:{self.socket}"
        self.answers: dict[str, Untyped] = {}
        self.requests: list[tuple[str, Any]] = []
        self.stopping = threading.Event()
        self._server: grpc.Server | None = None
        self._methods = {
            f"/{service.full_name}/{method.name}": method
            for module in MODULES
            for service in module.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }

    def start(self) -> None:
        """Serve; may be called again after `stop`."""
        self.stopping.clear()
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[self])
        self._server.add_insecure_port(self.target)
        self._server.start()

    def stop(self) -> None:
        """End at once; open streams break."""
        self.stopping.set()
        if self._server:
            self._server.stop(0).wait()
            self._server = None
        self.socket.unlink(missing_ok=True)

    def asked(self, name: str) -> list[Any]:
        """All requests of one RPC."""
        return [request for method, request in self.requests if method == name]

    def service(self, handler_call_details: Untyped) -> Untyped:
        """Find the RPC in the descriptors."""
        method = self._methods.get(handler_call_details.method)
        if method is None or method.name not in self.answers:
            return None
        request_class = message_factory.GetMessageClass(method.input_type)
        serializer = cast(Any, message_factory.GetMessageClass(method.output_type))
        codec: dict[str, Untyped] = {
            "request_deserializer": request_class.FromString,
            "response_serializer": serializer.SerializeToString,
        }
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method.name), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(method.name), **codec)

    def _unary(self, name: str) -> Callable[[Any, Any], Any]:
        def call(request: Untyped, context: Untyped) -> Untyped:
            return self._answer(name, request, context)

        return call

    def _stream(self, name: str) -> Callable[[Any, Any], Iterator[Any]]:
        def call(request: Untyped, context: Untyped) -> Iterator[Any]:
            try:
                yield from self._answer(name, request, context)
            except RefusalError as refusal:
                _abort(context, refusal)

        return call

    def _answer(self, name: str, request: Untyped, context: Untyped) -> Untyped:
        self.requests.append((name, request))
        answer = self.answers[name]
        try:
            if isinstance(answer, RefusalError):
                raise answer
            return answer(request) if callable(answer) else answer
        except RefusalError as refusal:
            return _abort(context, refusal)


def _abort(context: Untyped, refusal: RefusalError) -> None:
    context.abort_with_status(rpc_status.to_status(refusal.status))  # pyright: ignore[reportUnknownMemberType]


class HealthStream:
    """The answer of WatchHealth: a snapshot, its end, then what a test sends, and heartbeats."""

    def __init__(self, daemon: FakeDaemon, *names: str, epoch: str = "e1") -> None:
        self.epoch = epoch
        self.revision = 1
        self.rows = {name: observe_pb2.ExchangeHealth(name=f"exchanges/{name}") for name in names}
        for row in self.rows.values():
            row.state = observe_pb2.HEALTH_STATE_OK
        self.silent = threading.Event()
        """Set: the stream says nothing any more, though it stays open."""
        self._daemon = daemon

    def __call__(self, _: Untyped) -> Iterator[Any]:
        pb = observe_service_pb2
        base: dict[str, Untyped] = {"epoch": self.epoch, "revision": self.revision}
        rows = list(self.rows.values())
        yield pb.WatchHealthResponse(kind=pb.WATCH_KIND_SNAPSHOT, exchanges=rows, **base)
        yield pb.WatchHealthResponse(kind=pb.WATCH_KIND_SYNCED, **base)
        while not self._daemon.stopping.wait(0.05):
            if not self.silent.is_set():
                yield pb.WatchHealthResponse(kind=pb.WATCH_KIND_HEARTBEAT, **base)


async def eventually(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Poll for a condition with a deadline."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event to wait for
            await asyncio.sleep(0.01)
