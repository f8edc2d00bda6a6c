"""EOBI, slowly: little-endian; all ones, or the least signed number, is no value."""

import struct
from collections.abc import Callable, Iterator

from rust_text import RefusedError, boolean, option

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
