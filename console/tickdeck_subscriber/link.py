"""One connection: the transport, both proofs, the subscription."""

import asyncio
import os
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tickdeck_subscriber import wire
from tickdeck_subscriber.errors import DeniedError, StreamError, WrongLogError
from tickdeck_subscriber.flow import Position
from tickdeck_subscriber.proof import Key, TlsContext, read_key


@dataclass(frozen=True)
class Settings:
    """Whom to connect to, and as whom."""

    endpoint: str
    client: str
    key_file: Path | str | None
    tls_ca: Path | str | None
    tls_cert: Path | str | None
    tls_key: Path | str | None
    server_name: str | None
    start: Literal["EARLIEST", "LIVE"] | int
    guarantee: Literal["durable", "written"]
    window_bytes: int


class RefusedError(Exception):
    """ERR in answer to SUBSCRIBE, so of an exporter that has proved itself."""

    def __init__(self, code: int, seq: int, text: str, epoch: int) -> None:
        """The code, its argument, the words, and the log's epoch."""
        super().__init__(f"refused ({code}, {seq}): {text}")
        self.seq = seq
        self.epoch = epoch
        self.is_fork = code == wire.FORKED and seq > 0
        self.is_pruned = code == wire.PRUNED


class Link:
    """A connection whose other side has proved who it is as soon as there is data."""

    def __init__(
        self,
        settings: Settings,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        exporter: bytes,
    ) -> None:
        """Made by ``open``."""
        self.log_id = b""
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._exporter = exporter
        self._frames = wire.FrameReader()
        self._proved: wire.Hello | None = None  # what the exporter said, once it is proved

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect; over TLS the certificate is verified before this returns."""
        if settings.endpoint.startswith("unix:"):
            path = settings.endpoint.removeprefix("unix:")
            return cls(settings, *await asyncio.open_unix_connection(path), b"")
        host, _, port = settings.endpoint.rpartition(":")
        host = host.strip("[]")
        if settings.tls_ca is None:
            return cls(settings, *await asyncio.open_connection(host, int(port)), b"")
        tls = TlsContext(settings.tls_ca, settings.tls_cert, settings.tls_key)
        try:
            name = settings.server_name or host
            streams = await asyncio.open_connection(
                host, int(port), ssl=tls.context, server_hostname=name
            )
            session = streams[1].get_extra_info("ssl_object")
            assert isinstance(session, ssl.SSLObject)
            needs_proof = settings.key_file is not None
            return cls(settings, *streams, tls.exporter(session) if needs_proof else b"")
        finally:
            tls.close()

    def close(self) -> None:
        """End it."""
        self._writer.close()

    def ack(self, seq: int) -> None:
        """Everything up to ``seq`` is ours."""
        if not self._writer.is_closing():
            self._writer.write(wire.frame(wire.ACK, seq, b""))

    async def next(self) -> wire.Frame:
        """The next frame of the data."""
        frame = await self._frame()
        if frame.kind in (wire.ERR, wire.GOODBYE):
            raise StreamError(f"it ended: {wire.parse_sentence(frame.payload)[1]}")
        return frame

    async def subscribe(self, at: Position | None) -> tuple[int, wire.SubOk]:
        """Both proofs, then the first sequence that comes behind ``at`` and what was agreed."""
        said = (await self._expect(wire.HELLO)).payload
        hello = wire.parse_hello(said)
        key = self._trusted_key(hello)
        auth = wire.signed_auth(os.urandom(32), self._settings.client)
        mac = key.client_mac(said, auth, self._exporter) if key else bytes(wire.MAC_LEN)
        self._writer.write(wire.frame(wire.AUTH, 0, auth + mac))
        ok = (await self._expect(wire.AUTH_OK)).payload
        session = int.from_bytes(ok[:8], "little")
        proof = ok[-wire.MAC_LEN :]
        if key and not key.is_server_mac(proof, said, auth, self._exporter, session):
            raise DeniedError("it did not prove that it has our key: not our exporter")
        if at is not None and at.log_id != hello.log_id:
            raise WrongLogError(
                f"it serves log {hello.log_id.hex()}, our position is of {at.log_id.hex()}"
            )
        self.log_id = hello.log_id
        self._proved = hello
        self._writer.write(self._subscription(at))
        frame = await self._expect(wire.SUB_OK)
        wanted = frame.seq if at is None else at.acked_seq + 1
        if frame.seq != wanted or frame.seq == 0:
            raise StreamError(f"asked for {wanted}, it gives {frame.seq}")
        return frame.seq, wire.parse_sub_ok(frame.payload)

    def _trusted_key(self, hello: wire.Hello) -> Key | None:
        """The key to prove, if any; nobody may talk us down to less proof than we can give."""
        settings = self._settings
        if not hello.oldest <= wire.VERSION <= hello.newest:
            raise DeniedError(
                f"it speaks versions {hello.oldest} to {hello.newest}, we {wire.VERSION}"
            )
        if hello.method == wire.HMAC:
            if settings.key_file is None or not settings.client:
                raise DeniedError("it wants a MAC: give client and key_file")
            return read_key(Path(settings.key_file), settings.client)
        if settings.key_file is not None:
            raise DeniedError("we have a key and it does not want to prove that it has it too")
        if hello.method != wire.TRANSPORT or not self._is_verified():
            raise DeniedError("nothing proves who it is: no key, and no verified transport")
        return None

    def _is_verified(self) -> bool:
        """TLS has verified it, or the kernel says that it is our own user or root."""
        peer = self._writer.get_extra_info("socket")
        if peer.family != socket.AF_UNIX:
            return self._writer.get_extra_info("ssl_object") is not None
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return uid in (0, os.geteuid())

    def _subscription(self, at: Position | None) -> bytes:
        start, seq, epoch, log_id = 1, 0, 0, bytes(16)
        if at is not None:
            seq, epoch, log_id = at.acked_seq + 1, at.epoch, at.log_id
        elif isinstance(self._settings.start, int):
            seq = self._settings.start
        else:
            start = 2 if self._settings.start == "EARLIEST" else 3
        guarantee = wire.GUARANTEES[self._settings.guarantee]
        fields = (start, guarantee, self._settings.window_bytes, epoch, log_id)
        return wire.frame(wire.SUBSCRIBE, seq, struct.pack("<BB2xIQ16s", *fields))

    async def _expect(self, kind: int) -> wire.Frame:
        """The next frame, which is of this kind; a refusal is told as such."""
        frame = await self._frame()
        if frame.kind == wire.ERR:
            raise self._refusal(frame)
        if frame.kind != kind:
            raise StreamError(f"frame type {frame.kind} where {kind} is due")
        return frame

    def _refusal(self, frame: wire.Frame) -> Exception:
        """Whoever has proved nothing neither takes anything back nor stops us for good."""
        code, text = wire.parse_sentence(frame.payload)
        is_denial = code in (wire.DENIED, wire.UNKNOWN_VERSION)
        if is_denial and (self._proved is not None or self._is_verified()):
            return DeniedError(text)
        if is_denial or self._proved is None:
            return StreamError(f"refused ({code}) before it proved who it is: {text}")
        if code == wire.WRONG_LOG:
            return WrongLogError(text)
        return RefusedError(code, frame.seq, text, self._proved.epoch)

    async def _frame(self) -> wire.Frame:
        while (frame := self._frames.next()) is None:
            data = await self._reader.read(256 * 1024)
            if not data:
                raise EOFError("the exporter closed the connection")
            self._frames.feed(data)
        return frame
