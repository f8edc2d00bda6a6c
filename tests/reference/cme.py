"""CME MDP 3.0, slowly: SBE, little-endian.

`?` behind a format: the greatest number is no value.
"""

import struct

from rust_text import option

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
