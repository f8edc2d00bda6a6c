"""Exchanges that number packets, through the daemon: simulator, workers, command line, all real."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo_runs import program
from recovery_plant import WAIT_S, free_ports, run_quiet, until
from tickdeck.v1.exchange_service_pb2 import CreateExchangeRequest
from tickdeck.v1.observe_service_pb2 import GetSnapshotRequest
from tickdeck.v1.system_service_pb2 import DrainDaemonRequest
from tickdeck.v1.worker_service_pb2 import ListWorkersRequest
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.demo.processes import Child
from tickdeck_console.model.exchange_file import ExchangeForm, exchange_toml

NAME = "VEN"
EXCHANGE = f"exchanges/{NAME}"
LOST = json.dumps(
    {"fault": "drop", "args": {"line": "AB", "ranges": [[700, 740]]}, "lease_ms": 600_000}
)
PLAY = ("--steps", "4000", "--rate", "2000", "--fault", LOST)


@dataclass(frozen=True, slots=True)
class Feed:
    """What is played, and what its books look like."""

    feed: str
    play: str
    instrument: str
    books: int
    decimals: tuple[int, int]
    """Of prices and of quantities."""
    ticks: tuple[str, int]
    """Of every instrument, as configured and as an integer of the venue's."""


EOBI = Feed("eobi", "play-eobi", "600000", 12, (8, 4), ("0.50", 50_000_000))
CME = Feed("cme_mdp3", "play-cme", "1000", 15, (9, 0), ("0.025", 25_000_000))


class VenuePlant:
    """A daemon with one exchange; made by `venue_plant`."""

    def __init__(self, base: Path, feed: Feed) -> None:
        """Nothing is started yet."""
        self.base = base
        self.feed = feed
        self.target = f"unix:{base / 'run' / 'tickdeckd.sock'}"
        self.client = Client(self.target)
        ports = free_ports(3)
        self.places = [f"239.81.5.{place}:{port}" for place, port in enumerate(ports, start=1)]
        self._daemon: Child | None = None
        self._venue: Child | None = None

    async def start(self) -> None:
        """Start the daemon and the exchange; returns when both workers are ready."""
        command: list[str | Path] = [program("tickdeckd"), "run", "--ready-fd", "1"]
        folders = {"runtime": "run", "state": "state", "config": "config", "log": "log"}
        for name, folder in folders.items():
            (self.base / folder).mkdir()
            command += [f"--{name}-dir", self.base / folder]
        self._daemon = await Child.start("tickdeckd", command, self.base / "tickdeckd.log")
        await self._daemon.first_line()
        request = CreateExchangeRequest(request_id=new_request_id(), toml=self._toml())
        await self.client.exchange.CreateExchange(request, timeout=WAIT_S)

        async def ready() -> list[bool]:
            response = await self.client.worker.ListWorkers(ListWorkersRequest(exchange=EXCHANGE))
            return [worker.ready for worker in response.workers]

        await until(ready, lambda found: found == [True, True], "both workers ready")

    async def play(self) -> None:
        """Play the venue's day to its end."""
        line_a, line_b, snapshots = self.places
        command: list[str | Path] = [program("tickdeck-sim"), self.feed.play, *PLAY]
        command += ["--line", f"A={line_a}", "--line", f"B={line_b}"]
        command += ["--snapshot-line", f"A={snapshots}"]
        self._venue = await Child.start("tickdeck-sim", command, self.base / "sim.log")
        await self._venue.first_line()
        assert await asyncio.wait_for(self._venue.process.wait(), WAIT_S) == 0

    async def tickdeck(self, *arguments: str) -> str:
        """What a `tickdeck` command prints that succeeds."""
        command = [str(program("tickdeck")), "--target", self.target, *arguments]
        result = await asyncio.to_thread(run_quiet, command)
        assert result.returncode == 0, result.stderr
        return result.stdout

    async def books(self) -> list[dict[str, Any]]:
        """The books, as the command line tells scripts."""
        return json.loads(await self.tickdeck("book", "list", NAME, "--json"))["books"]

    async def close(self) -> None:
        """Drain the workers and stop what was started."""
        daemon, self._daemon = self._daemon, None
        if self._venue is not None:
            await self._venue.stop()
        if daemon is not None:
            request = DrainDaemonRequest(request_id=new_request_id(), stop_workers=True)
            try:
                await self.client.system.DrainDaemon(request, timeout=WAIT_S)
                await asyncio.wait_for(daemon.process.wait(), WAIT_S)
            finally:
                await daemon.stop()
        await self.client.close()

    def _toml(self) -> str:
        """The file of the console's form, with the ticks of all instruments in a reference file."""
        tick = self.feed.ticks[0]
        reference = self.base / "reference.csv"
        products = [f"{product}00{one}" for product in range(600, 604) for one in range(3)]
        names = products if self.feed is EOBI else [str(1000 + index) for index in range(9)]
        lines = ["SecurityID;Min Price Increment", *(f"{name};{tick}" for name in names)]
        reference.write_text("\n".join(lines) + "\n")
        line_a, line_b, snapshots = self.places
        form = ExchangeForm(
            NAME, line_a, line_b, "127.0.0.1", "", feed=self.feed.feed, snapshot=snapshots
        )
        settings = f'[receive]\nrcvbuf_bytes = 1048576\n[book]\nreference_csv = "{reference}"\n'
        return exchange_toml(form) + settings


