"""Slow decoders of MoldUDP64 with ITCH 5.0, EOBI and CME MDP 3.0, from the exchanges' documents.

They share nothing with the decoders of the workers: no layout, no generated code. Standard input
has a line for each packet: protocol, bytes in hexadecimal, and what the workers' decoder made of
it, as Rust prints it. This decodes the bytes again and compares. The report is one JSON object;
exit code 1 tells of differences.
"""

import json
import struct
import sys
from collections.abc import Callable, Iterator

SHOWN = 3


def main() -> int:
    """Compare every line of standard input."""
    packets, messages, differences = 0, 0, 0
    shown: list[dict[str, str]] = []
    for line in sys.stdin:
        protocol, packet, theirs = line.rstrip("\n").split("\t")
        ours = DECODERS[protocol](bytes.fromhex(packet))
        packets += 1
        messages += ours.count(" | ")
        if ours != theirs:
            differences += 1
            if len(shown) < SHOWN:
                shown.append({"packet": packet, "ours": ours, "theirs": theirs})
    report = {
        "packets": packets,
        "messages": messages,
        "differences": differences,
        "shown": shown,
    }
    print(json.dumps(report))
    return 1 if differences else 0


def option(value: int | None) -> str:
    """An optional value as Rust prints it."""
    return "None" if value is None else f"Some({value})"


def boolean(value: bool) -> str:
    """A truth value as Rust prints it."""
    return "true" if value else "false"


# MoldUDP64 1.00 and ITCH 5.0: big-endian, fields back to back.


class RefusedError(Exception):
    """A packet or message that is not what it must be; the word for it."""


def text_of(field: bytes) -> str:
    """Text without the spaces on its right; other bytes than printable ones in hexadecimal."""
    kept = field.rstrip(b" \t\n\r\x0c")
    return "".join(chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}" for b in kept)


# Name of the message, then its fields behind stock locate, tracking number and time stamp. A number
# is a width in bytes; `side`, `stock`, `mpid` are what they say, `bytes` a list of bytes.
ITCH: dict[str, tuple[str, list[tuple[str, str | int]]]] = {
    "S": ("SystemEvent", [("event_code", 1)]),
    "R": (
        "StockDirectory",
        [
            ("stock", "stock"),
            ("market_category", 1),
            ("financial_status", 1),
            ("round_lot_size", 4),
            ("round_lots_only", 1),
            ("issue_classification", 1),
            ("issue_subtype", "bytes2"),
            ("authenticity", 1),
            ("short_sale_threshold", 1),
            ("ipo_flag", 1),
            ("luld_tier", 1),
            ("etp_flag", 1),
            ("etp_leverage_factor", 4),
            ("inverse_indicator", 1),
        ],
    ),
    "H": (
        "TradingAction",
        [("stock", "stock"), ("trading_state", 1), ("reserved", 1), ("reason", "bytes4")],
    ),
    "Y": ("RegSho", [("stock", "stock"), ("reg_sho_action", 1)]),
    "L": (
        "ParticipantPosition",
        [
            ("mpid", "mpid"),
            ("stock", "stock"),
            ("primary_market_maker", 1),
            ("market_maker_mode", 1),
            ("participant_state", 1),
        ],
    ),
    "V": ("MwcbLevels", [("level_1", 8), ("level_2", 8), ("level_3", 8)]),
    "W": ("MwcbStatus", [("breached_level", 1)]),
    "K": (
        "IpoQuoting",
        [("stock", "stock"), ("release_time_s", 4), ("release_qualifier", 1), ("ipo_price", 4)],
    ),
    "J": (
        "LuldCollar",
        [
            ("stock", "stock"),
            ("reference_price", 4),
            ("upper_price", 4),
            ("lower_price", 4),
            ("extension", 4),
        ],
    ),
    "h": ("OperationalHalt", [("stock", "stock"), ("market_code", 1), ("halt_action", 1)]),
    "A": (
        "AddOrder",
        [
            ("order_reference", 8),
            ("side", "side"),
            ("shares", 4),
            ("stock", "stock"),
            ("price", 4),
        ],
    ),
    "F": (
        "AddOrderMpid",
        [
            ("order_reference", 8),
            ("side", "side"),
            ("shares", 4),
            ("stock", "stock"),
            ("price", 4),
            ("attribution", "mpid"),
        ],
    ),
    "E": (
        "OrderExecuted",
        [("order_reference", 8), ("executed_shares", 4), ("match_number", 8)],
    ),
    "C": (
        "OrderExecutedWithPrice",
        [
            ("order_reference", 8),
            ("executed_shares", 4),
            ("match_number", 8),
            ("printable", 1),
            ("execution_price", 4),
        ],
    ),
    "X": ("OrderCancel", [("order_reference", 8), ("cancelled_shares", 4)]),
    "D": ("OrderDelete", [("order_reference", 8)]),
    "U": (
        "OrderReplace",
        [
            ("original_order_reference", 8),
            ("new_order_reference", 8),
            ("shares", 4),
            ("price", 4),
        ],
    ),
    "P": (
        "Trade",
        [
            ("order_reference", 8),
            ("side", "side"),
            ("shares", 4),
            ("stock", "stock"),
            ("price", 4),
            ("match_number", 8),
        ],
    ),
    "Q": (
        "CrossTrade",
        [
            ("shares", 8),
            ("stock", "stock"),
            ("cross_price", 4),
            ("match_number", 8),
            ("cross_type", 1),
        ],
    ),
    "B": ("BrokenTrade", [("match_number", 8)]),
    "I": (
        "Imbalance",
        [
            ("paired_shares", 8),
            ("imbalance_shares", 8),
            ("imbalance_direction", 1),
            ("stock", "stock"),
            ("far_price", 4),
            ("near_price", 4),
            ("current_reference_price", 4),
            ("cross_type", 1),
            ("price_variation_indicator", 1),
        ],
    ),
    "N": ("RetailInterest", [("stock", "stock"), ("interest_flag", 1)]),
    "O": (
        "DirectListing",
        [
            ("stock", "stock"),
            ("open_eligibility", 1),
            ("minimum_price", 4),
            ("maximum_price", 4),
            ("near_execution_price", 4),
            ("near_execution_time_ns", 8),
            ("lower_collar_price", 4),
            ("upper_collar_price", 4),
        ],
    ),
}
WIDTHS: dict[str, int] = {"side": 1, "stock": 8, "mpid": 4, "bytes2": 2, "bytes4": 4}


