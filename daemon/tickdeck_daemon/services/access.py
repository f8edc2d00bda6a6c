"""Who may call which RPC: read from the protocol, so that there is one table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from tickdeck.v1 import (
    book_service_pb2,
    exchange_service_pb2,
    journal_service_pb2,
    observe_service_pb2,
    operation_service_pb2,
    options_pb2,
    recovery_service_pb2,
    replay_service_pb2,
    system_service_pb2,
    worker_service_pb2,
)

_FILES: tuple[FileDescriptor, ...] = (
    book_service_pb2.DESCRIPTOR,
    exchange_service_pb2.DESCRIPTOR,
    journal_service_pb2.DESCRIPTOR,
    observe_service_pb2.DESCRIPTOR,
    operation_service_pb2.DESCRIPTOR,
    recovery_service_pb2.DESCRIPTOR,
    replay_service_pb2.DESCRIPTOR,
    system_service_pb2.DESCRIPTOR,
    worker_service_pb2.DESCRIPTOR,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Access rule of one RPC."""

    role: "options_pb2.Role.ValueType"
    """The least role that may call it; ROLE_UNSPECIFIED: nobody may."""
    audit: bool
    """Each call is recorded, and goes on when its caller leaves."""


def services() -> list[ServiceDescriptor]:
    """Every service of the protocol."""
    return [service for file in _FILES for service in file.services_by_name.values()]


def rules() -> Mapping[str, Rule]:
    """Rules by full method path, such as "/tickdeck.v1.WorkerService/ListWorkers"."""
    return dict(_rules())


def _rules() -> Iterator[tuple[str, Rule]]:
    for service in services():
        for method in service.methods:
            option = method.GetOptions().Extensions[options_pb2.auth]
            yield f"/{service.full_name}/{method.name}", Rule(option.role, option.audit)
