"""The typed form of an exchange file: every key with its unit, default and limits.

The keys are those of the worker's spec file, except that the lines are `[[line]]` tables.
Unknown keys are errors. Rules that need several keys at once are in `exchange_text`.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from tickdeck_daemon.settings import EXCHANGE_NAME_LENGTH_MAX

NAME_PATTERN = rf"^[A-Z0-9][A-Z0-9_-]{{0,{EXCHANGE_NAME_LENGTH_MAX - 1}}}$"
"""An exchange's name: part of paths and resource names, so no other characters."""


DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
"""A price as a file writes it: exact, up to nine digits on either side of the point."""
INSTRUMENT_NAME_LENGTH_MAX = 24
"""What a book keeps of a name, in bytes."""
TICKS_MAX = 65_536
"""Instruments with a tick, in all."""


def target_word(group: str, port: int) -> str:
    """Group and port in one word; an IPv6 group stands in brackets."""
    return f"[{group}]:{port}" if ":" in group else f"{group}:{port}"


def _refuse(text: str) -> PydanticCustomError:
    """An error of ours; braces are doubled because pydantic formats the text."""
    return PydanticCustomError("tickdeck", "{text}", {"text": text})


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise _refuse(f'"{text}" is no IP address') from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise _refuse(f'"{text}" names a zone; the interface is a key of its own')
    return address


def _multicast(text: str) -> str:
    address = _address(text)
    # Not `is_multicast` alone: that also takes IPv4 groups in the clothes of IPv6.
    if not address.is_multicast or (address.version == 6 and address.packed[0] != 0xFF):
        places = "224.0.0.0 to 239.255.255.255 or in ff00::/8"
        raise _refuse(f"{text} is no multicast group; one lies in {places}")
    return str(address)


def _source(text: str) -> str:
    address = _address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return _unicast(text)
    if address.is_multicast or address.is_unspecified or address.ipv4_mapped is not None:
        raise _refuse(f"{text} is no address of one host")
    return str(address)