def width_of(kind: str | int) -> int:
    """Bytes of a field of ITCH."""
    return kind if isinstance(kind, int) else WIDTHS[kind]


def itch_message(message: bytes) -> str:
    """One message of ITCH 5.0."""
    if not message:
        raise RefusedError("empty")
    entry = ITCH.get(chr(message[0]))
    if entry is None:
        raise RefusedError("unknown_type")
    name, fields = entry
    if len(message) != 11 + sum(width_of(kind) for _, kind in fields):
        raise RefusedError("wrong_length")
    parts = [
        f"stock_locate: {int.from_bytes(message[1:3], 'big')}",
        f"tracking_number: {int.from_bytes(message[3:5], 'big')}",
        f"timestamp_ns: {int.from_bytes(message[5:11], 'big')}",
    ]
    at = 11
    for field, kind in fields:
        value = message[at : at + width_of(kind)]
        at += len(value)
        parts.append(f"{field}: {itch_value(kind, value)}")
    return f"{name}({name}Fields {{ {', '.join(parts)} }})"


def itch_value(kind: str | int, value: bytes) -> str:
    """One field of ITCH 5.0."""
    match kind:
        case "side":
            names = {b"B": "Buy", b"S": "Sell"}
            if value not in names:
                raise RefusedError("bad_side")
            return names[value]
        case "stock":
            return f"Stock({text_of(value)})"
        case "mpid":
            return f"Mpid({text_of(value)})"
        case "bytes2" | "bytes4":
            return str(list(value))
        case _:
            return str(int.from_bytes(value, "big"))


def itch(packet: bytes) -> str:
    """A packet of MoldUDP64."""
    try:
        sequence, count, blocks = mold(packet)
    except RefusedError as refused:
        return f"refused {refused}"
    kind = {0: "Heartbeat", 0xFFFF: "EndOfSession"}.get(count, f"Data {{ count: {count} }}")
    text = f"Session({text_of(packet[:10])}) {sequence} {kind}"
    for block in blocks:
        try:
            text += f" | {itch_message(block)}"
        except RefusedError as refused:
            text += f" | refused {refused}"
    return text


def mold(packet: bytes) -> tuple[int, int, list[bytes]]:
    """Sequence, count and blocks."""
    if len(packet) < 20:
        raise RefusedError("truncated")
    sequence, count = struct.unpack_from(">QH", packet, 10)
    if sequence == 0:
        raise RefusedError("zero_sequence")
    blocks: list[bytes] = []
    rest = packet[20:]
    for _ in range(0 if count == 0xFFFF else count):
        if len(rest) < 2 or len(rest) < 2 + int.from_bytes(rest[:2], "big"):
            raise RefusedError("block_beyond_end")
        end = 2 + int.from_bytes(rest[:2], "big")
        blocks.append(rest[2:end])
        rest = rest[end:]
    if rest:
        raise RefusedError("trailing_bytes")
    return sequence, count, blocks


