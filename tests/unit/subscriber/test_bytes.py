"""Frames, MACs and blocks against bytes that other implementations made."""

import struct
from importlib import import_module
from pathlib import Path

import pytest
import zstandard

from fake_exporter import block, record
from tickdeck_subscriber import (
    MissingDecoderError,
    StreamError,
    SubscriberError,
    blocks,
    proof,
    wire,
)

SECRET = bytes(range(32))


def test_frames_are_those_of_the_exporter() -> None:
    """Checksums of the golden frames in native/crates/export/tests/export/golden.rs."""
    seven = struct.pack("<Q", 7)
    ack = wire.frame(wire.ACK, 1_009, b"")
    assert ack[16:] == struct.pack("<I", 0xF8BFDCFF)
    fields = struct.pack("<HHB3x", 1, 1, 2) + seven + b"\x11" * 16 + b"\x22" * 32
    greeting = wire.frame(wire.HELLO, 0, fields + b"\x0bXNAS-export")
    assert greeting[16:20] == struct.pack("<I", 0x749B9FC9)
    subscribe = struct.pack("<BB2xI", 1, 1, 8 << 20) + seven + b"\x11" * 16
    assert wire.frame(wire.SUBSCRIBE, 1_000, subscribe)[16:20] == struct.pack("<I", 0x69602949)


def test_both_checksums_agree() -> None:
    """The fast one and the one in Python, also in two steps; the check value of CRC32C."""
    for function in (wire.slow_crc32c, wire.crc32c):
        assert function(b"123456789") == 0xE3069283
        assert function(b"6789", function(b"12345")) == 0xE3069283


def test_macs_are_those_of_the_exporter() -> None:
    """The vectors of native/crates/export/src/auth/tests.rs."""
    key = proof.Key(SECRET)
    mac = key.client_mac(b"abc", b"de", b"")
    assert mac.hex() == "d5ddfa9c5316b0dad8f6e522133c26e15061426f9d47620709ae732e6c3bbd40"
    server = bytes.fromhex("b64010d1e597f59fb5c67c592c338b24e6558eb6593fbd6757e914633a64a6b3")
    assert key.is_server_mac(server, b"abc", b"de", b"", 7)
    assert not key.is_server_mac(server, b"abc", b"de", b"", 8)
    assert not key.is_server_mac(mac, b"abc", b"de", b"", 7)


def test_a_key_prints_as_nothing() -> None:
    shown = f"{proof.Key(SECRET)!r} {proof.Key(SECRET)}"
    assert "redacted" in shown
    assert "0102" not in shown
    assert "\\x01" not in shown


def test_every_flipped_bit_of_a_frame_is_seen() -> None:
    good = wire.frame(wire.GAP, 7, struct.pack("<QB7x", 9, 1))
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        reader = wire.FrameReader()
        reader.feed(bytes(bad))
        try:
            frame = reader.next()
        except StreamError:
            continue
        assert frame is None, bit  # a longer frame, which never becomes whole


def test_every_flipped_bit_of_a_block_is_seen() -> None:
    good = block(1, [record(b"one"), record(b"two")])
    assert [item.payload for item in blocks.parse_block(good).records()] == [b"one", b"two"]
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            blocks.parse_block(bytes(bad))


def test_records_are_read() -> None:
    head = struct.pack("<IBBHQQ", 3, 5 | 2 << 6, 1, 9, 77, 88)
    (item,) = blocks.parse_block(block(4, [head + b"abc"])).records()
    assert item == blocks.Record(4, "session", 2, 1, 9, 77, 88, b"abc")


@pytest.mark.parametrize(
    "cut", [b"", record(b"abc")[:-1], record(b"abc") + b"x", record(b"a", kind=0)]
)
def test_records_that_do_not_fill_the_block_are_refused(cut: bytes) -> None:
    with pytest.raises(StreamError):
        list(blocks.parse_block(block(1, [cut])).records())


def test_compressed_blocks() -> None:
    """As the journal compresses: one frame or LZ4 block over the whole payload."""
    records = [record(b"abc" * 100) for _ in range(20)]
    raw = b"".join(records)
    for codec, stored in (
        (1, import_module("lz4.block").compress(raw, store_size=False)),
        (2, zstandard.compress(raw)),
    ):
        good = blocks.parse_block(block(1, records, codec=codec, stored=stored))
        assert [item.payload for item in good.records()] == [b"abc" * 100] * 20
        for lie in (good.raw_len - 1, good.raw_len + 1):
            false = blocks.Block(1, 20, codec, lie, stored)
            with pytest.raises(StreamError):
                list(false.records())


def test_a_missing_decoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(blocks, "import_module", absent)
    with pytest.raises(MissingDecoderError, match=r"zstandard.*tickdeck\[subscriber\]"):
        list(blocks.Block(1, 1, 2, 10, b"x").records())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o400])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(f"desk {SECRET.hex()}\n")
    path.chmod(mode)
    with pytest.raises(SubscriberError, match="chmod 600") as error:
        proof.read_key(path, "desk")
    assert SECRET.hex()[:8] not in str(error.value)


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(f"# keys\nother {'00' * 32}\ndesk {SECRET.hex()} {'11' * 32}\n")
    mac = proof.read_key(path, "desk").client_mac(b"", b"", b"")
    assert mac == proof.Key(SECRET).client_mac(b"", b"", b"")
    for text in (
        "",
        "desk",
        "desk 0011",
        f"desk {'zz' * 32}",
        f"desk {'00' * 32}\ndesk {'11' * 32}",
    ):
        path.write_text(text)
        with pytest.raises(SubscriberError, match="no line"):
            proof.read_key(path, "desk")
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        proof.read_key(link, "desk")
