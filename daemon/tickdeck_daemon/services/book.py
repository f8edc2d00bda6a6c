"""BookService: answers of the book workers, and books as they were."""

from typing import Any

from typing_extensions import override

from tickdeck.v1 import book_service_pb2 as pb
from tickdeck.v1 import book_service_pb2_grpc
from tickdeck_daemon.errors import InvalidError, UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.operate.past_books import PastBooks
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert, past_books
from tickdeck_daemon.services.book_facts import count, level, lists, summary, tables
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once

LEVELS = 10
LEVELS_MAX = 1000
KINDS = ("order", "price", "implied")
"""Kinds of depth that a venue may have."""
CALL_TIMEOUT_S = 10.0


class BookService(book_service_pb2_grpc.BookServiceServicer):
    """Asks the book workers over their control sockets, and has journals replayed."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor
        self._past = PastBooks(plant.settings)

    @override
    async def ListBooks(
        self, request: pb.ListBooksRequest, context: Context
    ) -> pb.ListBooksResponse:
        books: list[pb.BookSummary] = []
        while True:
            # A worker's answer is bounded; `total` tells whether there are more.
            args = {"hashes": request.hashes, "offset": len(books)}
            answer = await self._ask(request.exchange, "book.list", args)
            page = [summary(book) for book in tables(answer.get("books"))]
            books += page
            if not page or len(books) >= count(answer, "total"):
                break
        return pb.ListBooksResponse(
            books=books,
            cursor_seq=count(answer, "cursor"),
            messages=count(answer, "messages"),
            next_sequence=count(answer, "next_sequence"),
        )

    @override
    async def GetDepth(self, request: pb.GetDepthRequest, context: Context) -> pb.GetDepthResponse:
        levels = request.levels or LEVELS
        faults: list[tuple[str, str]] = []
        if levels > LEVELS_MAX:
            faults.append(("levels", f"levels is {levels}; the most is {LEVELS_MAX}"))
        if not request.symbol.strip():
            faults.append(("symbol", "a symbol is required"))
        if request.kind not in ("", *KINDS):
            known = ", ".join(KINDS)
            faults.append(("kind", f'there is no book by "{request.kind}"; known are {known}'))
        if faults:
            raise InvalidError(violations=faults, reason="INVALID_DEPTH")
        args: dict[str, Any] = {"symbol": request.symbol, "levels": levels}
        if request.kind:
            args["kind"] = request.kind
        answer = await self._ask(request.exchange, "book.depth", args)
        return pb.GetDepthResponse(
            summary=summary(answer),
            bids=[level(entry) for entry in lists(answer.get("bids"))],
            asks=[level(entry) for entry in lists(answer.get("asks"))],
            cursor_seq=count(answer, "cursor"),
        )

    @override
    async def CheckBooks(
        self, request: pb.CheckBooksRequest, context: Context
    ) -> pb.CheckBooksResponse:
        args = {"symbol": request.symbol} if request.symbol else {}
        answer = await self._ask(request.exchange, "book.check", args)
        return pb.CheckBooksResponse(
            books=count(answer, "checked"),
            orders=count(answer, "orders"),
            faults=[
                pb.BookFault(symbol=str(fault.get("symbol", "")), text=str(fault.get("text", "")))
                for fault in tables(answer.get("faults"))
            ],
            faults_total=count(answer, "faults_total"),
            cursor_seq=count(answer, "cursor"),
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

    @override
    async def GetBookAt(
        self, request: pb.GetBookAtRequest, context: Context
    ) -> pb.GetBookAtResponse:
        record = self._plant.store.get(parse(request.exchange, "exchanges", field="exchange"))
        levels, (point,) = past_books.check(request.symbol, request.levels, {"at": request.at})
        answer = await self._past.book_at(record, request.symbol, point, levels)
        return past_books.book_at(answer)

    @override
    async def DiffBook(self, request: pb.DiffBookRequest, context: Context) -> pb.DiffBookResponse:
        record = self._plant.store.get(parse(request.exchange, "exchanges", field="exchange"))
        points = {"from_point": request.from_point, "to_point": request.to_point}
        levels, (first, second) = past_books.check(request.symbol, request.levels, points)
        answer = await self._past.difference(record, request.symbol, (first, second), levels)
        return past_books.difference(answer)

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
    for book in [answer, *tables(answer.get("books"))]:
        summary(book)
    for side in ("bids", "asks"):
        for entry in lists(answer.get(side)):
            level(entry)
