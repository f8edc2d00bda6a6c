"""What may come next, and what of it is new; no I/O."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tickdeck_subscriber import wire
from tickdeck_subscriber.blocks import Record, parse_block
from tickdeck_subscriber.errors import StreamError, SubscriberError


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences that will not come, both ends inclusive."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Forked:
    """What came from ``at`` on was taken back: remove it from your copy."""

    at: int


Item = Record | Gap | Forked


@dataclass(slots=True)
class Position:
    """Where a copy stands; the file of ``tickdeck-journal subscribe``."""

    log_id: bytes
    epoch: int
    acked_seq: int

    @classmethod
    def load(cls, path: Path) -> "Position | None":
        """The position, or None when there is no file; a bad file is never taken for none."""
        try:
            content = json.loads(path.read_text())
            log_id = bytes.fromhex(content["log_id"])
            position = cls(log_id, int(content["epoch"]), int(content["acked_seq"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise SubscriberError(f"position file {path}: {error!r}") from error
        if len(log_id) != 16:
            raise SubscriberError(f"position file {path}: log_id is not 32 hexadecimal digits")
        return position

    def cut(self, last: int, epoch: int) -> "Position":
        """What is left of it up to ``last`` of a log in ``epoch``."""
        return Position(self.log_id, min(self.epoch, epoch), min(self.acked_seq, last))

    def store(self, path: Path) -> None:
        """Make it durable."""
        content = {"log_id": self.log_id.hex(), "epoch": self.epoch, "acked_seq": self.acked_seq}
        try:
            _replace(path, json.dumps(content) + "\n")
        except OSError as error:
            raise SubscriberError(f"position file {path}: {error}") from error


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Flow:
    """The data of one connection: complete, in order, without what was delivered before."""

    def __init__(self, next_seq: int, epoch: int) -> None:
        """Begin with this sequence."""
        self.next_seq = next_seq
        self.epoch = epoch

    def items(self, frame: wire.Frame) -> Iterator[Record | Gap]:
        """The new items of a frame; raises StreamError where something is missing."""
        match frame.kind:
            case wire.DATA:
                yield from self._block(frame)
            case wire.GAP:
                yield self._gap(frame)
            case wire.HEARTBEAT:
                if frame.seq != self.next_seq or len(frame.payload) != 32:
                    raise StreamError(f"heartbeat at {frame.seq}, expected {self.next_seq}")
                self.epoch = max(self.epoch, int.from_bytes(frame.payload[24:], "little"))
            case kind:
                raise StreamError(f"frame type {kind} among data")

    def _block(self, frame: wire.Frame) -> Iterator[Record]:
        block = parse_block(frame.payload)
        if block.base_seq != frame.seq or block.base_seq > self.next_seq:
            raise StreamError(f"block {block.base_seq} came, {self.next_seq} is next")
        first, self.next_seq = self.next_seq, max(self.next_seq, block.next_seq)
        for record in block.records():
            if record.seq >= first:
                yield record

    def _gap(self, frame: wire.Frame) -> Gap:
        if len(frame.payload) != 16:
            raise StreamError("GAP has another length")
        first, last = frame.seq, int.from_bytes(frame.payload[:8], "little")
        reason = wire.GAP_REASONS.get(frame.payload[8], "unknown")
        # A hole's record has the first sequence that it spends, and came right before.
        is_hole = reason == "journal_hole" and first + 1 == self.next_seq
        if last < first or (first != self.next_seq and not is_hole):
            raise StreamError(f"gap {first} to {last} came, {self.next_seq} is next")
        self.next_seq = last + 1
        return Gap(first, last, reason)
