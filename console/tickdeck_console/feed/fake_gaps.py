"""Gaps of the made-up plant: open ones in the middle of their recovery, and closed ones."""

import random

from tickdeck_console.model import facts
from tickdeck_console.model.frame import Exchange

SECOND_NS = 1_000_000_000
MS = 1_000_000
INCARNATION = "0b0e7e0c-0000-4000-8000-000000000001"
_DROPS = (("upstream", 0), ("socket", 812), ("", 0), ("nic", 3), ("unknown", 0))
"""Where the closed gaps were lost."""


def open_gap(row: Exchange, number: int, now_ns: int) -> facts.Gap:
    """The open gap of that number; the first is partly filled."""
    first = 88_120_411 + 20_000 * number
    detected_ns = now_ns - row.oldest_gap_ns // number
    partial = number == 1
    stage = facts.GapStage.PARTIAL if partial else facts.GapStage.REQUESTED
    return facts.Gap(
        exchange=row.key,
        id=40 + number,
        name=f"{row.key}-{INCARNATION}-{40 + number}",
        first_seq=first,
        last_seq=first + 999,
        stage=facts.GapStage.SNAPSHOT if row.storm else stage,
        missing=780 if partial else 1000,
        sources=("retransmit",) if partial else (),
        attempts=2,
        drop_verdict="socket",
        drop_count=1_206,
        detected_ns=detected_ns,
        channel=1,
        lines_missed=("A", "B"),
        lost_on="all",
        waited_ns=detected_ns + 2 * MS,
        requested_ns=detected_ns + 3 * MS,
        requested_last_ns=detected_ns + 24 * MS,
        partial_ns=detected_ns + 6 * MS if partial else 0,
        parts=(facts.GapPart("retransmit", 220),) if partial else (),
        stale_answers=1 if partial else 0,
        fault="truncated" if partial else "none",
    )


def closed_gap(row: Exchange, number: int, rng: random.Random, now_ns: int) -> facts.Gap:
    """The closed gap of that number, the newest first; the eighth was lost for good."""
    first = row.next_sequence - 1_000_000 * (number + 1) - rng.randrange(500_000)
    length, took_ns = rng.randrange(1, 900), rng.randrange(600_000, 60_000_000)
    detected_ns = now_ns - (number + 1) * 37 * SECOND_NS
    lost = number == 7
    sources = () if lost else rng.choice((("A",), ("B",), ("retransmit",)))
    attempts = 10 if lost else rng.randrange(0, 3)
    by_line = sources in (("A",), ("B",))
    attempts = 0 if by_line else max(attempts, 1)
    closed_ns = detected_ns + (550 * MS if lost else took_ns)
    asked = attempts > 0
    return facts.Gap(
        exchange=row.key,
        id=40 - number,
        name=f"{row.key}-{INCARNATION}-{40 - number}",
        first_seq=first,
        last_seq=first + length - 1,
        stage=facts.GapStage.UNRECOVERABLE if lost else facts.GapStage.FILLED,
        missing=length if lost else 0,
        sources=sources,
        attempts=attempts,
        detected_ns=detected_ns,
        closed_ns=closed_ns,
        reason="attempts_exhausted" if lost else "",
        slo_violated=lost,
        drop_verdict=_DROPS[number % len(_DROPS)][0],
        drop_count=_DROPS[number % len(_DROPS)][1],
        channel=1,
        lines_missed=("A", "B") if asked else ("B",) if sources == ("A",) else ("A",),
        lost_on="all" if asked else "one",
        waited_ns=detected_ns + took_ns // 8 if asked else 0,
        requested_ns=detected_ns + took_ns // 4 if asked else 0,
        requested_last_ns=closed_ns - took_ns // 4 if attempts > 1 else 0,
        partial_ns=closed_ns - took_ns // 8 if not lost else 0,
        parts=tuple(facts.GapPart(source, length) for source in sources),
        fault="silent" if lost else "none",
        noted=lost,
        notes=(facts.GapNote(closed_ns + 90 * SECOND_NS, "uid:1000", "venue confirmed: not sent"),)
        if lost
        else (),
    )
