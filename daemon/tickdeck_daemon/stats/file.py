"""Reads the stats files that workers map: counters, histograms, gaps, signs of life, last words.

Pure Python over a read-only mapping; needs neither the worker nor the daemon to be alive. The
header's offsets are fixed by layout version 1; sections are found through its directory, metrics
through their descriptors. Words are loaded as aligned 8-byte units, so a counter is never torn on
x86-64; a gap row is read under its slot's sequence lock. Numbers of different metrics are not of
one moment.
"""

import mmap
import os
import struct
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tickdeck_daemon.stats.histogram import BUCKETS, HistogramView
from tickdeck_daemon.stats.types import (
    DamagedError,
    ExitReason,
    ExitRecord,
    GapRow,
    GapState,
    Identity,
    Kind,
    LayoutError,
    Metric,
    MissingMetricError,
    NotReadyError,
    State,
)

MAGIC = int.from_bytes(b"TDSTATS1", "little")
MAJOR = 1
"""Layout version that this reader understands; minor versions only append."""
ENDIAN_MARK = 0x0102030405060708
GAP_READ_ATTEMPTS = 64
"""Tries for a gap row that is being written."""

_HEADER_LEN = 4096
_IDENTITY = struct.Struct("<16s16sQII")
_IDENTITY_AT = 40
_TEXTS = struct.Struct("<64s128s40sQQQ")
_TEXTS_AT = 96
_EXIT = struct.Struct("<IIiIQ256s128s")
_EXIT_AT = 1024
_DIRECTORY_AT = 2048
_SECTION = struct.Struct("<IHHQQII")
_SECTION_CAPACITY = 64
_DESCRIPTOR = struct.Struct("<IHHIIII16s88s128s")

_WORD_SCHEMA_HASH = 32 // 8
_WORD_HEARTBEAT = 512 // 8
_WORD_PROGRESS = 576 // 8
_WORD_LAST_PACKET = 584 // 8
_WORD_STATE = 640 // 8
_WORD_STATE_SINCE = 648 // 8
_WORD_COMMAND_GENERATION = 656 // 8

_DESC, _VALUES, _HIST, _GAPS = 1, 2, 3, 5
_SECTION_VERSIONS = {_DESC: 1, _VALUES: 1, _HIST: 1, _GAPS: 1}
_HISTOGRAM_WORDS = 4 + BUCKETS
_GAP_WORDS = 32
"""Words of a gap row's slot; those that a file does not have read as 0."""
_LEAST_GAP_WORDS = 16
"""Words of a slot in files of minor version 0."""
_STRIDES = {
    _DESC: _DESCRIPTOR.size,
    _VALUES: 8,
    _HIST: 8 * _HISTOGRAM_WORDS,
    _GAPS: 8 * _LEAST_GAP_WORDS,
}
"""Least bytes per entry of a section."""


@dataclass(frozen=True, slots=True)
class _Section:
    offset: int
    length: int
    count: int
    stride: int

    @property
    def first_word(self) -> int:
        return self.offset // 8

    @property
    def stride_words(self) -> int:
        return self.stride // 8


@dataclass(frozen=True, slots=True)
class _Descriptor:
    name: str
    labels: tuple[tuple[str, str], ...]
    kind: Kind
    unit: str
    section: int
    slot: int
    word: int


