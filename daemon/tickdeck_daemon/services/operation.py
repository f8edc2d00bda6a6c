"""OperationService, and google.longrunning.Operations beside it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import grpc
from google.protobuf.message import Message
from typing_extensions import override

from tickdeck.v1 import operation_service_pb2 as pb
from tickdeck.v1 import operation_service_pb2_grpc
from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.operate.operations import Operation
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.google_types import operations_pb2, to_grpc_status
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.pacing import HEARTBEAT_S
from tickdeck_daemon.services.status import to_rpc_status

OPERATIONS_SERVICE = "google.longrunning.Operations"
WAIT_LIMIT_S = 30.0
"""How long WaitOperation waits when it names no timeout."""


class OperationService(operation_service_pb2_grpc.OperationServiceServicer):
    """Watches operations."""

    def __init__(self, plant: Plant) -> None:
        """Serve `plant`."""
        self._plant = plant

    @override
    async def WatchOperation(
        self, request: pb.WatchOperationRequest, context: Context
    ) -> AsyncGenerator[pb.WatchOperationResponse, None]:
        store = self._plant.operations
        operation = store.get(parse(request.name, "operations"))
        sent = -1
        while True:
            if operation.revision != sent:
                yield pb.WatchOperationResponse(operation=convert.operation(operation))
                sent = operation.revision
            if operation.done:
                return
            operation = await store.wait(operation.id, sent, HEARTBEAT_S)


class StandardOperations:
    """The methods of google.longrunning.Operations that make sense for ours."""

    def __init__(self, plant: Plant) -> None:
        """Serve `plant`."""
        self._plant = plant

    def handler(self) -> grpc.GenericRpcHandler:
        """Get, List and Wait; the others are UNIMPLEMENTED."""
        return grpc.method_handlers_generic_handler(
            OPERATIONS_SERVICE,
            {
                "GetOperation": _unary(operations_pb2.GetOperationRequest, self._get),
                "ListOperations": _unary(operations_pb2.ListOperationsRequest, self._list),
                "WaitOperation": _unary(operations_pb2.WaitOperationRequest, self._wait),
            },
        )

    async def _get(self, request: "operations_pb2.GetOperationRequest") -> Message:
        message: Message = convert.operation(self._find(request.name))
        return message

    async def _list(self, request: "operations_pb2.ListOperationsRequest") -> Message:
        del request  # all fit on one page
        operations = [convert.operation(known) for known in self._plant.operations.list()]
        message: Message = operations_pb2.ListOperationsResponse(operations=operations)
        return message

    async def _wait(self, request: "operations_pb2.WaitOperationRequest") -> Message:
        limit_s = WAIT_LIMIT_S
        if request.HasField("timeout"):
            limit_s = min(limit_s, request.timeout.ToTimedelta().total_seconds())
        operation = self._find(request.name)
        done = await self._plant.operations.wait_done(operation.id, limit_s)
        message: Message = convert.operation(done)
        return message

    def _find(self, name: str) -> Operation:
        return self._plant.operations.get(parse(name, "operations"))


def _unary(
    request_type: type[Message], behaviour: Callable[[Any], Awaitable[Message]]
) -> "grpc.RpcMethodHandler[Any, Any]":
    async def call(request: Message, context: Context) -> Message:
        try:
            return await behaviour(request)
        except TickdeckError as error:
            await context.abort_with_status(to_grpc_status(to_rpc_status(error)))

    make: Any = grpc.unary_unary_rpc_method_handler
    return cast(
        "grpc.RpcMethodHandler[Any, Any]",
        make(
            call,
            request_deserializer=request_type.FromString,
            response_serializer=_serialized,
        ),
    )


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
