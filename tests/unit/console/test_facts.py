"""Facts, chain, log lines and exchange files."""

import tomllib
from dataclasses import replace

import pytest

from tickdeck_console.model.chain import Verdict as Stage
from tickdeck_console.model.chain import chain, journal_node
from tickdeck_console.model.exchange_file import (
    FEEDS,
    ExchangeForm,
    FieldError,
    exchange_toml,
    template,
)
from tickdeck_console.model.facts import (
    CheckReport,
    ExchangeCheck,
    Gap,
    GapStage,
    Replay,
    ReplayState,
    Verdict,
)
from tickdeck_console.model.frame import Book, Exchange, Health, Journal, Latency, Line
from tickdeck_console.model.logline import parse
from tickdeck_daemon.exchanges.config import parse_exchange

FINE = Exchange(
    "XNAS",
    Health.OK,
    lines=(Line("A"), Line("B")),
    journal=Journal("OK"),
    book=Book("GOOD"),
    workers=("rx RUNNING", "book RUNNING"),
)
FORM = ExchangeForm("XNAS", "239.81.0.1:31001", "239.81.0.2:31002", "lo", "127.0.0.1:31009")


def words(exchange: Exchange) -> str:
    nodes = (*chain(exchange), journal_node(exchange))
    return " ".join(f"{node.name}:{node.word}" for node in nodes if node.verdict)


def test_a_healthy_chain_is_ok() -> None:
    """No stage is blamed without a reason."""
    assert words(FINE) == ""
    assert len(chain(FINE)) == 6


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        ({"lines": (Line("A"), Line("B", silent=True))}, "wire:no B"),
        ({"lines": (Line("A", silent=True),)}, "wire:silent"),
        ({"drop_rate": 3.0}, "socket:DROPS"),
        ({"workers": ("rx BACKOFF", "book RUNNING")}, "rx:BACKOFF"),
        ({"gaps_open": 1}, "seq:GAP"),
        ({"recovery": "UNRECOV"}, "seq:LOST"),
        ({"book": Book("SUSPECT")}, "book:SUSPECT"),
        ({"book": Book("GOOD", laps=2)}, "ring:lapped 2"),
        ({"workers": ("rx RUNNING", "book STOPPED")}, "book:STOPPED"),
        ({"journal": Journal("READONLY")}, "wal:READONLY"),
        ({"journal": Journal("OK", sync_p99_ns=60_000_000)}, "wal:slow"),
        ({"lines": ()}, "wire:?"),
    ],
)
def test_each_fault_blames_its_stage(change: dict[str, object], blamed: str) -> None:
    """The chain names the stage where to look, and no other."""
    assert words(replace(FINE, **change)) == blamed  # type: ignore[arg-type]


def test_drops_with_a_gap_are_worse_than_drops_alone() -> None:
    """As long as the other line fills in, drops are a warning."""
    dropping = replace(FINE, drop_rate=3.0)
    assert chain(dropping)[1].verdict is Stage.WARN
    assert chain(replace(dropping, gaps_open=1))[1].verdict is Stage.BAD


def test_latency_prefers_the_best_time_stamps() -> None:
    """Kernel stamps are shown before user stamps, and an empty entry never."""
    entries = (
        Latency("rx_to_book", "user", 5, p99_ns=1),
        Latency("rx_to_book", "kernel", 5, p99_ns=2),
        Latency("rx_to_book", "hardware", 0, p99_ns=3),
    )
    found = replace(FINE, latencies=entries).latency()
    assert found is not None
    assert found.source == "kernel"
    assert FINE.latency() is None


def test_a_gap_counts_inclusively() -> None:
    """A range of one message has one message."""
    assert Gap("X", 1, 7, 7, GapStage.WAITING).messages == 1
    assert [stage.name for stage in GapStage if stage.open][1:] == [
        "DETECTED", "WAITING", "REQUESTED", "PARTIAL", "SNAPSHOT",
    ]  # fmt: skip


def test_the_worst_check_decides() -> None:
    """Not knowing is worse than a warning, and failing is worse than not knowing."""
    checks = tuple(ExchangeCheck(v.name, v) for v in (Verdict.PASS, Verdict.UNKNOWN, Verdict.WARN))
    assert CheckReport(checks).verdict is Verdict.UNKNOWN
    assert CheckReport().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("replay", "progress"),
    [
        (Replay("a", ReplayState.RUNNING, from_seq=1, to_seq=100, position=25), 0.25),
        (Replay("a", ReplayState.RUNNING, from_seq=0, to_seq=100, position=0), 0.0),
        (Replay("a", ReplayState.RUNNING, from_seq=51, to_seq=100, position=75), 0.5),
        (Replay("a", ReplayState.RUNNING, position=75), None),
        (Replay("a", ReplayState.DONE), 1.0),
        (Replay("a", ReplayState.RUNNING, to_seq=10, position=99), 1.0),
    ],
)
def test_progress_of_a_replay(replay: Replay, progress: float | None) -> None:
    """Progress stays between none and all, and is not claimed where the end is unknown."""
    assert replay.progress == progress