class StatsFile:
    """One mapped stats file; every access shows the present numbers.

    Attributes:
        path: The file.
        identity: Who wrote it.
        schema_hash: Equal for files with equal descriptors.
    """

    def __init__(self, path: Path, mapping: mmap.mmap) -> None:
        """Take over a mapping; use `open`."""
        self.path = path
        self._mapping = mapping
        self._bytes = memoryview(mapping)
        self._words = self._bytes.cast("Q")
        self._sections = self._read_directory()
        self._descriptors = self._read_descriptors()
        self.identity = self._read_identity()
        self.schema_hash = self._words[_WORD_SCHEMA_HASH]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file and read what never changes in it.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
            NotReadyError: it is not published, or is no stats file.
            LayoutError: its version is not understood.
            DamagedError: it contradicts itself.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEADER_LEN:
                raise NotReadyError(f"{path}: {size} bytes are no stats file")
            mapping = mmap.mmap(file.fileno(), size // 8 * 8, access=mmap.ACCESS_READ)
        _check_header(path, mapping)
        return cls(path, mapping)

    def close(self) -> None:
        """Unmap; the object cannot be used any more."""
        self._words.release()
        self._bytes.release()
        self._mapping.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unmap."""
        self.close()

    @property
    def state(self) -> State:
        """What the worker says it does; a dead worker's last word."""
        return State(self._words[_WORD_STATE] & 0xFFFF_FFFF)

    @property
    def sub_state(self) -> int:
        """A detail of the state whose codes are the worker's own."""
        return self._words[_WORD_STATE] >> 32

    @property
    def state_since_mono_ns(self) -> int:
        """When the state was entered."""
        return self._words[_WORD_STATE_SINCE]

    @property
    def command_generation(self) -> int:
        """The last control command whose effect the numbers show."""
        return self._words[_WORD_COMMAND_GENERATION]

    @property
    def heartbeat_mono_ns(self) -> int:
        """Last beat of the control thread."""
        return self._words[_WORD_HEARTBEAT]

    @property
    def progress(self) -> int:
        """Passes of the hot loop, with packets or without."""
        return self._words[_WORD_PROGRESS]

    @property
    def last_packet_mono_ns(self) -> int:
        """When the last packet came, 0 for never."""
        return self._words[_WORD_LAST_PACKET]

    def heartbeat_age_ns(self, now_mono_ns: int) -> int:
        """Age of the last heartbeat at a time of CLOCK_MONOTONIC."""
        return max(0, now_mono_ns - self.heartbeat_mono_ns)

    @property
    def exit_record(self) -> ExitRecord | None:
        """The worker's last words; None when it left none."""
        committed, reason, code, signal, mono_ns, message, location = _EXIT.unpack_from(
            self._bytes, _EXIT_AT
        )
        if not committed:
            return None
        return ExitRecord(
            reason=ExitReason(reason),
            code=code,
            signal=signal,
            mono_ns=mono_ns,
            message=_text(message),
            location=_text(location),
        )

    def metrics(self) -> list[Metric]:
        """All single values in the order of their definition; shards of one series are summed."""
        totals: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[_Descriptor, int]] = {}
        for descriptor in self._descriptors:
            if descriptor.section == _VALUES:
                series = (descriptor.name, descriptor.labels)
                first, total = totals.get(series, (descriptor, 0))
                totals[series] = (first, total + self._load(descriptor))
        return [
            Metric(first.name, dict(first.labels), first.kind, first.unit, total)
            for first, total in totals.values()
        ]

    def get(self, name: str, **labels: str) -> int | None:
        """Sum of all series of `name` that have these labels; None when there is none."""
        wanted = labels.items()
        values = [
            self._load(descriptor)
            for descriptor in self._descriptors
            if descriptor.name == name
            and descriptor.section == _VALUES
            and wanted <= dict(descriptor.labels).items()
        ]
        return sum(values) if values else None

    def value(self, name: str, **labels: str) -> int:
        """As `get`.

        Raises:
            MissingMetricError: no series of that name has these labels.
        """
        value = self.get(name, **labels)
        if value is None:
            raise MissingMetricError(f"{self.path}: no metric {name} with labels {labels}")
        return value

    def histograms(self) -> list[HistogramView]:
        """All histograms in the order of their definition; shards are summed."""
        views: dict[tuple[str, tuple[tuple[str, str], ...]], HistogramView] = {}
        for descriptor in self._descriptors:
            if descriptor.section == _HIST:
                view = self._histogram(descriptor)
                series = (descriptor.name, descriptor.labels)
                views[series] = views[series].plus(view) if series in views else view
        return list(views.values())

    def gaps(self) -> list[GapRow]:
        """The rows of the gap table by id, without those that `torn_gaps` counts."""
        rows = [row for row in self._gap_slots() if isinstance(row, GapRow)]
        return sorted(rows, key=lambda row: row.id)

    def torn_gaps(self) -> int:
        """Rows that stay half-written: their writer died, or stands, inside of one."""
        return sum(1 for row in self._gap_slots() if row is None)

    def _load(self, descriptor: _Descriptor) -> int:
        section = self._sections[_VALUES]
        return self._words[
            section.first_word + descriptor.slot * section.stride_words + descriptor.word
        ]

    def _histogram(self, descriptor: _Descriptor) -> HistogramView:
        section = self._sections[_HIST]
        first = section.first_word + descriptor.slot * section.stride_words
        words = self._words[first : first + _HISTOGRAM_WORDS].tolist()
        buckets = words[4:]
        count = sum(buckets)
        return HistogramView(
            name=descriptor.name,
            labels=dict(descriptor.labels),
            unit=descriptor.unit,
            count=count,
            sum=words[1],
            min=words[2] if count else 0,
            max=words[3],
            buckets=buckets,
        )

    def _gap_slots(self) -> list[GapRow | None]:
        section = self._sections.get(_GAPS)
        if section is None:
            return []
        rows: list[GapRow | None] = []
        for slot in range(section.count):
            first = section.first_word + slot * section.stride_words
            if self._words[first]:
                rows.append(self._read_gap(first, min(section.stride_words, _GAP_WORDS)))
        return rows

    def _read_gap(self, first: int, count: int) -> GapRow | None:
        for _ in range(GAP_READ_ATTEMPTS):
            words = self._words[first : first + count].tolist()
            # On x86-64 loads are not reordered: the row was loaded after the first look at the
            # sequence (word 0) and before this second one.
            if words[0] % 2 == 0 and self._words[first] == words[0]:
                return _gap_row(words + [0] * (_GAP_WORDS - count))
        return None

    def _read_directory(self) -> dict[int, _Section]:
        (count,) = struct.unpack_from("<I", self._bytes, 88)
        if count > _SECTION_CAPACITY:
            raise DamagedError(f"{self.path}: {count} sections")
        sections: dict[int, _Section] = {}
        for index in range(count):
            kind, version, _, offset, length, entries, stride = _SECTION.unpack_from(
                self._bytes, _DIRECTORY_AT + index * _SECTION.size
            )
            if kind not in _SECTION_VERSIONS:
                continue
            if version != _SECTION_VERSIONS[kind]:
                raise LayoutError(f"{self.path}: section {kind} has version {version}")
            if offset % 8 or stride % 8 or stride < _STRIDES[kind] or entries * stride > length:
                raise DamagedError(f"{self.path}: section {kind} is laid out wrongly")
            if offset + length > len(self._bytes):
                raise DamagedError(f"{self.path}: section {kind} is beyond the end of the file")
            sections[kind] = _Section(offset, length, entries, stride)
        return sections

    def _read_descriptors(self) -> tuple[_Descriptor, ...]:
        section = self._sections.get(_DESC)
        if section is None:
            return ()
        raw = bytes(self._bytes[section.offset : section.offset + section.count * section.stride])
        descriptors = _decode_descriptors(raw, section.stride)
        for descriptor in descriptors:
            self._check_place(descriptor)
        return descriptors

    def _check_place(self, descriptor: _Descriptor) -> None:
        if descriptor.section not in (_VALUES, _HIST):
            return
        section = self._sections.get(descriptor.section)
        is_histogram = descriptor.section == _HIST
        needed = _HISTOGRAM_WORDS if is_histogram else descriptor.word + 1
        if (
            section is None
            or descriptor.slot >= section.count
            or needed > section.stride_words
            or is_histogram != (descriptor.kind is Kind.HISTOGRAM)
        ):
            raise DamagedError(f"{self.path}: {descriptor.name} is described at no valid place")

    def _read_identity(self) -> Identity:
        boot_id, incarnation, start_ticks, pid, uid = _IDENTITY.unpack_from(
            self._bytes, _IDENTITY_AT
        )
        worker_id, resource, build_id, generation, mono_ns, real_ns = _TEXTS.unpack_from(
            self._bytes, _TEXTS_AT
        )
        return Identity(
            worker_id=_text(worker_id),
            resource=_text(resource),
            build_id=_text(build_id),
            boot_id=str(uuid.UUID(bytes=boot_id)),
            incarnation=str(uuid.UUID(bytes=incarnation)),
            pid=pid,
            uid=uid,
            start_ticks=start_ticks,
            generation=generation,
            start_mono_ns=mono_ns,
            start_real_ns=real_ns,
        )


