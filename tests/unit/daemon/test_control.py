"""The control client against a scripted worker: answers, faults, time."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fake_plant import private_directory, until
from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TickdeckError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.workers.control import ANSWER_LENGTH_MAX, ControlClient, ControlProtocolError

HELLO = b'{"hello":1,"worker":"X-rx","incarnation":"i","build_id":"b","ops":["a"]}\n'
Answer = Callable[[dict[str, Any]], bytes | None]


def ok(request: dict[str, Any], result: object = None) -> bytes:
    return json.dumps({"id": request["id"], "ok": True, "result": result or {}}).encode() + b"\n"


class Scripted:
    """A worker that says hello and then answers as the test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hello = HELLO
        self.answer: Answer = ok
        self.requests: list[dict[str, Any]] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self.hello)
        while line := await reader.readline():
            request = json.loads(line)
            self.requests.append(request)
            answer = self.answer(request)
            if answer is None:
                break
            writer.write(answer)
        writer.close()

    async def client(self) -> ControlClient:
        return await ControlClient.connect(self.path, timeout_s=60)


@pytest.fixture
async def worker() -> AsyncIterator[Scripted]:
    with private_directory() as directory:
        scripted = Scripted(directory / "control.sock")
        server = await asyncio.start_unix_server(scripted.serve, scripted.path)
        yield scripted
        server.close()
        for writer in scripted.writers:
            writer.close()


async def fails(call: Awaitable[object]) -> TickdeckError:
    with pytest.raises(TickdeckError) as caught:
        await call
    return caught.value


async def test_hello_names_the_peer(worker: Scripted) -> None:
    """The hello is kept, with the pid that the kernel tells, not the worker."""
    client = await worker.client()
    assert (client.hello.worker, client.hello.incarnation) == ("X-rx", "i")
    assert client.hello.ops == ("a",)
    assert client.hello.pid == os.getpid()
    await client.close()


async def test_request_has_the_documented_form(worker: Scripted) -> None:
    """One line with id, op, args and the deadline in milliseconds."""
    client = await worker.client()
    assert await client.call("journal.seal", {"n": 1}, timeout_s=60) == {}
    (request,) = worker.requests
    assert request.pop("id")
    assert request == {"op": "journal.seal", "args": {"n": 1}, "deadline_ms": 60_000}
    await client.close()


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 0])
async def test_integers_are_exact(worker: Scripted, number: int) -> None:
    """Every 64-bit integer survives both ways."""
    worker.answer = lambda request: ok(request, request["args"])
    client = await worker.client()
    assert await client.call("echo", {"n": [number]}, timeout_s=60) == {"n": [number]}
    await client.close()


@pytest.mark.parametrize("args", [{"x": 1.5}, {"x": [{"y": float("nan")}]}, {"x": (1, 2.0)}])
async def test_floats_are_refused_before_they_are_sent(
    worker: Scripted, args: dict[str, Any]
) -> None:
    """A float in the arguments is our fault and reaches nobody."""
    client = await worker.client()
    assert isinstance(await fails(client.call("a", args, timeout_s=60)), InvalidError)
    assert worker.requests == []
    assert await client.call("a", timeout_s=60) == {}
    await client.close()


async def test_arguments_that_are_no_json_or_too_long(worker: Scripted) -> None:
    """They are refused here, and the connection stays good."""
    client = await worker.client()
    for args in ({"x": object()}, {"x": "y" * 70_000}):
        assert isinstance(await fails(client.call("a", args, timeout_s=60)), InvalidError)
    assert await client.call("a", timeout_s=60) == {}
    await client.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("WRONG_STATE", WrongStateError),
        ("NOT_FOUND", NotFoundError),
        ("INVALID_ARGS", InvalidError),
        ("UNKNOWN_OP", InvalidError),
        ("BUSY", UnavailableError),
        ("RESOURCE_EXHAUSTED", UnavailableError),
        ("DEADLINE_EXCEEDED", TimedOutError),
        ("SOMETHING_NEW", TickdeckError),
    ],
)
async def test_refusals_keep_code_and_message(
    worker: Scripted, code: str, kind: type[TickdeckError]
) -> None:
    """A worker's error becomes ours, with its code as the reason and its words in the text."""
    error = {"code": code, "message": "journal not open"}
    worker.answer = lambda request: (
        json.dumps({"id": request["id"], "ok": False, "error": error}).encode() + b"\n"
    )
    client = await worker.client()
    caught = await fails(client.call("a", timeout_s=60))
    assert type(caught) is kind
    assert caught.reason == code
    assert "X-rx refused a: journal not open" in caught.message
    assert not client.closed
    await client.close()