# EOBI: little-endian; all ones, or the least number of a signed field, is no value.

# Name and format of each field behind BodyLen, TemplateID, MsgSeqNum; one without a name is passed
# over. Quantities are whole in 6.0 and have four decimals since.
DETAILS = {
    "6.0": [("Priority", "Q"), ("Qty", "i"), ("Side", "B"), ("OrdType", "B"), ("", "2s")],
    "14.1": [("Priority", "Q"), ("Qty", "q"), ("Side", "B"), ("OrdType", "B"), ("", "6s")],
}
PRICE = [("Price", "q")]
QUANTITY = {"6.0": "i", "14.1": "q"}


def eobi_fields(release: str) -> dict[int, tuple[str, list[tuple[str, str]]]]:
    """Messages about orders, by template."""
    order = DETAILS[release] + PRICE
    quantity = QUANTITY[release]
    if release == "6.0":
        execution = [
            *[("Side", "B"), ("OrdType", "B"), ("", "6s"), ("Price", "q"), ("Priority", "Q")],
            *[("SecurityID", "q"), ("MatchID", "I"), ("LastQty", "i"), ("LastPx", "q")],
        ]
        before, behind = [("PrevQty", "i"), ("", "4s")], list[tuple[str, str]]()
    else:
        execution = [
            *[("Side", "B"), ("OrdType", "B"), ("", "2s"), ("MatchID", "I"), ("Price", "q")],
            *[("Priority", "Q"), ("SecurityID", "q"), ("LastQty", quantity), ("LastPx", "q")],
        ]
        before, behind = [("PrevQty", "q")], [("", "8s")]
    time, security = ("", "8s"), ("SecurityID", "q")
    return {
        13001: ("Heartbeat", [("Last", "I"), ("", "4s")]),
        13100: ("OrderAdd", [time, security, *order]),
        13101: (
            "OrderModify",
            [time, ("PrevPriority", "Q"), ("PrevPrice", "q"), *before, security, *order, *behind],
        ),
        13102: ("OrderDelete", [time, time, security, *order]),
        13103: ("OrderMassDelete", [security, time]),
        13104: ("FullOrderExecution", execution),
        13105: ("PartialOrderExecution", execution),
        13106: ("OrderModifySamePriority", [time, time, *before, security, *order]),
        13602: ("SnapshotOrder", order),
    }


EOBI = {release: eobi_fields(release) for release in DETAILS}
NOTHING = {"Q": 2**64 - 1, "I": 2**32 - 1, "B": 255, "q": -(2**63), "i": -(2**31)}


class Fields:
    """Values of a message of EOBI."""

    def __init__(self, release: str, layout: list[tuple[str, str]], message: bytes) -> None:
        """Read the fields behind the first eight bytes."""
        self.scale = 10_000 if release == "6.0" else 1
        self.values: dict[str, int | None] = {}
        at = 8
        for name, form in layout:
            if name:
                (value,) = struct.unpack_from("<" + form, message, at)
                self.values[name] = None if value == NOTHING[form] else value
            at += struct.calcsize("<" + form)

    def optional(self, name: str) -> str:
        """A field that may have no value."""
        return option(self.values[name])

    def needed(self, name: str) -> int:
        """A field that has a value."""
        value = self.values[name]
        if value is None:
            raise RefusedError("no_value")
        return value

    def quantity(self, name: str) -> int:
        """A quantity in units of 1/10,000."""
        return self.needed(name) * self.scale

    def side(self) -> str:
        """Which side of the book."""
        name = {1: "Buy", 2: "Sell"}.get(self.needed("Side"))
        if name is None:
            raise RefusedError("no_value")
        return name

    def order(self) -> str:
        """The order's details."""
        return (
            f"Order {{ priority_ns: {self.optional('Priority')}, quantity: {self.quantity('Qty')}, "
            f"side: {self.side()}, is_market: {boolean(self.values['OrdType'] == 1)}, "
            f"price: {self.optional('Price')} }}"
        )


