"""What stats files tell, for people and for programs: the work behind `tickdeck stat`."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tickdeck_daemon.stats.file import StatsFile
from tickdeck_daemon.stats.types import (
    LOSS_REASONS,
    GapRow,
    GapState,
    Identity,
    NotReadyError,
    StatsError,
    drop_verdict,
    gap_fault,
    gap_sources,
)
from tickdeck_daemon.workers.identity import boot_id, process_stat

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
"""What is told of a distribution."""


def newest_files(path: Path) -> list[Path]:
    """The stats file of each worker that `path` means, newest incarnations only.

    Args:
        path: A stats file, a worker's directory, a directory of such, or a runtime directory.

    Raises:
        OSError: the path does not exist or cannot be read.
        NotReadyError: there is no stats file.
    """
    if not path.is_dir():
        path.stat()
        return [path]
    workers = path / "workers"
    below = sorted((workers if workers.is_dir() else path).iterdir())
    found = [_newest(path), *(_newest(entry) for entry in below if entry.is_dir())]
    files = [file for file in found if file]
    if not files:
        raise NotReadyError(f"{path}: no stats file here or below workers/")
    return files


def to_json(path: Path, *, now_mono_ns: int | None = None) -> dict[str, Any]:
    """Everything that the stats files of `path` hold; integers stay exact.

    A file that cannot be read is an entry with its `error`; the others are told all the same.

    Args:
        path: As in `newest_files`.
        now_mono_ns: CLOCK_MONOTONIC for ages; now when omitted.

    Raises:
        OSError: the path does not exist or cannot be read.
        NotReadyError: there is no stats file.
    """
    now = time.monotonic_ns() if now_mono_ns is None else now_mono_ns
    return {"workers": [_file_facts(file, now) for file in newest_files(path)]}


def render(report: dict[str, Any]) -> str:
    """The result of `to_json` as text for a terminal."""
    return "\n\n".join("\n".join(_worker_lines(worker)) for worker in report["workers"])


def is_alive(identity: Identity) -> bool:
    """Whether the process that wrote a file still runs: same boot, pid and start time.

    Raises:
        OSError: `/proc` cannot be read.
    """
    if identity.boot_id != boot_id():
        return False
    stat = process_stat(identity.pid)
    return (
        stat is not None
        and stat.state not in ("Z", "X")
        and stat.start_time_ticks == identity.start_ticks
    )


def _newest(directory: Path) -> Path | None:
    with os.scandir(directory) as entries:
        found = [e for e in entries if e.name.startswith("stats.") and e.name.endswith(".dat")]
    # A live file is written all the time, and a dead one was before the next one was made.
    newest = max(found, key=lambda entry: entry.stat().st_ctime_ns, default=None)
    return Path(newest.path) if newest else None


def _file_facts(path: Path, now_mono_ns: int) -> dict[str, Any]:
    try:
        with StatsFile.open(path) as stats:
            return {"file": str(path), **_facts(stats, now_mono_ns)}
    except (StatsError, OSError, ValueError) as error:
        return {"file": str(path), "error": str(error)}


def _facts(stats: StatsFile, now_mono_ns: int) -> dict[str, Any]:
    identity = stats.identity
    same_boot = identity.boot_id == boot_id()

    def age(mono_ns: int) -> int | None:
        return max(0, now_mono_ns - mono_ns) if same_boot and mono_ns else None

    return {
        "worker": identity.worker_id,
        "resource": identity.resource,
        "build_id": identity.build_id,
        "incarnation": identity.incarnation,
        "generation": identity.generation,
        "pid": identity.pid,
        "alive": is_alive(identity),
        "this_boot": same_boot,
        "started_ns": identity.start_real_ns,
        "state": stats.state.name,
        "sub_state": stats.sub_state,
        "state_age_ns": age(stats.state_since_mono_ns),
        "heartbeat_age_ns": age(stats.heartbeat_mono_ns),
        "last_packet_age_ns": age(stats.last_packet_mono_ns),
        "progress": stats.progress,
        "command_generation": stats.command_generation,
        "metrics": _metric_facts(stats),
        "histograms": _histogram_facts(stats),
        "gaps": [_gap_facts(row) for row in stats.gaps()],
        "torn_gaps": stats.torn_gaps(),
        "exit": _exit_facts(stats, age),
    }


def _metric_facts(stats: StatsFile) -> list[dict[str, Any]]:
    return [
        {
            "name": metric.name,
            "labels": metric.labels,
            "kind": metric.kind.name,
            "unit": metric.unit,
            "value": metric.value,
        }
        for metric in stats.metrics()
    ]


def _histogram_facts(stats: StatsFile) -> list[dict[str, Any]]:
    return [
        {
            "name": view.name,
            "labels": view.labels,
            "unit": view.unit,
            "count": view.count,
            "sum": view.sum,
            "min": view.min,
            "max": view.max,
            "percentiles": {f"p{p:g}": view.percentile(p) for p in PERCENTILES},
        }
        for view in stats.histograms()
    ]


def _gap_facts(row: GapRow) -> dict[str, Any]:
    known = row.reason < len(LOSS_REASONS)
    return {
        "id": row.id,
        "channel": row.channel,
        "first": row.first,
        "last": row.last,
        "state": row.state.name,
        "sources": gap_sources(row.sources),
        "reason": LOSS_REASONS[row.reason] if known else f"reason {row.reason}",
        "detected_ns": row.detected_ns,
        "waited_ns": row.waited_ns,
        "requested_ns": row.requested_ns,
        "requested_last_ns": row.requested_last_ns,
        "partial_ns": row.partial_ns,
        "snapshot_ns": row.snapshot_ns,
        "closed_ns": row.closed_ns,
        "attempts": row.attempts,
        "missing": row.missing,
        "brought": _brought(row),
        "stale_answers": row.stale_answers,
        "injected": row.injected,
        "fault": gap_fault(row.fault),
        "drop_verdict": drop_verdict(row.drop_layer),
        "drop_count": row.drop_count,
        "lines_missed": gap_sources(row.lines_missed),
        "lost_on": row.lost_on,
        "slo_violated": row.slo_violated,
        "noted": row.noted,
    }


def _brought(row: GapRow) -> dict[str, int]:
    """Messages by the source that brought them."""
    return {
        "line_a": row.by_line_a,
        "line_b": row.by_line_b,
        "other_lines": row.by_other_lines,
        "request": row.by_request,
        "stream": row.by_stream,
        "peer": row.by_peer,
        "snapshot": row.by_snapshot,
    }


def _exit_facts(stats: StatsFile, age: Callable[[int], int | None]) -> dict[str, Any] | None:
    record = stats.exit_record
    if record is None:
        return None
    return {
        "reason": record.reason.name,
        "code": record.code,
        "signal": record.signal,
        "message": record.message,
        "location": record.location,
        "age_ns": age(record.mono_ns),
    }


def _worker_lines(worker: dict[str, Any]) -> list[str]:
    if "error" in worker:
        return [f"cannot read {worker['error']}"]
    life = "alive" if worker["alive"] else "dead"
    state = f"{worker['state']}{_since(worker['state_age_ns'])}"
    ages = [_ago(worker[age], worker) for age in ("heartbeat_age_ns", "last_packet_age_ns")]
    lines = [
        f"{worker['worker']}  {worker['resource']}  pid {worker['pid']} {life}  {state}",
        f"  heartbeat {ages[0]}, last packet {ages[1]}, progress {worker['progress']:,}",
        f"  incarnation {worker['incarnation']}, build {worker['build_id']}, "
        f"generation {worker['generation']}, started {_utc(worker['started_ns'])}",
    ]
    if worker["exit"]:
        lines.append(f"  exit {_exit_text(worker['exit'])}")
    sections = [
        ("metrics", map(_metric_cells, worker["metrics"])),
        ("histograms", map(_histogram_cells, worker["histograms"])),
        ("gaps", map(_gap_cells, worker["gaps"])),
    ]
    for title, rows in sections:
        table = _table(list(rows))
        lines += [f"  {title}", *(f"    {line}" for line in table)] if table else []
    if worker["torn_gaps"]:
        lines.append(f"    and {worker['torn_gaps']} rows whose writer stopped half-way")
    return lines


def _exit_text(record: dict[str, Any]) -> str:
    signal = f", signal {record['signal']}" if record["signal"] else ""
    place = f" ({record['location']})" if record["location"] else ""
    return f"{record['reason']}, code {record['code']}{signal}: {record['message']}{place}"


def _metric_cells(metric: dict[str, Any]) -> Sequence[str]:
    return _series(metric), f"{metric['value']:>20,}", metric["unit"]


def _histogram_cells(view: dict[str, Any]) -> Sequence[str]:
    if not view["count"]:
        return _series(view), "empty"
    told = {**view["percentiles"], "max": view["max"]}
    values = [f"{name} {_quantity(value, view['unit'])}" for name, value in told.items()]
    return _series(view), f"n {view['count']:,}", *values


def _gap_cells(gap: dict[str, Any]) -> Sequence[str]:
    took = gap["closed_ns"] - gap["detected_ns"] if gap["closed_ns"] else None
    is_lost = gap["state"] == GapState.UNRECOVERABLE.name
    outcome = gap["reason"] if is_lost else "+".join(gap["sources"])
    return (
        f"#{gap['id']}",
        f"{gap['first']}-{gap['last']}",
        gap["state"],
        f"missing {gap['missing']:,}",
        f"asked {gap['attempts']}x",
        outcome,
        _missed_on(gap),
        _lost_at(gap),
        f"fault {gap['fault']}" if gap["fault"] != "none" else "",
        _utc(gap["detected_ns"]),
        f"after {_quantity(took, 'ns')}" if took is not None else "open",
        "SLO violated" if gap["slo_violated"] else "",
        "noted" if gap["noted"] else "",
    )


def _missed_on(gap: dict[str, Any]) -> str:
    missed = "+".join(gap["lines_missed"])
    if gap["lost_on"] == "all":
        return f"lost on all lines ({missed})" if missed else "lost on all lines"
    return f"late, missed on {missed}" if missed else ""


def _lost_at(gap: dict[str, Any]) -> str:
    if not gap["drop_verdict"]:
        return ""
    count = f" {gap['drop_count']:,}" if gap["drop_count"] else ""
    return f"lost at {gap['drop_verdict']}{count}"


def _series(metric: dict[str, Any]) -> str:
    labels = ",".join(f"{key}={value}" for key, value in metric["labels"].items())
    return f"{metric['name']}{{{labels}}}" if labels else metric["name"]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = max((len(row) for row in rows), default=0)
    widths = [max((len(r[c]) for r in rows if c < len(r)), default=0) for c in range(columns)]
    return [_joined(zip(row, widths, strict=False)) for row in rows]


def _joined(cells: Iterable[tuple[str, int]]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in cells).rstrip()


def _since(age_ns: int | None) -> str:
    return "" if age_ns is None else f" for {_quantity(age_ns, 'ns')}"


def _ago(age_ns: int | None, worker: dict[str, Any]) -> str:
    if age_ns is not None:
        return f"{_quantity(age_ns, 'ns')} ago"
    return "never" if worker["this_boot"] else "before the last boot"


def _quantity(value: int, unit: str) -> str:
    if unit != "ns":
        return f"{value:,} {unit}".rstrip()
    if value >= 1_000_000_000_000:
        return f"{value // 1_000_000_000:,} s"
    for scale, name in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value} ns"


def _utc(real_ns: int) -> str:
    moment = datetime.fromtimestamp(real_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{real_ns % 1_000_000_000 // 1_000_000:03}Z"
