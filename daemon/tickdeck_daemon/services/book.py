"""BookService: answers of the book workers."""

from typing import Any, cast

from typing_extensions import override

from tickdeck.v1 import book_service_pb2 as pb
from tickdeck.v1 import book_service_pb2_grpc
from tickdeck_daemon.errors import InvalidError, UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once

LEVELS = 10
LEVELS_MAX = 1000
CALL_TIMEOUT_S = 10.0


class BookService(book_service_pb2_grpc.BookServiceServicer):
    """Asks the book workers over their control sockets, and has journals replayed."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor

    @override
    async def ListBooks(
        self, request: pb.ListBooksRequest, context: Context
    ) -> pb.ListBooksResponse:
        books: list[pb.BookSummary] = []
        while True:
            # A worker's answer is bounded; `total` tells whether there are more.
            args = {"hashes": request.hashes, "offset": len(books)}
            answer = await self._ask(request.exchange, "book.list", args)
            page = [_summary(book) for book in _tables(answer.get("books"))]
            books += page
            if not page or len(books) >= _count(answer, "total"):
                break
        return pb.ListBooksResponse(
            books=books,
            cursor_seq=_count(answer, "cursor"),
            messages=_count(answer, "messages"),
            next_sequence=_count(answer, "next_sequence"),
        )

    @override
    async def GetDepth(self, request: pb.GetDepthRequest, context: Context) -> pb.GetDepthResponse:
        levels = request.levels or LEVELS
        faults: list[tuple[str, str]] = []
        if levels > LEVELS_MAX:
            faults.append(("levels", f"levels is {levels}; the most is {LEVELS_MAX}"))
        if not request.symbol.strip():
            faults.append(("symbol", "a symbol is required"))
        if faults:
            raise InvalidError(violations=faults, reason="INVALID_DEPTH")
        args = {"symbol": request.symbol, "levels": levels}
        answer = await self._ask(request.exchange, "book.depth", args)
        return pb.GetDepthResponse(
            summary=_summary(answer),
            bids=[_level(level) for level in _lists(answer.get("bids"))],
            asks=[_level(level) for level in _lists(answer.get("asks"))],
            cursor_seq=_count(answer, "cursor"),
        )

    @override
    async def CheckBooks(
        self, request: pb.CheckBooksRequest, context: Context
    ) -> pb.CheckBooksResponse:
        args = {"symbol": request.symbol} if request.symbol else {}
        answer = await self._ask(request.exchange, "book.check", args)
        return pb.CheckBooksResponse(
            books=_count(answer, "checked"),
            orders=_count(answer, "orders"),
            faults=[
                pb.BookFault(symbol=str(fault.get("symbol", "")), text=str(fault.get("text", "")))
                for fault in _tables(answer.get("faults"))
            ],
            faults_total=_count(answer, "faults_total"),
            cursor_seq=_count(answer, "cursor"),
        )

    @override
    async def VerifyBooks(
        self, request: pb.VerifyBooksRequest, context: Context
    ) -> pb.VerifyBooksResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def verify() -> pb.VerifyBooksResponse:
            operation = await self._commands.verify_books(name, Order(self._actor))
            return pb.VerifyBooksResponse(operation=convert.operation(operation))

        return await once(self._plant, "VerifyBooks", request, pb.VerifyBooksResponse, verify)

    async def _ask(self, exchange: str, op: str, args: dict[str, Any]) -> dict[str, Any]:
        name = parse(exchange, "exchanges", field="exchange")
        record = self._plant.store.get(name)
        if not record.config.book.enabled:
            text = f"{name} has no books: its file says book.enabled = false"
            raise WrongStateError(text, reason="BOOKS_DISABLED", metadata={"exchange": name})
        worker = worker_id(name, "book")
        answer = await self._plant.supervisor.call(worker, op, args, timeout_s=CALL_TIMEOUT_S)
        try:
            _check(answer)
        except (TypeError, ValueError, IndexError) as error:
            text = f"{worker} answered {op} in a form that is not understood: {error}"
            raise UnavailableError(text, reason="CONTROL_PROTOCOL") from error
        return answer


def _check(answer: dict[str, Any]) -> None:
    """Refuse an answer whose books and levels are not of the agreed form."""
    for book in [answer, *_tables(answer.get("books"))]:
        _summary(book)
    for side in ("bids", "asks"):
        for level in _lists(answer.get(side)):
            _level(level)


def _summary(book: dict[str, Any]) -> pb.BookSummary:
    bid, ask = book.get("best_bid"), book.get("best_ask")
    return pb.BookSummary(
        symbol=str(book.get("symbol", "")),
        orders=_count(book, "orders"),
        bid_levels=_count(book, "bid_levels"),
        ask_levels=_count(book, "ask_levels"),
        best_bid=_level(bid) if bid else None,
        best_ask=_level(ask) if ask else None,
        trust=str(book.get("trust", "")),
        suspect_since=_count(book, "suspect_since"),
        queue_sha256=str(book.get("queue_sha256") or ""),
        suspect_cause=str(book.get("suspect_cause") or ""),
        crossed=bool(book.get("crossed")),
        state_hash=str(book.get("state_hash") or ""),
    )


def _level(level: list[int]) -> pb.Level:
    """`[price, quantity]` or `[price, quantity, orders]`."""
    return pb.Level(price=level[0], quantity=level[1], orders=level[2] if len(level) > 2 else 0)


def _count(table: dict[str, Any], key: str) -> int:
    value = table.get(key)
    return value if isinstance(value, int) else 0


def _tables(value: object) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", value) if isinstance(value, list) else []


def _lists(value: object) -> list[list[int]]:
    return cast("list[list[int]]", value) if isinstance(value, list) else []