def eobi_content(name: str, it: Fields) -> str:
    """What a message says."""
    match name:
        case "Heartbeat":
            return f"Heartbeat {{ last_processed: {it.needed('Last')} }}"
        case "OrderMassDelete":
            return f"OrderMassDelete {{ security_id: {it.needed('SecurityID')} }}"
        case "SnapshotOrder":
            return f"SnapshotOrder({it.order()})"
        case "FullOrderExecution" | "PartialOrderExecution":
            return (
                f"{name}(Execution {{ security_id: {it.needed('SecurityID')}, side: {it.side()}, "
                f"priority_ns: {it.optional('Priority')}, price: {it.optional('Price')}, "
                f"last_quantity: {it.quantity('LastQty')}, last_price: {it.optional('LastPx')}, "
                f"match_id: {it.optional('MatchID')} }})"
            )
        case "OrderModify":
            previous = (
                f"previous_priority_ns: {it.optional('PrevPriority')}, "
                f"previous_price: {it.optional('PrevPrice')}, "
                f"previous_quantity: {it.quantity('PrevQty')}, "
            )
        case "OrderModifySamePriority":
            previous = f"previous_quantity: {it.quantity('PrevQty')}, "
        case _:
            previous = ""
    security = it.needed("SecurityID")
    return f"{name} {{ security_id: {security}, {previous}order: {it.order()} }}"


def eobi_messages(release: str, packet: bytes) -> Iterator[str]:
    """The messages behind the header; their lengths are right."""
    at = 32
    while at < len(packet):
        length, template, number = struct.unpack_from("<HHI", packet, at)
        message = packet[at : at + length]
        at += length
        sequence = option(None if number == 2**32 - 1 else number)
        entry = EOBI[release].get(template)
        if entry is None:
            yield f"{template} {sequence} other"
            continue
        name, layout = entry
        if length != 8 + struct.calcsize("<" + "".join(form for _, form in layout)):
            yield f"{template} {sequence} refused wrong_length"
            continue
        try:
            yield f"{template} {sequence} {eobi_content(name, Fields(release, layout, message))}"
        except RefusedError as refused:
            yield f"{template} {sequence} refused {refused}"


def eobi(release: str) -> Callable[[bytes], str]:
    """The decoder of a release."""

    def decode(packet: bytes) -> str:
        if packet[:2] == b"\xc0\xf8":
            return "refused technical_heartbeat"
        sequence, segment, partition, complete, reset = struct.unpack_from("<IiBBB", packet, 8)
        (time,) = struct.unpack_from("<Q", packet, 24)
        flags = f"{boolean(complete == 1)} {boolean(reset == 1)}"
        head = f"{sequence} {segment} {partition} {flags} {time}"
        return " | ".join([head, *eobi_messages(release, packet)])

    return decode


# CME MDP 3.0: SBE, little-endian. `?` behind a format: the greatest number is no value.

Layout = list[tuple[str, str, int]]
ROOT: Layout = [("transact_time_ns", "Q", 0), ("match_event_indicator", "B", 8)]
PRICES: Layout = [
    ("price", "q?", 0),
    ("size", "i?", 8),
    ("security_id", "i", 12),
    ("rpt_seq", "I", 16),
    ("orders", "i?", 20),
    ("level", "B", 24),
    ("action", "B", 25),
    ("kind", "B", 26),
]
LINKED: Layout = [
    ("order_id", "Q", 0),
    ("priority", "Q?", 8),
    ("quantity", "i?", 16),
    ("reference", "B?", 20),
    ("action", "B", 21),
]
ORDERS: Layout = [
    ("order_id", "Q?", 0),
    ("priority", "Q?", 8),
    ("price", "q?", 16),
    ("quantity", "i?", 24),
    ("security_id", "i", 28),
    ("action", "B", 32),
    ("kind", "B", 33),
]
VOLUMES: Layout = [
    ("volume", "i", 0),
    ("security_id", "i", 4),
    ("rpt_seq", "I", 8),
    ("action", "B", 12),
]
SNAPSHOT: Layout = [
    ("last_msg_seq_num_processed", "I", 0),
    ("total_reports", "I", 4),
    ("security_id", "i", 8),
    ("rpt_seq", "I", 12),
    ("transact_time_ns", "Q", 16),
    ("last_update_time_ns", "Q", 24),
    ("trade_date", "H?", 32),
    ("trading_status", "B?", 34),
    ("high_limit", "q?", 35),
    ("low_limit", "q?", 43),
    ("max_variation", "q?", 51),
]
SNAPSHOT_LEVELS: Layout = [
    ("price", "q?", 0),
    ("size", "i?", 8),
    ("orders", "i?", 12),
    ("level", "b?", 16),
    ("kind", "B", 21),
]
ORDER_SNAPSHOT: Layout = [
    ("last_msg_seq_num_processed", "I", 0),
    ("total_reports", "I", 4),
    ("security_id", "i", 8),
    ("chunks", "I", 12),
    ("chunk", "I", 16),
    ("transact_time_ns", "Q", 20),
]
SNAPSHOT_ORDERS: Layout = [
    ("order_id", "Q", 0),
    ("priority", "Q?", 8),
    ("price", "q", 16),
    ("quantity", "i", 24),
    ("kind", "B", 28),
]
GREATEST = {"Q": 2**64 - 1, "q": 2**63 - 1, "i": 2**31 - 1, "H": 65535, "B": 255, "b": 127}

