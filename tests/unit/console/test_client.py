"""Every failure of a call becomes a message for people and an exit code for scripts."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest

from fake_tickdeckd import FakeDaemon, RefusalError
from tickdeck.v1.exchange_service_pb2 import GetExchangeRequest
from tickdeck.v1.observe_service_pb2 import WatchEventsRequest, WatchEventsResponse
from tickdeck.v1.system_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from tickdeck_console.client import NO_ANSWER, Client, default_target, reading
from tickdeck_console.errors import CommandError, ExitCode

INFO = GetServerInfoRequest()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, ExitCode.NOT_FOUND),
        (grpc.StatusCode.INVALID_ARGUMENT, ExitCode.USAGE),
        (grpc.StatusCode.ALREADY_EXISTS, ExitCode.REFUSED),
        (grpc.StatusCode.FAILED_PRECONDITION, ExitCode.REFUSED),
        (grpc.StatusCode.ABORTED, ExitCode.REFUSED),
        (grpc.StatusCode.PERMISSION_DENIED, ExitCode.REFUSED),
        (grpc.StatusCode.INTERNAL, ExitCode.FAILED),
        (grpc.StatusCode.UNAVAILABLE, ExitCode.FAILED),
    ],
)
async def test_errors_of_the_daemon(
    fake_daemon: FakeDaemon, code: grpc.StatusCode, exit_code: ExitCode
) -> None:
    """The code decides the exit code; a reason proves that the daemon itself answered."""
    fake_daemon.answers["GetExchange"] = RefusalError(code, "no exchange X", "SOME_REASON")
    fake_daemon.start()
    async with Client(fake_daemon.target) as client:
        with pytest.raises(CommandError) as caught:
            await client.exchange.GetExchange(GetExchangeRequest(name="exchanges/X"))
    assert caught.value.exit_code is exit_code
    assert caught.value.message == "no exchange X"
    assert caught.value.reason == "SOME_REASON"


async def test_violations_name_their_fields(fake_daemon: FakeDaemon) -> None:
    """A broken file is told with every place that is wrong."""
    fake_daemon.answers["GetServerInfo"] = RefusalError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "2 problems",
        "INVALID_CONFIG",
        (("line[0].group", "no multicast group"), ("recvry", "did you mean recovery?")),
    )
    fake_daemon.start()
    async with Client(fake_daemon.target) as client:
        with pytest.raises(CommandError) as caught:
            await client.system.GetServerInfo(INFO)
    assert caught.value.message.splitlines() == [
        "2 problems",
        "  line[0].group: no multicast group",
        "  recvry: did you mean recovery?",
    ]


async def test_an_absent_daemon(fake_daemon: FakeDaemon) -> None:
    """The message says where was looked, and what to do."""
    async with Client(str(fake_daemon.socket)) as client:
        with pytest.raises(CommandError) as caught:
            await client.system.GetServerInfo(INFO)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert str(fake_daemon.socket) in caught.value.message
    assert "tickdeck daemon" in caught.value.hint


async def test_a_hanging_daemon(fake_daemon: FakeDaemon) -> None:
    """A deadline ends the wait, and hanging is told from being absent."""

    def hang(_: object) -> GetServerInfoResponse:
        fake_daemon.stopping.wait(10)
        return GetServerInfoResponse()

    fake_daemon.answers["GetServerInfo"] = hang
    fake_daemon.start()
    async with Client(fake_daemon.target) as client:
        with pytest.raises(CommandError) as caught:
            await client.system.GetServerInfo(INFO, timeout=0.2)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert caught.value.reason == NO_ANSWER


async def test_a_stream_that_breaks(fake_daemon: FakeDaemon) -> None:
    """Errors within a stream are mapped as those of a call."""
    fake_daemon.answers["WatchEvents"] = RefusalError(
        grpc.StatusCode.OUT_OF_RANGE, "cursor 1 is gone", "CURSOR_EXPIRED"
    )
    fake_daemon.start()
    async with (
        Client(fake_daemon.target) as client,
        reading(client.observe.WatchEvents(WatchEventsRequest())) as messages,
    ):
        with pytest.raises(CommandError, match="cursor 1 is gone"):
            await anext(messages)


async def test_leaving_a_stream_cancels_it(fake_daemon: FakeDaemon) -> None:
    """The daemon is not left with a reader that reads no more."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(_: object) -> object:
        try:
            while not fake_daemon.stopping.wait(0.01):
                yield WatchEventsResponse(next_seq=1)
        finally:
            loop.call_soon_threadsafe(ended.set)

    fake_daemon.answers["WatchEvents"] = endless
    fake_daemon.start()
    async with Client(fake_daemon.target) as client:
        async with reading(client.observe.WatchEvents(WatchEventsRequest())) as messages:
            async for message in messages:
                assert message.next_seq == 1
                break
        async with asyncio.timeout(60):
            await ended.wait()


def test_default_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The socket is found where the daemon puts it."""
    for name in ("TICKDECK_SOCKET", "TICKDECK_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_target() == "unix:/run/tickdeck/tickdeckd.sock"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert default_target() == "unix:/tmp/tickdeck-1000/tickdeck/tickdeckd.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert default_target() == "unix:/run/user/1000/tickdeck/tickdeckd.sock"
    monkeypatch.setenv("TICKDECK_RUNTIME_DIR", str(tmp_path))
    assert default_target() == f"unix:{tmp_path}/tickdeckd.sock"
    monkeypatch.setenv("TICKDECK_SOCKET", "/elsewhere/d.sock")
    assert default_target() == "unix:/elsewhere/d.sock"
    monkeypatch.setenv("TICKDECK_SOCKET", "host:7443")
    assert default_target() == "host:7443"
