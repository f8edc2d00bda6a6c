"""Configuration: the daemon's settings, the exchange files, the workers' spec documents."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tickdeck_daemon.exchanges.model import (
    Arbiter,
    Book,
    Capture,
    ExchangeConfig,
    General,
    Journal,
    Line,
    Receive,
    Recovery,
    RecoverySource,
    Ring,
    Snapshot,
    TcpExport,
)
from tickdeck_daemon.exchanges.text import Host, host_faults, parse_exchange
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.views import WORKER_KINDS, WorkerKind

__all__ = [
    "SPEC_SCHEMA",
    "Arbiter",
    "Book",
    "Capture",
    "ExchangeConfig",
    "General",
    "Host",
    "Journal",
    "Line",
    "Receive",
    "Recovery",
    "RecoverySource",
    "Ring",
    "Settings",
    "Snapshot",
    "TcpExport",
    "host_faults",
    "parse_exchange",
    "spec_hash",
    "to_spec",
    "worker_id",
    "worker_kinds",
]

SPEC_SCHEMA = "tickdeck.spec/v1"
"""Version of the spec document; a worker refuses any other."""

_RECEIVER_PARTS = ("receive", "afxdp", "packet_mmap", "line", "arbiter", "recovery", "capture")
_IGNORES: dict[WorkerKind, tuple[str, ...]] = {
    "rx": ("book", "tcp_export"),
    "book": (*_RECEIVER_PARTS, "tcp_export"),
    "export": (*_RECEIVER_PARTS, "protocol", "decoder", "eobi_release", "channel", "ring", "book"),
}
"""Parts of the exchange that a worker does not use."""


def worker_id(exchange: str, kind: WorkerKind) -> str:
    """Id of a worker, such as `XNAS-rx`."""
    return f"{exchange}-{kind}"


def worker_kinds(config: ExchangeConfig) -> tuple[WorkerKind, ...]:
    """Kinds of worker that an exchange has, in the order of their start."""
    wanted = {"rx": True, "book": config.book.enabled, "export": config.tcp_export.enabled}
    return tuple(kind for kind in WORKER_KINDS if wanted[kind])


def to_spec(
    config: ExchangeConfig,
    kind: WorkerKind,
    settings: Settings,
    *,
    incarnation: str,
    generation: int,
    ticks: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The spec document of one worker process, with every default filled in.

    `ticks` are those of the books, as `resolved_ticks` gives them.
    """
    name = config.name
    exchange = config.model_dump(mode="json", exclude={"enabled", "line", "journal", "tcp_export"})
    exchange["lines"] = [line.model_dump(mode="json") for line in config.lines]
    exchange["journal"] = config.journal.model_dump(mode="json", exclude={"wal_channel_capacity"})
    exchange["ring"]["slot_count"] = config.slot_count
    exchange["tcp_export"] = _export_spec(config.tcp_export)
    exchange["journal"]["data_dir"] = config.journal.data_dir or str(settings.journal_dir(name))
    # Defaults of limits never contradict what the file sets; both set are checked when it is read.
    arbiter, recovery = exchange["arbiter"], exchange["recovery"]
    arbiter["reorder_window_min_ns"] = min(
        arbiter["reorder_window_min_ns"], arbiter["reorder_window_ns"]
    )
    recovery["retry_backoff_max_ms"] = max(
        recovery["retry_backoff_max_ms"], recovery["retry_backoff_ms"]
    )
    exchange["book"] = config.book.model_dump(mode="json", exclude={"tick", "reference_csv"})
    exchange["book"]["ticks"] = list(ticks)
    exchange["capture"]["data_dir"] = config.capture.data_dir or str(settings.capture_dir(name))
    return {
        "schema": SPEC_SCHEMA,
        "kind": kind,
        "worker": worker_id(name, kind),
        "incarnation": incarnation,
        "generation": generation,
        "runtime_dir": str(settings.worker_dir(worker_id(name, kind))),
        "ring_path": str(settings.worker_dir(worker_id(name, "rx")) / "ring"),
        "snapshot_dir": str(settings.snapshot_dir(name)),
        "exchange": exchange,
    }


def _export_spec(table: TcpExport) -> dict[str, Any]:
    """The exporter's part of a spec: each subscriber with its policy filled in."""
    spec = table.model_dump(mode="json", exclude={"subscriber"})
    spec["subscribers"] = [
        {**one.model_dump(mode="json"), "slow_policy": one.slow_policy or table.slow_policy}
        for one in table.subscriber
    ]
    return spec


def spec_hash(config: ExchangeConfig, kind: WorkerKind, settings: Settings) -> str:
    """Hash of what a worker process was started with; another hash means: restart it.

    Only what the file sets counts, so that a new daemon with one more default does not restart
    the plant; and only what this kind of worker uses, so that a new multicast group does not
    restart the book worker.
    """
    ignored = {"enabled", *_IGNORES[kind]}
    document = config.model_dump(mode="json", exclude_defaults=True, exclude=ignored)
    if kind == "export":
        # It reads what is written, however that is done.
        document["journal"] = config.journal.data_dir
    if kind == "rx":
        document["line"] = [
            line.model_dump(mode="json", exclude_defaults=True) for line in config.lines
        ]
    document["directories"] = [str(settings.runtime_dir), str(settings.state_dir)]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
