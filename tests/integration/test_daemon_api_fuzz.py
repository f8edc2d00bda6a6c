"""Any request, well formed or not: an answer or a clear error, and a daemon that goes on."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor as d
from google.protobuf import message_factory
from google.protobuf.message import Message
from grpc import aio

from fake_journal_binary import FakeJournal
from fake_plant import exchange_toml
from serving import NAME, Served, create_request, get_exchange, raw_call, serving
from tickdeck.v1 import (
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
from tickdeck.v1 import system_service_pb2 as system_pb

MODULES: list[Any] = [
    book_service_pb2,
    exchange_service_pb2,
    journal_service_pb2,
    observe_service_pb2,
    operation_service_pb2,
    recovery_service_pb2,
    replay_service_pb2,
    system_service_pb2,
    worker_service_pb2,
]
SEED = int(os.environ.get("TICKDECK_FUZZ_SEED", "1"))
REQUESTS = int(os.environ.get("TICKDECK_FUZZ_REQUESTS", "12"))
"""For each method; more of them in a soak."""
TEXTS = [
    "",
    "XNAS",
    NAME,
    "exchanges/NOPE",
    "exchanges/../../etc/passwd",
    "workers/XNAS-rx",
    "operations/1",
    "*",
    "\x00\x1b[2J",
    "ä" * 300,
    "9" * 30,
    "a/b/c/d",
    exchange_toml(),
    "name = ",
]
NUMBERS = [0, 1, 2, 7, 1000, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, -1, -(2**31), -(2**63)]
CALL_LIMIT_S = 0.5
"""A call that waits for something is ended so."""


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange and a fake journal binary."""
    FakeJournal(tmp_path / "native")
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


def unary_methods() -> list[d.MethodDescriptor]:
    """Every unary method of every service."""
    services = [
        service
        for module in MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        if service.full_name.startswith("tickdeck.")
    ]
    return [m for service in services for m in service.methods if not m.server_streaming]


def number_of(field: d.FieldDescriptor, draw: random.Random) -> int:
    """A number that the field can hold."""
    low, high = {
        d.FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        d.FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        d.FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        d.FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
        d.FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    }[field.cpp_type]
    return max(low, min(high, draw.choice(NUMBERS)))


def value_of(field: d.FieldDescriptor, draw: random.Random, depth: int) -> object:
    """A value for a field; of a message, a filled one."""
    match field.cpp_type:
        case d.FieldDescriptor.CPPTYPE_MESSAGE:
            assert field.message_type is not None
            message = message_factory.GetMessageClass(field.message_type)()
            fill(message, draw, depth + 1)
            return message
        case d.FieldDescriptor.CPPTYPE_STRING:
            text = draw.choice(TEXTS)
            return text.encode() if field.type == d.FieldDescriptor.TYPE_BYTES else text
        case d.FieldDescriptor.CPPTYPE_BOOL:
            return draw.random() < 0.5
        case d.FieldDescriptor.CPPTYPE_DOUBLE | d.FieldDescriptor.CPPTYPE_FLOAT:
            return draw.choice([0.0, -1.0, 1e308, float("inf"), float("nan")])
        case _:
            return number_of(field, draw)


def fill(message: Message, draw: random.Random, depth: int = 0) -> None:
    """Give some of the fields of a message a value."""
    for field in cast("list[d.FieldDescriptor]", message.DESCRIPTOR.fields):
        if draw.random() < 0.4 or depth > 4 or is_map(field):
            continue
        value = value_of(field, draw, depth)
        if field.is_repeated:
            getattr(message, field.name).extend([value] * draw.choice([1, 1, 2, 40]))
        elif field.cpp_type == d.FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)


def is_map(field: d.FieldDescriptor) -> bool:
    """Whether a field is a map; no request has one that matters here."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def request_of(method: d.MethodDescriptor, draw: random.Random) -> bytes:
    """A request of the method's type."""
    message = message_factory.GetMessageClass(method.input_type)()
    fill(message, draw)
    return message.SerializeToString()


def damaged(request: bytes, draw: random.Random) -> bytes:
    """The request with other bytes, or cut short."""
    changed = bytearray(request or b"\x0a\x01a")
    for _ in range(1 + draw.randrange(3)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.randrange(1, len(changed) + 1)])


async def code_of(served: Served, path: str, request: bytes) -> tuple[grpc.StatusCode, str]:
    """What the call came to."""
    try:
        async with asyncio.timeout(CALL_LIMIT_S):
            await raw_call(served, path, request)
    except TimeoutError:
        return grpc.StatusCode.DEADLINE_EXCEEDED, ""
    except aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def assert_answered(
    served: Served, make: Callable[[d.MethodDescriptor, random.Random], bytes]
) -> int:
    """Send requests to every method; the number of those that were accepted."""
    accepted = 0
    for method in unary_methods():
        draw = random.Random(f"{SEED} {method.full_name}")
        path = f"/{method.containing_service.full_name}/{method.name}"
        for number in range(REQUESTS):
            request = make(method, draw)
            code, text = await code_of(served, path, request)
            told = f"TICKDECK_FUZZ_SEED={SEED}, {path} number {number}: {request.hex()}: {text}"
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), told
            accepted += code is grpc.StatusCode.OK
    await served.system.GetServerInfo(system_pb.GetServerInfoRequest())
    return accepted


async def test_any_well_formed_request_is_answered(served: Served) -> None:
    """Odd values in every field of every method: an answer, or an error that was foreseen."""
    assert await assert_answered(served, request_of) > 0


async def test_damaged_requests_are_answered(served: Served) -> None:
    """Bytes that may be no message at all; the exchange is what it was or is gone by a request."""
    before = await get_exchange(served)
    await assert_answered(served, lambda method, draw: damaged(request_of(method, draw), draw))
    assert before.name == NAME
