"""The one map from errors to gRPC status: code, ErrorInfo and what else helps the caller."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from tickdeck_daemon.errors import (
    AlreadyExistsError,
    ConflictError,
    CursorExpiredError,
    InvalidError,
    NotFoundError,
    TickdeckError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.services.google_types import (
    code_pb2,
    error_details_pb2,
    status_pb2,
    to_grpc_status,
)

DOMAIN = "tickdeck"
"""Domain of every ErrorInfo."""
RETRY_S = 1
"""When to try again after UNAVAILABLE."""

CODES: tuple[tuple[type[TickdeckError], grpc.StatusCode], ...] = (
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (InvalidError, grpc.StatusCode.INVALID_ARGUMENT),
    (ConflictError, grpc.StatusCode.ABORTED),
    (WrongStateError, grpc.StatusCode.FAILED_PRECONDITION),
    (TimedOutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (CursorExpiredError, grpc.StatusCode.OUT_OF_RANGE),
    (TickdeckError, grpc.StatusCode.INTERNAL),
)
"""The first class that fits decides, so children stand before their parents."""


def to_status(error: TickdeckError) -> grpc.Status:
    """Status for `context.abort_with_status`."""
    return to_grpc_status(to_rpc_status(error))


def to_rpc_status(error: TickdeckError) -> "status_pb2.Status":
    """The error as google.rpc.Status, as an operation carries it."""
    code = code_of(error)
    return status_pb2.Status(
        code=code_pb2.Code.Value(code.name),
        message=error.message,
        details=[_packed(detail) for detail in _details(error)],
    )


def code_of(error: TickdeckError) -> grpc.StatusCode:
    """The status code of an error."""
    return next(code for kind, code in CODES if isinstance(error, kind))


def simple_status(code: grpc.StatusCode, reason: str, text: str) -> grpc.Status:
    """Status of a failure that is none of ours, with its ErrorInfo."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    return to_grpc_status(
        status_pb2.Status(
            code=code_pb2.Code.Value(code.name), message=text, details=[_packed(info)]
        )
    )


def _details(error: TickdeckError) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata)
    )
    if isinstance(error, InvalidError) and error.violations:
        violations: list[Any] = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in error.violations
        ]
        yield error_details_pb2.BadRequest(field_violations=violations)
    if isinstance(error, WrongStateError):
        violation = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason, description=error.message
        )
        yield error_details_pb2.PreconditionFailure(violations=[violation])
    if isinstance(error, NotFoundError | AlreadyExistsError):
        kind, name = next(iter(error.metadata.items()), ("", ""))
        yield error_details_pb2.ResourceInfo(
            resource_type=kind, resource_name=name, description=error.message
        )
    if isinstance(error, UnavailableError):
        yield error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_S))


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
