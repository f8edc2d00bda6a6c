"""An exporter of a made-up log on a Unix socket, for subscribers; it can cut, refuse and lie."""

import asyncio
import hmac
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tickdeck_subscriber import wire

LOG = bytes([7]) * 16


def record(payload: bytes, kind: int = 1) -> bytes:
    """A record of the journal."""
    return struct.pack("<IBBHQQ", len(payload), kind, 0, 3, 42, 1_700_000_000_000_000_000) + payload


def block(
    base_seq: int, records: list[bytes], *, codec: int = 0, stored: bytes | None = None
) -> bytes:
    """A DATA block without padding."""
    raw = b"".join(records)
    payload = raw if stored is None else stored
    head = struct.pack(
        "<4sHHIIQIBBHQQQIII",
        b"TDBK", 1, 72, len(payload), len(raw), base_seq, len(records), codec, 1, 0, 0, 0, 0, 0, 0,
        wire.masked_crc32c(payload),
    )  # fmt: skip
    return head + struct.pack("<I", wire.masked_crc32c(head)) + payload


def data(base_seq: int, records: list[bytes]) -> bytes:
    """A DATA frame."""
    return wire.frame(wire.DATA, base_seq, block(base_seq, records))


def gap(first: int, last: int, reason: int) -> bytes:
    """A GAP frame."""
    return wire.frame(wire.GAP, first, struct.pack("<QB7x", last, reason))


def refusal(code: int, seq: int = 0) -> bytes:
    """An ERR frame."""
    return wire.frame(wire.ERR, seq, struct.pack("<H2x", code) + b"\x03why")


def hello(
    method: int = wire.TRANSPORT, versions: tuple[int, int] = (1, 1), log_id: bytes = LOG
) -> bytes:
    """A HELLO frame."""
    fields = struct.pack("<HHB3xQ16s32s", *versions, method, 1, log_id, bytes(32))
    return wire.frame(wire.HELLO, 0, fields + b"\x04fake")


def sub_ok(first: int) -> bytes:
    """A SUB_OK frame."""
    return wire.frame(
        wire.SUB_OK, first, struct.pack("<QQQQIIII", 1, 1, 9, 9, 1 << 20, 1, 1000, 5000)
    )


@dataclass
class FakeExporter:
    """Serves ``frames`` by sequence; what is said to it is kept."""

    path: Path
    frames: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Frames by the first sequence behind them."""
    method: int = wire.TRANSPORT
    log_id: bytes = LOG
    key: bytes = b""
    proof: bytes | None = None
    """The MAC of AUTH_OK, when it is to be another one than the right one."""
    cuts: list[int] = field(default_factory=list[int])
    """Each connection, while there is one, ends after so many bytes of data."""
    cut_at_ack: int = 0
    """Such an end waits for this acknowledgement."""
    refusals: list[bytes] = field(default_factory=list[bytes])
    """Each SUBSCRIBE, while there is one, is answered with this."""
    strangers: list[bytes] = field(default_factory=list[bytes])
    """Each connection, while there is one, is told this and nothing else."""
    is_tcp: bool = False
    """On the loopback interface, where nothing proves who it is, instead of the Unix socket."""
    starts: list[int] = field(default_factory=list[int])
    acks: list[int] = field(default_factory=list[int])
    violations: list[str] = field(default_factory=list[str])
    kinds: list[int] = field(default_factory=list[int])
    epochs: list[int] = field(default_factory=list[int])
    """Of each SUBSCRIBE."""
    heard: bytes = b""

    @property
    def endpoint(self) -> str:
        """Where to connect."""
        if self.is_tcp:
            host, port = self._server.sockets[0].getsockname()
            return f"{host}:{port}"
        return f"unix:{self.path}"

    async def __aenter__(self) -> Self:
        if self.is_tcp:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        else:
            self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(_Frames(self, reader), writer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    async def _converse(self, frames: "_Frames", writer: asyncio.StreamWriter) -> None:
        if self.strangers:
            writer.write(self.strangers.pop(0))
            await writer.drain()
            while True:
                await frames.next()
        greeting = hello(self.method, log_id=self.log_id)
        writer.write(greeting)
        auth = (await frames.next()).payload
        session = struct.pack("<Q", 5)
        parts = [greeting[20:], auth[:-32], b""]
        said = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        mac = (
            hmac.digest(self.key, b"tickdeck1 s" + said + session, "sha256")
            if self.key
            else bytes(32)
        )
        if self.key and auth[-32:] != hmac.digest(self.key, b"tickdeck1 c" + said, "sha256"):
            writer.write(refusal(wire.DENIED))
            return
        writer.write(wire.frame(wire.AUTH_OK, 0, session + b"\x00" + (self.proof or mac)))
        subscribe = await frames.next()
        self.epochs.append(struct.unpack_from("<Q", subscribe.payload, 8)[0])
        if self.refusals:
            writer.write(self.refusals.pop(0))
            return
        first = max(subscribe.seq, 1)
        self.starts.append(first)
        writer.write(sub_ok(first))
        stream = b"".join(self.frames[seq] for seq in sorted(self.frames) if seq > first)
        if self.cuts:
            writer.write(stream[: self.cuts.pop(0)])
            await writer.drain()
            while (self.acks or [0])[-1] < self.cut_at_ack:
                await self._hear(frames, first)
            return
        writer.write(stream)
        while not self.violations:
            await self._hear(frames, first)

    async def _hear(self, frames: "_Frames", first: int) -> None:
        frame = await frames.next()
        if frame.kind == wire.ACK and frame.seq < first - 1:
            self.violations.append(f"ACK of {frame.seq} after {first - 1}")
        elif frame.kind == wire.ACK:
            self.acks.append(frame.seq)


class _Frames:
    def __init__(self, exporter: FakeExporter, reader: asyncio.StreamReader) -> None:
        self._exporter = exporter
        self._reader = reader
        self._frames = wire.FrameReader()

    async def next(self) -> wire.Frame:
        while (frame := self._frames.next()) is None:
            heard = await self._reader.read(4_096)
            if not heard:
                raise EOFError
            self._exporter.heard += heard
            self._frames.feed(heard)
        self._exporter.kinds.append(frame.kind)
        return frame