# Name of the message, name and layout of its root; then of each group its name, the name and layout
# of an entry, and where in its dimensions the count stands, behind the block length.
CME_ROOT = ("IncrementalRoot", ROOT)
CmeGroup = tuple[str, str, Layout, int]
BOOK: list[CmeGroup] = [("prices", "PriceEntry", PRICES, 2), ("orders", "LinkedOrder", LINKED, 7)]
ORDER_BOOK: list[CmeGroup] = [("orders", "OrderEntry", ORDERS, 2)]
VOLUME: list[CmeGroup] = [("volumes", "Volume", VOLUMES, 2)]
LEVELS: list[CmeGroup] = [("entries", "SnapshotEntry", SNAPSHOT_LEVELS, 2)]
QUEUES: list[CmeGroup] = [("entries", "OrderSnapshotEntry", SNAPSHOT_ORDERS, 2)]
CME: dict[int, tuple[str, tuple[str, Layout], list[CmeGroup]]] = {
    32: ("Book", CME_ROOT, BOOK),
    46: ("Book", CME_ROOT, BOOK),
    43: ("OrderBook", CME_ROOT, ORDER_BOOK),
    47: ("OrderBook", CME_ROOT, ORDER_BOOK),
    37: ("Volume", CME_ROOT, VOLUME),
    38: ("Snapshot", ("SnapshotRoot", SNAPSHOT), LEVELS),
    52: ("Snapshot", ("SnapshotRoot", SNAPSHOT), LEVELS),
    44: ("OrderSnapshot", ("OrderSnapshotRoot", ORDER_SNAPSHOT), QUEUES),
    53: ("OrderSnapshot", ("OrderSnapshotRoot", ORDER_SNAPSHOT), QUEUES),
}


def cme_block(name: str, layout: Layout, block: bytes) -> str:
    """A block with its fields."""
    parts: list[str] = []
    for field, form, at in layout:
        (value,) = struct.unpack_from("<" + form[0], block, at)
        text = str(value)
        if form.endswith("?"):
            text = option(None if value == GREATEST[form[0]] else value)
        parts.append(f"{field}: {text}")
    return f"{name} {{ {', '.join(parts)}, .. }}"


def cme_message(message: bytes) -> str:
    """One message from its MsgSize on."""
    _, root_length, template, _, version = struct.unpack_from("<5H", message, 0)
    head = f"{template} {version}"
    if template == 12:
        return f"{head} Heartbeat"
    if template not in CME:
        return f"{head} other"
    name, (root_name, root), groups = CME[template]
    parts = [f"root: {cme_block(root_name, root, message[10 : 10 + root_length])}"]
    rest = message[10 + root_length :]
    for group_name, entry_name, layout, count_at in groups:
        entries: list[str] = []
        if rest:
            length, count = int.from_bytes(rest[:2], "little"), rest[count_at]
            rest = rest[count_at + 1 :]
            for index in range(count):
                entry = rest[index * length : (index + 1) * length]
                entries.append(cme_block(entry_name, layout, entry))
            rest = rest[count * length :]
        parts.append(f"{group_name}: [{', '.join(entries)}]")
    return f"{head} {name} {{ {', '.join(parts)} }}"


def cme(packet: bytes) -> str:
    """A packet of MDP 3.0."""
    sequence, time = struct.unpack_from("<IQ", packet, 0)
    text = f"{sequence} {time}"
    at = 12
    while at < len(packet):
        (size,) = struct.unpack_from("<H", packet, at)
        text += f" | {cme_message(packet[at : at + size])}"
        at += size
    return text


DECODERS: dict[str, Callable[[bytes], str]] = {
    "itch": itch,
    "eobi-6.0": eobi("6.0"),
    "eobi-14.1": eobi("14.1"),
    "cme": cme,
}

if __name__ == "__main__":
    sys.exit(main())
