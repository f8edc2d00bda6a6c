"""`tickdeck book`: order books."""

import click

from tickdeck.v1.book_service_pb2 import (
    BookPoint,
    DiffBookRequest,
    DiffBookResponse,
    GetBookAtRequest,
    GetBookAtResponse,
    GetDepthRequest,
    GetDepthResponse,
    ListBooksRequest,
    ListBooksResponse,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import PAST_TIMEOUT_S, Client
from tickdeck_console.commands.book_checks import check, verify
from tickdeck_console.commands.common import DefaultGroup, exchange_name, json_option, run
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model.facts import BookRow, Depth, Level, Scale
from tickdeck_console.model.travel import BookDiff, Place, PointError, day_time, parse_point
from tickdeck_console.output import print_json, print_table


@click.group(cls=DefaultGroup)
def book() -> None:
    """List order books, show their depth, check and verify them."""


@book.command("list")
@click.argument("exchange")
@click.option("--hashes", is_flag=True, help="Also the SHA-256 over every resting order.")
@json_option
@click.pass_obj
def list_books(options: Options, exchange: str, hashes: bool, as_json: bool) -> None:
    """List the books of EXCHANGE."""

    async def ask(client: Client) -> ListBooksResponse:
        request = ListBooksRequest(exchange=exchange_name(exchange), hashes=hashes)
        return await client.book.ListBooks(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    titles = ("SYMBOL", "TRUST", "ORDERS", "BIDS", "ASKS", "BEST BID", "BEST ASK")
    hash_title = ("QUEUE SHA-256",) if hashes else ()
    rows = [
        (*row, *((entry.queue_sha256,) if hashes else ()))
        for row, entry in zip(
            _rows(tuple(map(decode.book, response.books))), response.books, strict=True
        )
    ]
    print_table((*titles, *hash_title), rows, left=2)
    click.echo(
        f"{response.messages} messages applied, next sequence {response.next_sequence}, "
        f"journal cursor {response.cursor_seq}"
    )


@book.command()
@click.argument("exchange")
@click.argument("symbol")
@click.option("--levels", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--kind",
    type=click.Choice(("order", "price", "implied")),
    default=None,
    help="By order, by price, or implied by other instruments; by order where that is known.",
)
@json_option
@click.pass_obj
def depth(
    options: Options, exchange: str, symbol: str, levels: int, kind: str | None, as_json: bool
) -> None:
    """Show the top levels of the book of SYMBOL, the best ask above the best bid."""

    async def ask(client: Client) -> GetDepthResponse:
        request = GetDepthRequest(
            exchange=exchange_name(exchange), symbol=symbol, levels=levels, kind=kind or ""
        )
        return await client.book.GetDepth(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    _print_depth(decode.depth(response))


@book.command()
@click.argument("exchange")
@click.argument("symbol")
@click.argument("point")
@click.option("--levels", type=click.IntRange(1, 1000), default=10, show_default=True)
@json_option
@click.pass_obj
def at(
    options: Options, exchange: str, symbol: str, point: str, levels: int, as_json: bool
) -> None:
    """Show the book of SYMBOL as it was at POINT.

    POINT is a venue sequence (@123456), a time of the venue's day (@09:31:02.5) or a receive time
    (@2026-01-02T14:31:02.5Z): the state after the last message at or before it.
    """
    wanted = _point(point)

    async def ask(client: Client) -> GetBookAtResponse:
        request = GetBookAtRequest(
            exchange=exchange_name(exchange), symbol=symbol, at=wanted, levels=levels
        )
        return await client.book.GetBookAt(request, timeout=PAST_TIMEOUT_S)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    past = decode.past_book(response)
    _print_depth(past.depth)
    click.echo(f"{_place(past.place)}, state hash {text.safe(past.state_hash)}")


@book.command()
@click.argument("exchange")
@click.argument("symbol")
@click.argument("first")
@click.argument("second")
@click.option("--levels", type=click.IntRange(1, 1000), default=10, show_default=True)
@json_option
@click.pass_obj
def diff(
    options: Options,
    exchange: str,
    symbol: str,
    first: str,
    second: str,
    levels: int,
    as_json: bool,
) -> None:
    """Show what differs in the book of SYMBOL between two points, written as for `book at`."""
    points = _point(first), _point(second)

    async def ask(client: Client) -> DiffBookResponse:
        request = DiffBookRequest(
            exchange=exchange_name(exchange),
            symbol=symbol,
            from_point=points[0],
            to_point=points[1],
            levels=levels,
        )
        return await client.book.DiffBook(request, timeout=PAST_TIMEOUT_S)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    found = decode.book_diff(response)
    for word, place, row in (
        ("from", found.first, found.before),
        ("to", found.second, found.after),
    ):
        book = f"{text.safe(row.trust)}, {row.orders} orders" if row else "no such book"
        click.echo(f"{word:<5}{_place(place)}: {book}")
    rows = _changes(found)
    if rows:
        print_table(("SIDE", "PRICE", "BEFORE", "AFTER"), rows)
    click.echo(
        f"levels: {found.levels_added} added, {found.levels_removed} removed, "
        f"{found.levels_changed} changed; orders: {found.orders_entered} entered, "
        f"{found.orders_left} left, {found.orders_changed} changed"
    )


def _changes(found: BookDiff) -> list[tuple[str, ...]]:
    book = found.before or found.after
    scale = book.scale if book else Scale()
    places = text.price_places((change.price for change in found.levels), scale.price_decimals)

    def quantity(level: Level | None) -> str:
        return text.quantity(level.quantity, scale.quantity_decimals) if level else "-"

    return [
        (
            text.safe(change.side),
            text.price(change.price, scale.price_decimals, places),
            quantity(change.before),
            quantity(change.after),
        )
        for change in found.levels
    ]


def _point(point: str) -> BookPoint:
    try:
        return decode.point(parse_point(point))
    except PointError as error:
        raise CommandError(str(error), "", ExitCode.USAGE) from error


def _place(place: Place) -> str:
    moment = f", {day_time(place.day_time_ns)}" if place.day_time_ns else ""
    received = text.iso_time(place.time_ns)
    return f"sequence {place.sequence}{moment}, record {place.record_seq}, received {received}"


def _print_depth(shown: Depth) -> None:
    row = shown.book
    suspect = f" since sequence {row.suspect_since}" if row.suspect_since else ""
    places = text.price_places(shown.prices, row.scale.price_decimals)
    tick = f"  tick {text.price(row.tick, row.scale.price_decimals, places)}" if row.tick else ""
    spread = f", spread {row.spread_ticks} ticks" if row.spread_ticks is not None else ""
    click.echo(
        f"{text.safe(row.name)}  {text.safe(row.trust)}{suspect}  {row.orders} orders{tick}{spread}"
    )
    rows = [("ask", *_cells(level, row.scale, places)) for level in reversed(shown.asks)]
    rows += [("bid", *_cells(level, row.scale, places)) for level in shown.bids]
    print_table(("SIDE", "PRICE", "QUANTITY", "ORDERS"), rows)


# The first command is the default one.
book.add_command(check)
book.add_command(verify)


def _rows(books: tuple[BookRow, ...]) -> list[tuple[str, ...]]:
    """The cells of each book; all prices have the same digits behind the point."""
    decimals = books[0].scale.price_decimals if books else 0
    places = text.price_places((price for book in books for price in book.prices), decimals)
    return [
        (
            entry.name,
            entry.trust,
            str(entry.orders),
            str(entry.bid_levels),
            str(entry.ask_levels),
            text.price(entry.best_bid.price, decimals, places) if entry.best_bid else "-",
            text.price(entry.best_ask.price, decimals, places) if entry.best_ask else "-",
        )
        for entry in books
    ]


def _cells(level: Level, scale: Scale, places: int) -> tuple[str, ...]:
    return (
        text.price(level.price, scale.price_decimals, places),
        text.quantity(level.quantity, scale.quantity_decimals),
        str(level.orders),
    )
