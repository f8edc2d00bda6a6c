"""Frames and messages of TICKDECK/1; native/crates/export/src/message.rs describes every byte."""

import struct
from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple

from tickdeck_subscriber.errors import StreamError

HELLO, AUTH, AUTH_OK, SUBSCRIBE, SUB_OK, ERR, DATA, HEARTBEAT, GAP, ACK, GOODBYE = range(1, 12)
VERSION: Final = 1
TRANSPORT, HMAC = 1, 2
MAC_LEN: Final = 32
PRUNED, WRONG_LOG, FORKED, BUSY, DENIED, UNKNOWN_VERSION = range(1, 7)
GAP_REASONS: Final = {1: "pruned", 2: "policy", 3: "corrupt", 4: "journal_hole"}
GUARANTEES: Final = {"durable": 1, "written": 2}

_HEADER = struct.Struct("<IBBHQI")
_MAX_PAYLOAD: Final = (1 << 20) + 128
_HELLO = struct.Struct("<HHB3xQ16s32s")
_SUB_OK = struct.Struct("<QQQQIIII")


class Frame(NamedTuple):
    """A frame whose checksum is right."""

    kind: int
    seq: int
    payload: bytes


class Hello(NamedTuple):
    """The provider's first words."""

    oldest: int
    newest: int
    method: int
    epoch: int
    log_id: bytes
    nonce: bytes


class SubOk(NamedTuple):
    """The provider's agreement."""

    epoch: int
    first_available: int
    next_seq: int
    durable_seq: int
    window_bytes: int
    schema_id: int
    heartbeat_ms: int
    timeout_ms: int


def frame(kind: int, seq: int, payload: bytes) -> bytes:
    """The bytes of a frame."""
    head = _HEADER.pack(len(payload), kind, 0, 0, seq, 0)[:16]
    return head + struct.pack("<I", crc32c(payload, crc32c(head))) + payload


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        """Empty."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame, or None until more comes; raises StreamError."""
        if len(self._buffer) < _HEADER.size:
            return None
        length, kind, flags, zero, seq, stored = _HEADER.unpack_from(self._buffer)
        if length > _MAX_PAYLOAD or kind == 0 or flags or zero:
            raise StreamError(f"frame of type {kind} with {length} bytes, flags {flags}")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEADER.size : end])
        if stored != crc32c(payload, crc32c(bytes(self._buffer[:16]))):
            raise StreamError("a frame's checksum is wrong")
        del self._buffer[:end]
        return Frame(kind, seq, payload)


def parse_hello(payload: bytes) -> Hello:
    """HELLO, behind which the provider's name stands."""
    if len(payload) <= _HELLO.size:
        raise StreamError("HELLO is too short")
    return Hello._make(_HELLO.unpack_from(payload))


def parse_sub_ok(payload: bytes) -> SubOk:
    """SUB_OK."""
    if len(payload) != _SUB_OK.size:
        raise StreamError("SUB_OK has another length")
    return SubOk._make(_SUB_OK.unpack(payload))


def parse_sentence(payload: bytes) -> tuple[int, str]:
    """Code and words of ERR and GOODBYE."""
    if len(payload) < 5 or len(payload) != 5 + payload[4]:
        raise StreamError("a refusal has another length")
    text = payload[5:].decode("ascii", "replace")
    return int.from_bytes(payload[:2], "little"), "".join(
        c if c.isprintable() else "?" for c in text
    )


def signed_auth(nonce: bytes, client: str) -> bytes:
    """AUTH up to its MAC."""
    return struct.pack("<H2x32s", VERSION, nonce) + bytes([len(client)]) + client.encode("ascii")


def _crc32c_table() -> list[int]:
    table: list[int] = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def slow_crc32c(data: bytes, value: int = 0) -> int:
    """CRC32C without help: some MB/s."""
    table, crc = _TABLE, value ^ 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _pick_crc32c() -> Callable[[bytes, int], int]:
    try:
        extend: Callable[[int, bytes], int] = import_module("google_crc32c").extend
    except ImportError:
        return slow_crc32c
    return lambda data, value: extend(value, data)


_TABLE: Final = _crc32c_table()
_fast_crc32c = _pick_crc32c()


def crc32c(data: bytes, value: int = 0) -> int:
    """CRC32C of ``data``, going on from ``value``."""
    return _fast_crc32c(data, value)


def masked_crc32c(data: bytes) -> int:
    """As journals store it: rotated and shifted."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
