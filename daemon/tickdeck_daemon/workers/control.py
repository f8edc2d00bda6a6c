"""The control socket of a worker: JSON lines, one answer for each request.

    worker: {"hello":1,"worker":"XNAS-rx","incarnation":"...","build_id":"...","ops":[...]}
    daemon: {"id":"7c1e...","op":"journal.seal","args":{},"deadline_ms":2000}
    worker: {"id":"7c1e...","ok":true,"generation":412,"result":{"segment":118}}
    worker: {"id":"7c1f...","ok":false,"error":{"code":"WRONG_STATE","message":"..."}}

Lines are UTF-8, integers are exact, there are no floats: neither side may round a sequence or
a price. Requests may overlap; answers are matched by id. A line that breaks these rules closes
the connection and fails every call on it, because what follows cannot be trusted.
"""

import asyncio
import contextlib
import json
import socket
import struct
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TickdeckError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)

REQUEST_LENGTH_MAX = 64 * 1024
"""Longest request line, in bytes, with its newline."""
ANSWER_LENGTH_MAX = 1024 * 1024
"""Longest answer line, in bytes; a depth query of a deep book is long."""

_LATE_IDS_MAX = 1024
"""Calls given up whose answers may still come."""


class ControlProtocolError(UnavailableError):
    """The worker did not keep to the protocol; the connection is closed."""

    default_reason = "CONTROL_PROTOCOL"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line of a worker."""

    worker: str
    incarnation: str
    build_id: str
    ops: tuple[str, ...]
    pid: int
    """Of the peer, told by the kernel (SO_PEERCRED)."""


class ControlClient:
    """One connection to a worker; closed for good by the first fault of either side."""

    def __init__(
        self, path: Path, hello: Hello, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take over a connection whose hello was read; use `connect`."""
        self.hello = hello
        self._path = path
        self._writer = writer
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._late: deque[str] = deque(maxlen=_LATE_IDS_MAX)
        self._failure: UnavailableError | None = None
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def connect(cls, path: Path, *, timeout_s: float) -> "ControlClient":
        """Connect and read the hello.

        Raises:
            TimedOutError: no hello within `timeout_s`.
            UnavailableError: nobody listens.
            ControlProtocolError: the first line is no hello.
        """
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LENGTH_MAX)
                hello = _hello(await _line(reader, path), _peer_pid(writer), path)
        except TimeoutError as error:
            _abandon(writer)
            text = f"no hello from {path} within {timeout_s:g} s"
            raise TimedOutError(text, reason="CONTROL_TIMEOUT") from error
        except OSError as error:
            _abandon(writer)
            raise UnavailableError(f"{path}: {error}", reason="CONTROL_UNREACHABLE") from error
        except BaseException:
            _abandon(writer)
            raise
        return cls(path, hello, reader, writer)

    @property
    def closed(self) -> bool:
        """No call can succeed any more."""
        return self._failure is not None

    async def call(
        self, op: str, args: Mapping[str, Any] | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        """Send one request and return the `result` of its answer.

        After a timeout the request may still take effect; its late answer is dropped.

        Raises:
            InvalidError: the arguments hold a float or are too long.
            TimedOutError: no answer within `timeout_s`.
            UnavailableError: the connection was or gets closed.
            TickdeckError: the worker refused; its code is the reason.
        """
        if self._failure is not None:
            raise _again(self._failure)
        call_id = uuid.uuid4().hex
        line = _request(call_id, op, args or {}, timeout_s)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(line)
                await self._writer.drain()
                answer = await future
        except TimeoutError as error:
            text = f"{self.hello.worker} did not answer {op} within {timeout_s:g} s"
            raise TimedOutError(text, reason="CONTROL_TIMEOUT", metadata={"op": op}) from error
        except OSError as error:
            self._fail(UnavailableError(f"{self._path}: {error}", reason="CONTROL_CLOSED"))
            raise UnavailableError(f"{self._path}: {error}", reason="CONTROL_CLOSED") from error
        finally:
            if self._waiting.pop(call_id, None) is not None:
                self._late.append(call_id)
        return _result(answer, self.hello.worker, op)

    def abort(self) -> None:
        """Close at once; calls under way fail."""
        self._fail(UnavailableError("the connection was closed", reason="CONTROL_CLOSED"))
        self._reading.cancel()

    async def close(self) -> None:
        """Close and wait until nothing of it is left. Closing again does nothing."""
        self.abort()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(await _line(reader, self._path))
        except UnavailableError as error:
            self._fail(error)
        except OSError as error:
            self._fail(UnavailableError(f"{self._path}: {error}", reason="CONTROL_CLOSED"))

    def _take(self, answer: dict[str, Any]) -> None:
        """Give an answer to its call; an answer that nobody asked for is a fault."""
        call_id = answer.get("id")
        if not isinstance(call_id, str):
            raise _broken(f"{self._path}: an answer without id")
        future = self._waiting.pop(call_id, None)
        if future is not None:
            if not future.done():
                future.set_result(answer)
        elif call_id in self._late:
            self._late.remove(call_id)
        else:
            raise _broken(f"{self._path}: a second answer, or one nobody asked for ({call_id})")

    def _fail(self, failure: UnavailableError) -> None:
        if self._failure is None:
            self._failure = failure
            _abandon(self._writer)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_again(failure))
        self._waiting.clear()


