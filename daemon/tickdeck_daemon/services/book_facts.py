"""Books as the native workers print them, as protos."""

from typing import Any, cast

from tickdeck.v1 import book_service_pb2 as pb


def summary(book: dict[str, Any]) -> pb.BookSummary:
    """A book in short."""
    bid, ask = book.get("best_bid"), book.get("best_ask")
    return pb.BookSummary(
        symbol=str(book.get("symbol", "")),
        orders=count(book, "orders"),
        bid_levels=count(book, "bid_levels"),
        ask_levels=count(book, "ask_levels"),
        best_bid=level(bid) if bid else None,
        best_ask=level(ask) if ask else None,
        trust=str(book.get("trust", "")),
        suspect_since=count(book, "suspect_since"),
        queue_sha256=str(book.get("queue_sha256") or ""),
        suspect_cause=str(book.get("suspect_cause") or ""),
        crossed=bool(book.get("crossed")),
        state_hash=str(book.get("state_hash") or ""),
        kind=str(book.get("book") or "order"),
        price_decimals=count(book, "price_decimals"),
        quantity_decimals=count(book, "quantity_decimals"),
        tick=count(book, "tick"),
        spread_ticks=count(book, "spread_ticks") if "spread_ticks" in book else None,
    )


def level(entry: list[int]) -> pb.Level:
    """`[price, quantity]` or `[price, quantity, orders]`."""
    return pb.Level(price=entry[0], quantity=entry[1], orders=entry[2] if len(entry) > 2 else 0)


def count(table: dict[str, Any], key: str) -> int:
    """A number; 0 for anything else."""
    value = table.get(key)
    return value if isinstance(value, int) else 0


def tables(value: object) -> list[dict[str, Any]]:
    """A list of objects; empty for anything else."""
    return cast("list[dict[str, Any]]", value) if isinstance(value, list) else []


def lists(value: object) -> list[list[int]]:
    """A list of lists; empty for anything else."""
    return cast("list[list[int]]", value) if isinstance(value, list) else []