def _unicast(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError as error:
        raise _refuse(f'"{text}" is no IPv4 address') from error
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise _refuse(f"{text} is no address of one host")
    return str(address)


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _refuse(f'"{text}" has no port; write "address:port"')
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _refuse(f'"{text}" has no port from 1 to 65535')
    return f"{_unicast(host)}:{int(port)}"


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise _refuse(f"{value} is no power of two; the next one is {1 << value.bit_length()}")
    return value


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise _refuse(f'"{text}" is no absolute path')
    if "\0" in text:
        raise _refuse("a path cannot hold a NUL character")
    return text


def _username(text: str) -> str:
    # The field of a SoupBinTCP login has six bytes, padded with spaces.
    if not (1 <= len(text) <= 6 and text.isascii() and text.isalnum()):
        raise _refuse(f'"{text}" is no user name; one has 1 to 6 letters and digits')
    return text


def plain_decimal(text: str) -> str:
    """A price in its one spelling: no zeros that say nothing.

    Raises:
        PydanticCustomError: it is no decimal number.
    """
    if not DECIMAL.fullmatch(text):
        raise _refuse(f'"{text}" is no decimal number; write one as "0.01", without an exponent')
    whole, _, fraction = text.removeprefix("-").partition(".")
    sign = "-" if text.startswith("-") else ""
    fraction = fraction.rstrip("0")
    return f"{sign}{whole.lstrip('0') or '0'}{'.' if fraction else ''}{fraction}"


@lru_cache(maxsize=4096)
def plain_tick_size(text: str) -> str:
    """As `plain_decimal`, and more than 0."""
    plain = plain_decimal(text)
    if plain.startswith("-") or not plain.strip("0."):
        raise _refuse(f"{text} is no tick size; one is more than 0")
    return plain


def is_instrument_name(text: str) -> bool:
    """Whether a venue could name an instrument so."""
    within = 1 <= len(text) <= INSTRUMENT_NAME_LENGTH_MAX
    return within and text.isascii() and text.isprintable() and text == text.strip()


def _instrument(text: str) -> str:
    if not is_instrument_name(text):
        most = INSTRUMENT_NAME_LENGTH_MAX
        raise _refuse(f'"{text}" names no instrument; a name has 1 to {most} letters and digits')
    return text


Price = Annotated[str, AfterValidator(plain_decimal)]
TickSize = Annotated[str, AfterValidator(plain_tick_size)]
InstrumentName = Annotated[str, AfterValidator(_instrument)]
Multicast = Annotated[str, AfterValidator(_multicast)]
Source = Annotated[str, AfterValidator(_source)]
HostPort = Annotated[str, AfterValidator(_host_port)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Interface = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Username = Annotated[str, AfterValidator(_username)]


class Table(BaseModel):
    """A table of the file: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class General(Table):
    """`[general]`: the whole worker process."""

    mlock_all: bool = False
    """Lock all memory; the worker does not start when that is refused."""


class Receive(Table):
    """`[receive]`: the receive thread."""

    cpu: Annotated[int, Field(ge=0)] | None = None
    """Core to pin the thread to, whatever the paths; absent: not pinned."""
    wait: Literal["block", "spin"] = "block"
    """Sleep until a packet comes, or ask again at once (needs a core of its own); all paths."""
    rcvbuf_bytes: Annotated[int, Field(ge=4096, le=1 << 30)] = 8 << 20
    """Socket buffer of each line; the worker does not start when the kernel gives less.

    For recvmmsg, and for the sockets beside af_xdp; packet_mmap has blocks instead.
    """
    batch: Annotated[int, Field(ge=1, le=1024)] = 64
    """Most packets taken in one go, whatever the path."""
    max_packet_bytes: Annotated[int, Field(ge=64, le=65507)] = 2048
    """Longest UDP payload taken, whatever the path; longer ones are counted and refused."""
    busy_poll_us: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """How long the kernel may poll the card for each socket, in microseconds; 0: not at all.

    For recvmmsg and af_xdp. Needs CAP_NET_ADMIN; the worker does not start when it is refused.
    With `wait = "block"` it also needs the setting net.core.busy_poll.
    """
    busy_poll_budget: Annotated[int, Field(ge=1, le=65535)] = 64
    """Most packets that one such poll may take; drivers are made for 64. As busy_poll_us."""
    timestamps: Literal["hardware_or_kernel", "off"] = "hardware_or_kernel"
    """Receive times asked of the kernel: the card's where a packet has one (the administrator
    switches that on), else the kernel's; or none: the time of the call that took the packet.

    For recvmmsg and af_xdp; packet rings always carry the card's or the kernel's time.
    """


class Afxdp(Table):
    """`[afxdp]`: the AF_XDP path."""

    enable: bool | None = None
    """Must agree with the lines' `receive`; false keeps `auto` away. Absent: as the lines say.

    True here and true in `[packet_mmap]` exclude each other.
    """
    require: Literal["zerocopy", "native", "any"] = "any"
    """The worst rung taken; where only a worse one is had, the start fails or `auto` goes on."""
    frame_count: Annotated[int, Field(ge=64, le=1 << 20), AfterValidator(_power_of_two)] = 16384
    """Frames of 2,048 bytes for each receive queue."""
    rx_ring: Annotated[int, Field(ge=64, le=1 << 20), AfterValidator(_power_of_two)] = 16384
    """Places of the RX ring of each receive queue."""
    huge_pages: bool = False
    """Frames on huge pages; enough of them must be free."""


class PacketMmap(Table):
    """`[packet_mmap]`: the rings of lines with `receive = "packet_mmap"`.

    The cheapest reader of all, for throughput and crowded cores: a packet waits half of
    `retire_ms` in the median. Needs CAP_NET_RAW and Linux 5.16.
    """

    enable: bool | None = None
    """Must agree with the lines' `receive`; false keeps `auto` away. Absent: as the lines say.

    True here and true in `[afxdp]` exclude each other.
    """
    queues: Annotated[int, Field(ge=1, le=4)] = 1
    """Rings of each line; more than one shares the senders of a line between them."""
    block_bytes: Annotated[int, Field(ge=4096, le=1 << 24), AfterValidator(_power_of_two)] = (
        256 << 10
    )
    """Bytes of a block; a power of two, with room for the longest packet."""
    block_count: Annotated[int, Field(ge=2, le=65536)] = 128
    """Blocks of each ring; at most 1 GiB per ring."""
    retire_ms: Annotated[int, Field(ge=1, le=1000)] = 1
    """A block that is not full is handed over after this time."""


class Line(Table):
    """`[[line]]`: one multicast line."""

    name: Literal["A", "B"]
    """Which of the two lines."""
    group: Multicast
    """Multicast group, of IPv4 or IPv6."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """UDP port."""
    interface: Interface
    """Local interface, by name or by one of its addresses."""
    source: Source | None = None
    """Sender's address for a source-specific join, of the group's family; absent: any source."""
    receive: Literal["recvmmsg", "packet_mmap", "af_xdp", "auto"] = "recvmmsg"
    """Receive path; "auto" takes the best that the host can and reports why not a better one."""

    @property
    def target(self) -> str:
        """Group and port in one word, such as `239.81.0.1:31001` or `[ff15::1]:31001`."""
        return target_word(self.group, self.port)


class Arbiter(Table):
    """`[arbiter]`: the merge of the lines."""

    reorder_window_ns: Annotated[int, Field(ge=0, le=10**9)] = 2_000_000
    """How long one line may be behind the other before a gap is asked for, at most.

    The window in use is between this and the next key, by how far apart the lines are.
    """
    reorder_window_min_ns: Annotated[int, Field(ge=0, le=10**9)] = 100_000
    """The same, at least; left out, never more than `reorder_window_ns`."""
    reorder_window_packets: Annotated[int, Field(ge=1, le=1 << 20)] = 16
    """Waiting is over once every line has brought so many packets from behind the gap."""
    hold_capacity_packets: Annotated[int, Field(ge=16, le=1 << 20)] = 16384
    """Packets held behind an open gap."""
    session_takeover_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 3000
    """Silence of the current session after which another one is taken over."""


class Ring(Table):
    """`[ring]`: shared memory between rx and its readers."""

    slot_count: Annotated[int, Field(ge=16, le=1 << 22), AfterValidator(_power_of_two)] = 32768
    """Records kept; a power of two."""


class Snapshot(Table):
    """`[recovery.snapshot]`: the venue's whole state, for what no source of ranges brings."""

    protocol: Literal["none", "glimpse", "eobi", "cme_mdp3"] = "none"
    """A GLIMPSE server, the snapshot channel of EOBI or of CME; "none" when there is none."""
    address: HostPort | None = None
    """IPv4 address and port of the server, for glimpse."""
    group: Multicast | None = None
    """Multicast group of the snapshot channel, for eobi and cme_mdp3."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """UDP port of the snapshot channel."""
    interface: Interface | None = None
    """Local interface of the snapshot channel, by name or by one of its addresses."""
    source: Source | None = None
    """Sender's address for a source-specific join of the snapshot channel; absent: any source."""
    timeout_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 10_000
    """How long one snapshot may take."""
    max_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 34)] = 256 << 20
    """Longest snapshot that is taken."""

    @property
    def target(self) -> str:
        """Group and port of the channel in one word; empty when it has none."""
        if self.group is None or self.port is None:
            return ""
        return target_word(self.group, self.port)


