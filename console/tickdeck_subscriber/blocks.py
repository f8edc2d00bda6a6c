"""Records of a journal block (RELIABILITY sections 6.4 and 6.5)."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Final

from tickdeck_subscriber.errors import MissingDecoderError, StreamError
from tickdeck_subscriber.wire import masked_crc32c

KINDS: Final = {
    1: "data",
    2: "gap_open",
    3: "gap_filled",
    4: "gap_lost",
    5: "session",
    6: "snapshot_anchor",
    7: "clock_step",
    8: "export_hole",
    9: "journal_hole",
    10: "config_hash",
    11: "snapshot_begin",
    12: "snapshot_data",
    13: "snapshot_end",
    14: "gap_row",
    15: "gap_note",
}
_HEAD = struct.Struct("<8sIIQIBBH8x8x8xIIII")
_RECORD = struct.Struct("<IBBHQQ")
_BEGIN: Final = b"TDBK\x01\x00\x48\x00"
_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the journal."""

    seq: int
    kind: str
    stamp: int
    line: int
    channel: int
    venue_seq: int
    rx_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A checked block."""

    base_seq: int
    count: int
    codec: int
    raw_len: int
    stored: bytes

    @property
    def next_seq(self) -> int:
        """The sequence behind it, if its last record is no hole."""
        return self.base_seq + self.count

    def records(self) -> Iterator[Record]:
        """The records; raises StreamError when the payload is not exactly they."""
        raw, at = _unpack(self.codec, self.stored, self.raw_len), 0
        for seq in range(self.base_seq, self.next_seq):
            if at + _RECORD.size > len(raw):
                raise StreamError(f"record {seq} is cut")
            length, kind, line, channel, venue_seq, rx_ns = _RECORD.unpack_from(raw, at)
            at += _RECORD.size + length
            if at > len(raw) or not kind & 63:
                raise StreamError(f"record {seq} is cut or has no type")
            name = KINDS.get(kind & 63, "unknown")
            payload = raw[at - length : at]
            yield Record(seq, name, kind >> 6, line, channel, venue_seq, rx_ns, payload)
        if at != len(raw):
            raise StreamError(f"{len(raw) - at} bytes behind the records of block {self.base_seq}")


def parse_block(data: bytes) -> Block:
    """A DATA block as a journal stores it, without padding."""
    if len(data) < _HEAD.size or not data.startswith(_BEGIN):
        raise StreamError("not a journal block of version 1")
    head = _HEAD.unpack_from(data)
    _, stored_len, raw_len, base_seq, count, codec, flags, _, _, _, payload_crc, header_crc = head
    stored = data[_HEAD.size :]
    if header_crc != masked_crc32c(data[:68]) or payload_crc != masked_crc32c(stored):
        raise StreamError(f"a checksum of block {base_seq} is wrong")
    is_good = stored_len == len(stored) <= _MAX and raw_len <= _MAX and flags == 1
    if not is_good or not base_seq or not count:
        raise StreamError(f"block {base_seq} has fields out of range")
    return Block(base_seq, count, codec, raw_len, stored)


def _unpack(codec: int, stored: bytes, raw_len: int) -> bytes:
    if codec == 0:
        raw = stored
    elif codec in _DECODERS:
        module, decode = _DECODERS[codec]
        try:
            decoder = import_module(module)
        except ImportError:
            raise MissingDecoderError(
                f"blocks are compressed, {module} is missing: pip install 'tickdeck[subscriber]'"
            ) from None
        try:
            raw = decode(decoder, stored, raw_len)
        except Exception as error:
            raise StreamError(f"a compressed block cannot be read: {error}") from error
    else:
        raise StreamError(f"codec {codec} is not known")
    if len(raw) != raw_len:
        raise StreamError(f"a block has {len(raw)} bytes, its header says {raw_len}")
    return raw


def _lz4(module: ModuleType, stored: bytes, raw_len: int) -> bytes:
    return bytes(module.decompress(stored, uncompressed_size=raw_len))


def _zstd(module: ModuleType, stored: bytes, raw_len: int) -> bytes:
    return bytes(module.decompress(stored, max_output_size=raw_len))


_DECODERS: Final[dict[int, tuple[str, Callable[[ModuleType, bytes, int], bytes]]]] = {
    1: ("lz4.block", _lz4),
    2: ("zstandard", _zstd),
}
