"""MoldUDP64 1.00 and ITCH 5.0, slowly: big-endian, fields back to back."""

import struct

from rust_text import RefusedError


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