class Recovery(Table):
    """`[recovery]`: how missing messages are asked for, and what stands in for them.

    The sources are tried in this order: `request_address`, `peer_address`, then the snapshot.
    """

    replay_protocol: Literal["none", "moldudp64", "soupbintcp", "len_seq_payload"] = "none"
    """Protocol of the server that is asked first; "none" when the venue has no server.

    moldudp64: datagrams. soupbintcp: a login at the missing number. len_seq_payload: ranges over
    TCP, as a peer's journal serves them.
    """
    request_address: HostPort | None = None
    """IPv4 address and port of that server."""
    username: Username | None = None
    """User of the login of soupbintcp and glimpse; absent: an empty one."""
    password_file: AbsolutePath | None = None
    """File with the password of that login, not readable by others; read when it is needed."""
    peer_address: HostPort | None = None
    """IPv4 address and port of another tickdeck's journal (len_seq_payload)."""
    min_request_interval_ms: Annotated[int, Field(ge=0, le=60_000)] = 5
    """Least time between two requests."""
    request_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 50
    """How long an answer may take."""
    connect_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 1000
    """How long a TCP connection may take to be made."""
    retry_attempts: Annotated[int, Field(ge=1, le=1000)] = 10
    """Requests for one range to one source, before the next source is asked or it is given up."""
    retry_backoff_ms: Annotated[int, Field(ge=0, le=60_000)] = 20
    """Each retry waits this much longer than the one before."""
    retry_backoff_max_ms: Annotated[int, Field(ge=0, le=600_000)] = 500
    """And no longer than this; left out, never less than `retry_backoff_ms`."""
    slo_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 500
    """A gap open for longer violates the objective."""
    unrecoverable_policy: Literal["declare_lost", "halt"] = "declare_lost"
    """Write the loss down and go on, or also end the worker."""
    start_at: Literal["session_start", "first_seen"] = "session_start"
    """Where an exchange without a journal begins."""
    storm_gaps: Annotated[int, Field(ge=0, le=1 << 20)] = 64
    """With more gaps open than this the snapshot is taken instead of ranges; 0: never."""
    probe_interval_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 10_000
    """Time between two probes of each source; 0: never, and its state stays unknown."""
    snapshot: Snapshot = Snapshot()
    """What stands in for what no source brings."""

    @property
    def sources(self) -> tuple["RecoverySource", ...]:
        """Whom to ask, in the order in which they are asked."""
        found: list[RecoverySource] = []
        if self.request_address is not None:
            kind = "stream" if self.replay_protocol == "soupbintcp" else "request"
            found.append(RecoverySource(kind, self.replay_protocol, self.request_address))
        if self.peer_address is not None:
            found.append(RecoverySource("peer", "len_seq_payload", self.peer_address))
        snapshot = self.snapshot
        if snapshot.protocol != "none":
            place = snapshot.address or snapshot.target
            found.append(RecoverySource("snapshot", snapshot.protocol, place))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class RecoverySource:
    """One place from which missing messages, or what stands in for them, come."""

    source: str
    """"request", "stream", "peer" or "snapshot"."""
    protocol: str
    address: str
    """Of a server, or group and port of a channel."""

    @property
    def brings_ranges(self) -> bool:
        """False for a snapshot, which stands in for what is missing."""
        return self.source != "snapshot"


