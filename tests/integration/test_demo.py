"""The whole way of a packet, with real processes: what the book holds at the end is exact."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo_runs import capture, journal_of, offline, program, run_demo, verify

GENERATED = ("--generate", "--messages", "60000", "--instruments", "4", "--seed", "7")
NO_LOSS = ("--loss-a", "0", "--loss-b", "0", "--gap", "0")
RUNS = {
    "no_loss": NO_LOSS,
    "one_percent_on_each_line": ("--gap", "0"),
    "gap_on_both_lines": ("--loss-a", "0", "--loss-b", "0", "--gap", "1000"),
    "all_at_once": ("--rate", "0"),
    "book_killed": ("--kill-book", "--rate", "15000"),
    "daemon_killed": ("--kill-daemon", "--rate", "15000"),
    "receiver_killed": ("--kill-rx", "--rate", "15000"),
    "exporter_killed": ("--kill-export", "--rate", "15000"),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the generated day must end with, from the file: `messages` and `books`."""
    path = tmp_path_factory.mktemp("day") / "day.itch"
    options = [part for part in GENERATED if part != "--generate"]
    subprocess.run([program("tickdeck-sim"), "generate", *options, "--out", path], check=True)
    return offline(path)["final"]


@pytest.mark.parametrize("name", RUNS)
def test_generated_day_ends_exact(name: str, generated: dict[str, Any]) -> None:
    """Whatever is lost, killed or restarted, the live books equal those of the file."""
    report = run_demo(*GENERATED, *RUNS[name])
    assert report["messages"] == generated["messages"] >= 60_000
    assert _essence(report["books"]) == _essence(generated["books"])
    _assert_whole(name, report)


@pytest.mark.parametrize("name", RUNS)
def test_real_order_flow_ends_exact(name: str) -> None:
    """The same on real CME order flow, against results known from elsewhere."""
    path = capture("itch50/es_mbo.itch.gz")
    expected = json.loads(path.with_name("es_mbo.expected.json").read_text())["final"]
    report = run_demo("--input", path, *RUNS[name])
    [book] = report["books"]
    assert report["messages"] == expected["messages"]
    assert book["best_bid"][0] == 4810_0000
    assert book["best_ask"][0] == 4810_2500
    for key in ("orders", "bid_levels", "ask_levels", "queue_sha256"):
        assert book[key] == expected[key]
    _assert_whole(name, report)


@pytest.fixture
def kept_run() -> Iterator[dict[str, Any]]:
    """A run through the live plant that leaves its journal behind."""
    path = capture("itch50/goog_lobster.itch.gz")
    report = run_demo("--input", path, "--rate", "60000", "--keep")
    yield report
    for folder in next(o for o in report["output"] if o.startswith("kept: "))[6:].split(" and "):
        shutil.rmtree(folder)


def test_journal_of_a_live_run_meets_every_published_checkpoint(kept_run: dict[str, Any]) -> None:
    """LOBSTER's own book at each published row, from the journal that the plant wrote."""
    path = capture("itch50/goog_lobster.expected.json.gz")
    expected = json.loads(gzip.decompress(path.read_bytes()))
    wanted = [checkpoint["message"] for checkpoint in expected["checkpoints"]]
    messages = ",".join(map(str, wanted))
    found = offline(journal_of(kept_run), "--messages", messages, "--levels", "10")
    assert [c["message"] for c in found["checkpoints"]] == wanted
    for checkpoint, published in zip(found["checkpoints"], expected["checkpoints"], strict=True):
        for side in ("bids", "asks"):
            levels = [[price, quantity] for price, quantity, _ in checkpoint[side]]
            # LOBSTER fills levels beyond the book's end; the file leaves them out.
            assert levels == published[side], (checkpoint["message"], side)
    [offline_book] = found["final"]["books"]
    [live_book] = kept_run["books"]
    assert offline_book["queue_sha256"] == live_book["queue_sha256"]
    assert live_book["queue_sha256"] == expected["final"]["queue_sha256"]


def test_offline_replay_of_the_journal_equals_the_live_book(
    generated: dict[str, Any],
) -> None:
    """The journal alone gives the same queues as the live books had, and meets each checkpoint."""
    report = run_demo(*GENERATED, "--keep")
    try:
        checkpoints = verify(journal_of(report))["checkpoints"]
        assert checkpoints["found"] == checkpoints["equal"] >= 3
        replayed = offline(journal_of(report))["final"]["books"]
        assert _essence(replayed) == _essence(report["books"]) == _essence(generated["books"])
    finally:
        kept = next(line for line in report["output"] if line.startswith("kept: "))
        for folder in kept.removeprefix("kept: ").split(" and "):
            shutil.rmtree(folder)


def test_default_run_needs_no_options(tmp_path: Path) -> None:
    """A user's first run, headless, is a good run whatever lies beside the checkout."""
    report = run_demo()
    assert report["arbiter"]["gaps_filled"] == report["arbiter"]["gaps_opened"] > 0
    assert all(book["trust"] == "GOOD" for book in report["books"])


def _by_symbol(books: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(books, key=lambda book: book["symbol"])


def _essence(books: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What must be equal between a live book and one built offline."""
    keys = ("symbol", "orders", "bid_levels", "ask_levels", "best_bid", "best_ask", "queue_sha256")
    return [{key: book[key] for key in keys} for book in _by_symbol(books)]


def _assert_whole(name: str, report: dict[str, Any]) -> None:
    """Nothing lost for good, the journal whole, the lines' counters plausible for the faults."""
    arbiter = report["arbiter"]
    assert report["journal"]["verify"] == "ok"
    assert report["journal"]["durable_seq"] >= report["journal"]["records"] > 0
    assert report["reader"]["whole"]
    assert report["reader"]["records"] == report["journal"]["records"]
    assert arbiter["gaps_unrecovered"] == 0
    assert all(book["trust"] == "GOOD" for book in report["books"])
    if name == "no_loss":
        assert arbiter["lost_a"] == arbiter["lost_b"] == 0
    if name == "gap_on_both_lines":
        assert arbiter["gaps_opened"] == arbiter["gaps_filled"] == 1
        assert arbiter["lost_a"] == arbiter["lost_b"] == 1000
    if name == "one_percent_on_each_line":
        assert arbiter["lost_a"] > 0
        assert arbiter["lost_b"] > 0
