"""The typed form of an exchange file: every key with its unit, default and limits.

The keys are those of the worker's spec file, except that the lines are `[[line]]` tables.
Unknown keys are errors. Rules that need several keys at once are in `exchange_text`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from tickdeck_daemon.exchanges.fields import (
    TICKS_MAX,
    AbsolutePath,
    CertificateName,
    ClientId,
    Endpoint,
    HostPort,
    InstrumentName,
    Interface,
    Multicast,
    Price,
    Source,
    Table,
    TickSize,
    Username,
    power_of_two,
    target_word,
)
from tickdeck_daemon.settings import EXCHANGE_NAME_LENGTH_MAX

NAME_PATTERN = rf"^[A-Z0-9][A-Z0-9_-]{{0,{EXCHANGE_NAME_LENGTH_MAX - 1}}}$"
"""An exchange's name: part of paths and resource names, so no other characters."""


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
    frame_count: Annotated[int, Field(ge=64, le=1 << 20), AfterValidator(power_of_two)] = 16384
    """Frames of 2,048 bytes for each receive queue."""
    rx_ring: Annotated[int, Field(ge=64, le=1 << 20), AfterValidator(power_of_two)] = 16384
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
    block_bytes: Annotated[int, Field(ge=4096, le=1 << 24), AfterValidator(power_of_two)] = (
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

    slot_count: Annotated[int, Field(ge=16, le=1 << 22), AfterValidator(power_of_two)] = 32768
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
    segment_size_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 31)] = 64 << 20
    """A segment is sealed at this size."""
    segment_max_age_ms: Annotated[int, Field(ge=0, le=604_800_000)] = 0
    """A segment is sealed so long after its first record; 0: never by age."""
    sync_policy: Literal["os", "interval", "batch", "always"] = "batch"
    """When what was written is synced to the disk.

    os: at seals only. interval: at most `fsync_interval_ms` after a write. batch: in groups.
    always: each block.
    """
    fsync_interval_ms: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Longest time between two syncs, where the policy has one."""
    wal_channel_capacity: (
        Annotated[int, Field(ge=16, le=1 << 22), AfterValidator(power_of_two)] | None
    ) = None
    """Records that may wait for the journal: another name of `ring.slot_count`."""
    compress_wal: bool = False
    """Compress what is written; a block that gains less than a tenth stays as it is."""
    codec: Literal["lz4", "zstd"] = "zstd"
    """How it is compressed, with `compress_wal`."""
    recovery_mode: Literal["strict", "tail", "point_in_time"] = "tail"
    """What a start does about what does not verify.

    strict: it refuses any anomaly. tail: it cuts a torn tail and refuses all else.
    point_in_time: it stops at the first bad block and moves the rest to quarantine.
    """
    on_failure: Literal["degrade", "halt"] = "degrade"
    """A second failure of the disk within 10 s: go on without a journal, or end the worker."""
    retain_max_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 0
    """Sealed segments beyond so many bytes are pruned, unless somebody needs them; 0: kept."""
    retain_max_age_s: Annotated[int, Field(ge=0, le=315_360_000)] = 0
    """Sealed segments older than this are pruned, unless somebody needs them; 0: kept."""


class Subscriber(Table):
    """`[[tcp_export.subscriber]]`: a reader of the journal with rules of its own."""

    id: ClientId
    """Name that the reader proves, by its certificate or its key."""
    slow_policy: Literal["disconnect", "skip_to_live", "retain"] | None = None
    """What is done when it is slow; absent: as `tcp_export.slow_policy`."""
    retain_max_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 0
    """What it has not acknowledged is kept up to so many bytes; 0: no limit."""
    retain_max_age_s: Annotated[int, Field(ge=0, le=315_360_000)] = 0
    """And for so long; 0: no limit."""
    allow_written: bool = False
    """It may ask for what is written and not yet durable."""
    max_connections: Annotated[int, Field(ge=1, le=1024)] = 1
    """Connections at a time."""


class TcpExport(Table):
    """`[tcp_export]`: the journal for readers elsewhere, by TICKDECK/1."""

    enabled: bool = False
    """Run an exporter."""
    mode: Literal["listen", "connect"] = "listen"
    """Readers dial the exporter, or the exporter dials a collector."""
    addr: Endpoint | None = None
    """Where to listen: "address:port" (port 0: any free one) or "unix:/path"."""
    collectors: Annotated[tuple[Endpoint, ...], Field(strict=False, max_length=16)] = ()
    """Whom to dial, first choice first, as "host:port" or "unix:/path"."""
    auth_token: AbsolutePath | None = None
    """File with the keys of the readers, of mode 0600; never a key itself."""
    tls_cert: AbsolutePath | None = None
    """File with our certificate and its chain, PEM; with `tls_key`."""
    tls_key: AbsolutePath | None = None
    """File with the key of that certificate, PEM, of mode 0600."""
    tls_client_ca: AbsolutePath | None = None
    """File with the authority of the other side's certificates, PEM: readers, or collectors."""
    tls_revoked: Annotated[tuple[CertificateName, ...], Field(strict=False, max_length=4096)] = ()
    """Names (SAN) of certificates that are refused though they verify."""
    connect_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 3000
    """How long a connection may take to be made."""
    write_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 10_000
    """A reader that takes nothing for so long is cut."""
    reconnect_backoff_ms: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Longest wait before the first redial; doubles up to 10 s."""
    max_subscribers: Annotated[int, Field(ge=1, le=1024)] = 16
    """Readers at a time."""
    channel_capacity: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 8 << 20
    """Most bytes in flight that a reader's window may ask for."""
    backpressure_on_full: bool = True
    """True: a full window waits for acknowledgements. False: `slow_policy` acts at once."""
    slow_policy: Literal["disconnect", "skip_to_live", "retain"] = "disconnect"
    """What is done with a slow reader: cut, told a gap, or kept in its place. None slows us."""
    lag_soft_bytes: Annotated[int, Field(ge=1, le=1 << 50)] = 8 << 20
    """Slow: so many bytes behind ..."""
    lag_soft_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 5000
    """... for so long."""
    lag_hard_bytes: Annotated[int, Field(ge=1, le=1 << 50)] = 32 << 20
    """Slow at once: so many bytes behind."""
    lag_hard_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 30_000
    """Slow at once: so long behind."""
    allow_written: bool = False
    """Readers without a table may ask for what is written and not yet durable."""
    heartbeat_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    """Time between two heartbeats."""
    heartbeat_timeout_ms: Annotated[int, Field(ge=100, le=600_000)] = 5000
    """A reader that is silent for so long is cut."""
    subscriber: Annotated[tuple[Subscriber, ...], Field(strict=False, max_length=1024)] = ()
    """Readers with rules of their own."""


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
    tcp_export: TcpExport = TcpExport()
    capture: Capture = Capture()
    book: Book = Book()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines in order of name."""
        return tuple(sorted(self.line, key=lambda line: line.name))

    @property
    def slot_count(self) -> int:
        """Records that the ring keeps, by whichever name the file gives them."""
        return self.journal.wal_channel_capacity or self.ring.slot_count
