"""The made-up plant's journals: their promise, readers elsewhere, a report that waits."""

from dataclasses import replace

from tickdeck_console.model import wal
from tickdeck_console.model.frame import Cause, Exchange, Export, Health, Journal

GIB = 1 << 30


def healthy(key: str, index: int, records: int, sync_p99_ns: int) -> Journal:
    """A journal of which everything is as it should be."""
    return Journal(
        state="OK",
        appended_seq=records,
        written_seq=records,
        durable_seq=records,
        records=records,
        segments=records // 400_000 + 1,
        octets=records * 180,
        sync_p99_ns=sync_p99_ns,
        directory=f"/var/lib/tickdeck/journal/{key}",
        sync_policy="batch",
        acked_seq=records if exports(index) else None,
        sync_p50_ns=sync_p99_ns * 2 // 5,
        flush_p99_ns=45_000,
        worst_loss="nothing acknowledged; else the last 5 ms + one sync",
        compression="zstd",
        recovery_mode="tail",
        on_failure="degrade",
        oldest_seq=1,
        disk_free_octets=(400 + 10 * index) * GIB,
        octet_rate=4.2e6,
        disk_full_in_s=(400 + 10 * index) * GIB // 4_200_000,
    )


def moved(journal: Journal, records: int, behind: int) -> Journal:
    """The journal with more records; some are not durable, some more not acknowledged."""
    durable = max(records - behind, 0)
    acked = None if journal.acked_seq is None else max(durable - 12 * behind, 0)
    return replace(
        journal,
        appended_seq=records,
        written_seq=records,
        durable_seq=durable,
        acked_seq=acked,
        records=records,
        octets=records * 180,
        unsynced_octets=behind * 180,
    )


def exporter(index: int) -> Export:
    """The exporter of every other exchange."""
    if not exports(index):
        return Export()
    return Export(
        state="RUNNING",
        mode="listen",
        address=f"10.20.0.5:{7000 + index}",
        active=2,
        octet_rate=8.4e6,
        cert_expires_s=61 * 86_400,
        sight_age_ms=210,
        pin_lag_ms=0,
    )


def exports(index: int) -> bool:
    """Whether the exchange of this number has an exporter."""
    return index % 2 == 0


def hurt(row: Exchange) -> Exchange:
    """A torn tail after a power cut, a hole, and a reader that was away for too long."""
    return replace(
        row,
        health=Health.DEGRADED,
        causes=(
            Cause(
                "recovery report of the journal waits for you",
                "1 problems not acknowledged (normal 0)",
                "WalRecoveryReport.runbook.md",
            ),
        ),
        journal=replace(
            row.journal,
            recovery_problems=1,
            holes=1,
            holes_waiting=1,
            hole_records=812,
            pins_lost=1,
            reopens=1,
        ),
    )


def report(row: Exchange) -> wal.RecoveryReport | None:
    """What the last start found, where there is something that waits."""
    if not row.journal.recovery_problems:
        return None
    problem = wal.RecoveryProblem(
        "0000000031.tdj", 21_430_272, "torn_tail", 12_400_001, 12_400_064, 4096, "cut_torn_tail"
    )
    return wal.RecoveryReport(row.since_ns, "tail", clean=False, problems=(problem,))


def losses(row: Exchange) -> tuple[wal.Loss, ...]:
    """The hole that nobody has acknowledged."""
    if not row.journal.holes_waiting:
        return ()
    return (wal.Loss("hole", 12_400_065, 12_400_876, row.since_ns),)


def subscribers(row: Exchange) -> tuple[wal.Subscriber, ...]:
    """Two readers, and a place kept for a third."""
    acked = row.journal.acked_seq
    if acked is None:
        return ()
    since, durable = row.since_ns, row.journal.durable_seq
    away = durable - 2_400_000 if row.journal.pins_lost else durable - 41_000
    lost = bool(row.journal.pins_lost)
    kept = max(acked - 88, 0)
    return (
        wal.Subscriber(
            "desk-1",
            "10.20.4.17:51514",
            "LIVE",
            durable,
            acked,
            14_000,
            durable - acked,
            3,
            "disconnect",
            since,
            kept_seq=kept,
        ),
        wal.Subscriber(
            "risk",
            "10.20.4.30:40022",
            "LIVE",
            durable,
            acked,
            2_000,
            durable - acked,
            1,
            "skip_to_live",
            since,
            kept_seq=kept,
        ),
        wal.Subscriber(
            "archive",
            state="AWAY",
            acked_seq=max(away, 0),
            lag_records=durable - max(away, 0),
            policy="retain",
            since_ns=since,
            lost=lost,
            kept_seq=max(away, 0),
            reason="what it had not acknowledged was pruned" if lost else "",
        ),
    )