def _check_header(path: Path, mapping: mmap.mmap) -> None:
    magic, major, _, header_len, endian, total_len = struct.unpack_from("<QHHIQQ", mapping, 0)
    if magic != MAGIC:
        raise NotReadyError(f"{path}: it is not published, or is no stats file")
    if major != MAJOR:
        raise LayoutError(f"{path}: layout version {major}; this reader understands {MAJOR}")
    if header_len != _HEADER_LEN or endian != ENDIAN_MARK:
        raise DamagedError(f"{path}: header of {header_len} bytes, byte order mark {endian:#x}")
    if total_len != len(mapping):
        raise DamagedError(f"{path}: {len(mapping)} bytes, the header says {total_len}")


@lru_cache(maxsize=256)
def _decode_descriptors(raw: bytes, stride: int) -> tuple[_Descriptor, ...]:
    """Decoded once per schema: all workers of a kind have equal descriptors."""
    descriptors: list[_Descriptor] = []
    for at in range(0, len(raw), stride):
        _, kind, _, section, slot, word, _, unit, name, labels = _DESCRIPTOR.unpack_from(raw, at)
        pairs = (pair.partition("=") for pair in _text(labels).split(",") if pair)
        descriptors.append(
            _Descriptor(
                name=_text(name),
                labels=tuple((key, value) for key, _, value in pairs),
                kind=Kind(kind),
                unit=_text(unit),
                section=section,
                slot=slot,
                word=word,
            )
        )
    return tuple(descriptors)


def _gap_row(words: list[int]) -> GapRow:
    return GapRow(
        id=words[1],
        first=words[2],
        last=words[3],
        state=GapState(words[4]),
        sources=words[5],
        reason=words[6],
        detected_ns=words[7],
        requested_ns=words[8],
        closed_ns=words[9],
        attempts=words[10],
        missing=words[11],
        lines_missed=words[12],
        slo_violated=bool(words[13]),
        drop_layer=words[14],
        drop_count=words[15],
        channel=words[16],
        waited_ns=words[17],
        requested_last_ns=words[18],
        partial_ns=words[19],
        snapshot_ns=words[20],
        by_line_a=words[21],
        by_line_b=words[22],
        by_other_lines=words[23],
        by_request=words[24],
        by_stream=words[25],
        by_peer=words[26],
        by_snapshot=words[27],
        stale_answers=words[28],
        injected=words[29],
        fault=words[30],
        noted=bool(words[31]),
    )


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("utf-8", errors="replace")