def _request(call_id: str, op: str, args: Mapping[str, Any], timeout_s: float) -> bytes:
    request = {"id": call_id, "op": op, "args": args, "deadline_ms": max(1, int(timeout_s * 1000))}
    if _has_float(args):
        text = f"{op}: the control socket takes integers only, no floats"
        raise InvalidError(violations=[("args", text)], reason="FLOAT_ARGUMENT")
    try:
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError) as error:
        text = f"{op}: arguments that are no JSON: {error}"
        raise InvalidError(violations=[("args", text)], reason="BAD_ARGUMENT") from error
    if len(line) > REQUEST_LENGTH_MAX:
        text = f"{op}: a request of {len(line)} bytes; at most {REQUEST_LENGTH_MAX} are taken"
        raise InvalidError(violations=[("args", text)], reason="REQUEST_TOO_LONG")
    return line


def _has_float(value: object) -> bool:
    match value:
        case float():
            return True
        case dict():
            return any(_has_float(v) for v in cast(dict[str, object], value).values())
        case list() | tuple():
            return any(_has_float(v) for v in cast(list[object], value))
        case _:
            return False


async def _line(reader: asyncio.StreamReader, path: Path) -> dict[str, Any]:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise UnavailableError(
            f"{path}: the worker closed the connection", reason="CONTROL_CLOSED"
        ) from error
    except asyncio.LimitOverrunError as error:
        raise _broken(f"{path}: a line longer than {ANSWER_LENGTH_MAX} bytes") from error
    try:
        value: object = json.loads(line, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise _broken(f"{path}: a line that is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _broken(f"{path}: a line that is no JSON object")
    return cast(dict[str, Any], value)


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is no integer")


def _hello(value: dict[str, Any], pid: int, path: Path) -> Hello:
    if value.get("hello") != 1:
        raise _broken(f"{path}: the first line is no hello of version 1")
    try:
        ops = tuple(str(op) for op in value["ops"])
        return Hello(value["worker"], value["incarnation"], str(value["build_id"]), ops, pid)
    except (KeyError, TypeError) as error:
        raise _broken(f"{path}: a hello without {error}") from error


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    peer = cast(socket.socket, writer.get_extra_info("socket"))
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, _uid, _gid = struct.unpack("3i", credentials)
    return int(pid)


def _result(answer: dict[str, Any], worker: str, op: str) -> dict[str, Any]:
    if answer.get("ok") is True:
        result = answer.get("result")
        return cast(dict[str, Any], result) if isinstance(result, dict) else {}
    error = answer.get("error")
    facts = cast(dict[str, Any], error) if isinstance(error, dict) else {}
    code, message = str(facts.get("code", "UNKNOWN")), str(facts.get("message", "no reason given"))
    text = f"{worker} refused {op}: {message}"
    metadata = {"worker": worker, "op": op}
    match code:
        case "NOT_FOUND":
            raise NotFoundError(text, reason=code, metadata=metadata)
        case "INVALID_ARGS" | "UNKNOWN_OP":
            raise InvalidError(text, violations=[("args", message)], reason=code, metadata=metadata)
        case "WRONG_STATE":
            raise WrongStateError(text, reason=code, metadata=metadata)
        case "DEADLINE_EXCEEDED":
            raise TimedOutError(text, reason=code, metadata=metadata)
        case "UNAVAILABLE" | "BUSY" | "RESOURCE_EXHAUSTED":
            raise UnavailableError(text, reason=code, metadata=metadata)
        case _:
            raise TickdeckError(text, reason=code, metadata=metadata)


def _again(error: UnavailableError) -> UnavailableError:
    """A fresh copy: one exception raised in several tasks would mix their tracebacks."""
    return type(error)(error.message, reason=error.reason, metadata=error.metadata)


def _broken(text: str) -> ControlProtocolError:
    return ControlProtocolError(text)


def _abandon(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.transport.abort()