@asynccontextmanager
async def venue_plant(feed: Feed) -> AsyncGenerator[VenuePlant]:
    """A plant whose workers are ready; nothing of it is left behind."""
    base = Path(tempfile.mkdtemp(prefix="tickdeck-ven-", dir="/tmp"))
    plant = VenuePlant(base, feed)
    try:
        await plant.start()
        yield plant
    finally:
        try:
            await plant.close()
        finally:
            shutil.rmtree(base, ignore_errors=True)


@pytest.mark.parametrize("feed", [EOBI, CME], ids=["eobi", "cme_mdp3"])
async def test_books_of_a_simulated_venue(feed: Feed) -> None:
    """Packets lost on both lines are healed by the snapshot channel; the command line and the
    health tell books in the venue's scale, with the ticks of the reference file."""
    async with venue_plant(feed) as plant:
        await plant.play()
        books = await until(
            plant.books,
            lambda seen: len(seen) == feed.books and {b["trust"] for b in seen} == {"GOOD"},
            "every book good",
        )
        for book in books:
            assert book["price_decimals"] == feed.decimals[0]
            assert book.get("quantity_decimals", 0) == feed.decimals[1]
            assert int(book["tick"]) == feed.ticks[1], book
        shown = await plant.tickdeck("book", "depth", NAME, feed.instrument)
        head, _, *rows = shown.splitlines()
        assert f"tick {float(feed.ticks[0]):.4f}" in head, shown
        assert {row.split()[0] for row in rows} == {"ask", "bid"}
        found = json.loads(await plant.tickdeck("book", "depth", NAME, feed.instrument, "--json"))
        best = next(b for b in books if b["symbol"] == feed.instrument and b["kind"] == "order")
        assert found["bids"][0]["price"] == best["best_bid"]["price"]
        assert int(found["bids"][0]["price"]) % feed.ticks[1] == 0
        past = json.loads(
            await plant.tickdeck("book", "at", NAME, feed.instrument, "now", "--json")
        )
        assert past["bids"] == found["bids"]
        assert past["asks"] == found["asks"]
        await _difference_of_one_book(plant, found["bids"])
        snapshot = await plant.client.observe.GetSnapshot(GetSnapshotRequest())
        (exchange,) = snapshot.exchanges
        assert (exchange.book.trust, exchange.book.books) == ("GOOD", feed.books)


async def _difference_of_one_book(plant: VenuePlant, bids: list[dict[str, Any]]) -> None:
    """Taken the changes since a point, its bids are those of now."""
    name, point = plant.feed.instrument, "@1000"
    asked = "book", "diff", NAME, name, point, "now", "--levels", "1000", "--json"
    changes = json.loads(await plant.tickdeck(*asked))
    old = json.loads(
        await plant.tickdeck("book", "at", NAME, name, point, "--levels", "1000", "--json")
    )
    levels = {level["price"]: level for level in old["bids"]}
    for change in changes["levels"]:
        if change["side"] == "bid":
            assert levels.pop(change["price"], None) == change.get("before")
            if change["after"]:
                levels[change["price"]] = change["after"]
    best = sorted(levels.values(), key=lambda level: -int(level["price"]))
    assert best[: len(bids)] == bids
    assert changes["levels"]
    assert int(changes["to_place"]["messages"]) > int(changes["from_place"]["messages"])


async def test_cme_has_books_by_price_and_by_order() -> None:
    """One instrument, two books: each kind of depth is asked for by its name."""
    async with venue_plant(CME) as plant:
        await plant.play()
        by_price = await plant.tickdeck("book", "depth", NAME, CME.instrument, "--kind", "price")
        assert f"{CME.instrument} by price" in by_price
        by_order = await plant.tickdeck("book", "depth", NAME, CME.instrument, "--kind", "order")
        assert "by price" not in by_order
        implied = await plant.tickdeck("book", "depth", NAME, CME.instrument, "--kind", "implied")
        assert f"{CME.instrument} by implied" in implied
        rows = await plant.books()
        ordered = {row["symbol"] for row in rows if row["kind"] == "order"}
        alone = next(row["symbol"] for row in rows if row["symbol"] not in ordered)
        changes = json.loads(
            await plant.tickdeck("book", "diff", NAME, alone, "@1000", "now", "--json")
        )
        assert changes["after"]["kind"] == "price"
        assert changes["after"]["price_decimals"] == 9
        assert changes["levels"]
        command = [str(program("tickdeck")), "--target", plant.target, "book", "check", NAME]
        refused = await asyncio.to_thread(run_quiet, [*command, "--symbol", alone])
        assert refused.returncode != 0
        assert "those are checked with all books" in refused.stderr