async def test_answers_out_of_order_reach_their_calls(worker: Scripted) -> None:
    """Calls overlap; each gets the answer with its id."""
    held: list[bytes] = []

    def swap(request: dict[str, Any]) -> bytes:
        held.append(ok(request, {"op": request["op"]}))
        return b"" if len(held) == 1 else held[1] + held[0]

    worker.answer = swap
    client = await worker.client()
    results = await asyncio.gather(
        client.call("one", timeout_s=60), client.call("two", timeout_s=60)
    )
    assert results == [{"op": "one"}, {"op": "two"}]
    await client.close()


async def test_timeout_and_its_late_answer(worker: Scripted) -> None:
    """A call gives up in time; its late answer is dropped and hurts no other call."""
    late: list[bytes] = []

    def slow(request: dict[str, Any]) -> bytes:
        if request["op"] == "slow":
            late.append(ok(request))
            return b""
        return b"".join(late) + ok(request, {"op": request["op"]})

    worker.answer = slow
    client = await worker.client()
    caught = await fails(client.call("slow", timeout_s=0.05))
    assert isinstance(caught, TimedOutError)
    assert "slow within 0.05 s" in caught.message
    assert await client.call("quick", timeout_s=60) == {"op": "quick"}
    assert not client.closed
    await client.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"<ok><ok>",
        b'{"id":"nobody","ok":true}\n<ok>',
        b'{"ok":true}\n',
        b"[1]\n",
        b"no json\n",
        b'{"id":"' + b"x" * (ANSWER_LENGTH_MAX + 10) + b'"}\n',
        b'{"id":"<id>","ok":true,"result":{"price":1.5}}\n',
        b'{"id":"<id>","ok":true,"result":{"price":NaN}}\n',
        b'{"x":' + b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
async def test_broken_protocol_closes_the_connection(worker: Scripted, sent: bytes) -> None:
    """A second answer, an answer to nobody, no JSON, a float, an endless line: what follows
    cannot be trusted, so the connection is closed and later calls say so at once."""
    worker.answer = lambda request: sent.replace(b"<ok>", ok(request)).replace(
        b"<id>", str(request["id"]).encode()
    )
    client = await worker.client()
    with suppress(ControlProtocolError):
        await client.call("a", timeout_s=60)
    await until(lambda: client.closed)
    assert isinstance(await fails(client.call("b", timeout_s=60)), ControlProtocolError)
    assert [request["op"] for request in worker.requests] == ["a"]
    await client.close()


async def test_worker_that_hangs_up_fails_all_calls(worker: Scripted) -> None:
    """Every call under way ends at once with an error that says why."""
    worker.answer = lambda request: b"" if request["op"] == "wait" else None
    client = await worker.client()
    waiting = asyncio.create_task(client.call("wait", timeout_s=60))
    await asyncio.sleep(0)
    first = await fails(client.call("bye", timeout_s=60))
    second = await fails(waiting)
    assert first is not second
    for error in (first, second):
        assert error.reason == "CONTROL_CLOSED"
    await client.close()


async def test_close_fails_calls_under_way(worker: Scripted) -> None:
    """Closing our end does not leave a caller hanging."""
    worker.answer = lambda request: b""
    client = await worker.client()
    waiting = asyncio.create_task(client.call("wait", timeout_s=60))
    await until(lambda: worker.requests)
    await client.close()
    assert isinstance(await fails(waiting), UnavailableError)
    await client.close()


async def test_nobody_listens(tmp_path: Path) -> None:
    """A socket that is not there, or that nobody serves, is unavailable and names the path."""
    caught = await fails(ControlClient.connect(tmp_path / "none.sock", timeout_s=60))
    assert caught.reason == "CONTROL_UNREACHABLE"
    assert "none.sock" in caught.message


@pytest.mark.parametrize(
    "hello", [b"{}\n", b'{"hello":2}\n', b'{"hello":1,"worker":"x"}\n', b"hi\n"]
)
async def test_wrong_hello(worker: Scripted, hello: bytes) -> None:
    """Another version or no hello at all: no client, and the reason is told."""
    worker.hello = hello
    assert isinstance(await fails(worker.client()), ControlProtocolError)


async def test_silent_worker_at_the_hello(worker: Scripted) -> None:
    """A worker that accepts and says nothing costs no more than the timeout."""
    worker.hello = b""
    caught = await fails(ControlClient.connect(worker.path, timeout_s=0.05))
    assert isinstance(caught, TimedOutError)