def test_a_log_line_is_taken_apart() -> None:
    """Fields of the worker's JSON lines follow the message."""
    line = parse(
        '{"timestamp":"2026-01-02T03:04:05.123456Z","level":"WARN","target":"rx",'
        '"fields":{"message":"gap opened","first":7},"thread":"rx"}'
    )
    assert (line.time, line.level, line.message) == (
        "03:04:05.123", "WARN", "gap opened first=7 thread=rx",
    )  # fmt: skip
    assert line.error


@pytest.mark.parametrize("raw", ["not json \x1b[31m", "[1, 2]", '"text"', "", "{broken"])
def test_other_log_lines_are_shown_as_they_are(raw: str) -> None:
    """Whatever a dying worker printed is shown, without its escape codes."""
    line = parse(raw)
    assert line.message == raw.replace("\x1b[31m", "")
    assert not line.error


def test_the_form_makes_a_valid_exchange_file() -> None:
    """The text is TOML with the fields where the daemon looks for them."""
    document = tomllib.loads(exchange_toml(FORM))
    assert document["name"] == "XNAS"
    assert [(line["name"], line["group"], line["port"]) for line in document["line"]] == [
        ("A", "239.81.0.1", 31001),
        ("B", "239.81.0.2", 31002),
    ]
    assert document["recovery"]["request_address"] == "127.0.0.1:31009"


def test_an_ipv6_group_stands_in_brackets() -> None:
    """The file has the group without them."""
    document = tomllib.loads(exchange_toml(replace(FORM, line_a="[ff15::1]:31001")))
    assert (document["line"][0]["group"], document["line"][0]["port"]) == ("ff15::1", 31001)


def test_without_a_server_nothing_is_re_requested() -> None:
    """An empty address means that there is no re-request server."""
    document = tomllib.loads(exchange_toml(replace(FORM, request_address="", line_b="")))
    assert document["recovery"] == {"replay_protocol": "none"}
    assert len(document["line"]) == 1


@pytest.mark.parametrize("feed", FEEDS)
def test_each_feed_has_its_decoder_and_its_snapshots(feed: str) -> None:
    """The daemon takes the form's file, and the template's, for every feed."""
    form = replace(FORM, feed=feed, request_address="", snapshot="239.81.0.3:31003")
    if feed == "moldudp64":
        form = replace(FORM, snapshot="192.0.2.1:31010")
    for text in (exchange_toml(form), template(feed)):
        config = parse_exchange(text)
        assert config.book.enabled
        assert (config.protocol, config.decoder) == (FEEDS[feed].protocol, FEEDS[feed].decoder)
        assert config.recovery.sources[-1].protocol == FEEDS[feed].snapshot
        assert config.eobi_release == (FEEDS[feed].release or "14.1")


@pytest.mark.parametrize("feed", FEEDS)
def test_what_a_template_offers_is_taken(feed: str) -> None:
    """The lines that it has as comments are keys of the daemon's."""
    offered = [line.removeprefix("# ") for line in template(feed).splitlines()]
    config = parse_exchange("\n".join(line for line in offered if _is_toml(line)))
    assert config.book.reference_csv == "/etc/tickdeck/EXAMPLE.csv"
    assert [tick.tick_size for tick in config.book.tick] == ["0.01"]


def _is_toml(line: str) -> bool:
    return line.startswith("[") or " = " in line


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        (replace(FORM, name=""), "name"),
        (replace(FORM, line_a=""), "line A"),
        (replace(FORM, line_a="239.81.0.1"), "line A"),
        (replace(FORM, line_b="239.81.0.1:99999"), "line B"),
        (replace(FORM, request_address=":1"), "request address"),
        (replace(FORM, line_a="ff15::1:31001"), "line A.*in brackets"),
        (replace(FORM, feed="itch"), "feed: 'itch' is not moldudp64, eobi, eobi-6.0, cme_mdp3"),
        (replace(FORM, feed="eobi"), "re-request: eobi has no such server"),
        (replace(FORM, snapshot="239.81.0.3"), "snapshots"),
    ],
)
def test_an_unusable_field_is_named(form: ExchangeForm, complaint: str) -> None:
    """The message says which field to mend."""
    with pytest.raises(FieldError, match=complaint):
        exchange_toml(form)


def test_foreign_text_cannot_break_out_of_its_string() -> None:
    """Quotes, line breaks and control codes stay inside the value."""
    name = 'X"\n[journal]\ndata_dir="/"\\\x00'
    assert tomllib.loads(exchange_toml(replace(FORM, name=name)))["name"] == name