class Journal(Table):
    """`[journal]`: the record of everything accepted."""

    data_dir: AbsolutePath | None = None
    """Directory of the segments; absent: below the daemon's state directory."""
    segment_size_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 36)] = 64 << 20
    """A segment is sealed at this size."""
    sync_policy: Literal["os", "interval", "batch", "always"] = "batch"
    """When what was written is synced to the disk."""
    fsync_interval_ms: Annotated[int, Field(ge=1, le=60_000)] = 5
    """Longest time between two syncs, where the policy has one."""


class Capture(Table):
    """`[capture]`: the packets of both lines, cut into pcapng files around gaps and on demand."""

    enabled: bool = False
    """Keep the packets of the lines in shared memory."""
    ring_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 34)] = 64 << 20
    """Most bytes of shared memory, per exchange; the newest packets stay."""
    before_ms: Annotated[int, Field(ge=0, le=600_000)] = 2000
    """A cut around a gap begins so long before the gap was seen."""
    after_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000
    """A cut around a gap ends so long after the gap was seen."""
    cut_on_gap: bool = True
    """Cut a file around each gap that both lines missed, at most one a second."""
    max_files: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Files kept, each at most as long as the shared memory; the oldest are removed."""
    data_dir: AbsolutePath | None = None
    """Directory of the files; absent: below the daemon's state directory."""


class TickBand(Table):
    """`{ from_price, tick_size }` in `bands` of a `[[book.tick]]`: another tick from a price on."""

    from_price: Price
    """First price of the band; the next band, or nothing, ends it."""
    tick_size: TickSize
    """Step between two prices of the band."""


class Tick(Table):
    """`[[book.tick]]`: the steps in which one instrument is priced, as exact decimals."""

    instrument: InstrumentName
    """Symbol of the instrument; its SecurityID, in digits, for eobi and cme_mdp3."""
    tick_size: TickSize
    """Step between two prices, such as "0.01"; below the first band, where there are bands."""
    bands: Annotated[tuple[TickBand, ...], Field(strict=False, max_length=64)] = ()
    """Other ticks, each from its price on, in the order of their prices."""


class Book(Table):
    """`[book]`: the book worker."""

    enabled: bool = True
    """Run a book worker."""
    snapshot_interval_ms: Annotated[int, Field(ge=100, le=86_400_000)] = 5000
    """Time between two snapshots while something changes."""
    initial_orders: Annotated[int, Field(ge=1, le=1 << 28)] = 65536
    """Orders to make room for at the start; growing later is counted."""
    checkpoint_messages: Annotated[int, Field(ge=0, le=1 << 40)] = 1_000_000
    """Messages between two hashes of all books in the journal; 0: none is written."""
    check_interval_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 100
    """Time between two books that are checked while something changes; 0: none is."""
    reference_csv: AbsolutePath | None = None
    """File with the tick size of each instrument: one line each, below a line of titles.

    Read when the worker starts. A title names the instrument (symbol, instrument, security_id, ...)
    and one its tick (tick_size, tick, min_price_increment, ...); other columns are passed over.
    """
    tick: Annotated[tuple[Tick, ...], Field(strict=False, max_length=TICKS_MAX)] = ()
    """Ticks of single instruments; each goes before the file's."""


class ExchangeConfig(Table):
    """An exchange file, checked."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    """1 to 16 of A-Z, 0-9, "-" and "_", beginning with a letter or digit."""
    enabled: bool = True
    """False: the exchange is known, its workers do not run."""
    protocol: Literal["moldudp64", "cme_mdp3", "eobi"] = "moldudp64"
    """Wire protocol of the lines; the last two number packets, not messages."""
    decoder: Literal["itch50", "eobi", "cme_mdp3", "none"] = "itch50"
    """Decoder of the messages, which the protocol must carry.

    "none": received, merged, recovered and journalled only.
    """
    eobi_release: Literal["14.1", "6.0"] = "14.1"
    """Release of T7 whose layouts the packets have; for eobi."""
    channel: Annotated[int, Field(ge=1, le=65534)] = 1
    """Channel number in ring and journal records."""
    general: General = General()
    receive: Receive = Receive()
    afxdp: Afxdp = Afxdp()
    packet_mmap: PacketMmap = PacketMmap()
    line: Annotated[tuple[Line, ...], Field(strict=False)]
    """Line A and line B."""
    arbiter: Arbiter = Arbiter()
    ring: Ring = Ring()
    recovery: Recovery = Recovery()
    journal: Journal = Journal()
    capture: Capture = Capture()
    book: Book = Book()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines in order of name."""
        return tuple(sorted(self.line, key=lambda line: line.name))
