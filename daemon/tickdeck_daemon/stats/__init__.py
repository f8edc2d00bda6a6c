"""Stats files of the workers: one import for the reader, its types and the reports.

`StatsFile` reads one file. `render` and `to_json` tell what is in the newest file of a worker's
directory, or of every worker below a runtime directory, with the daemon and the workers dead or
alive. `python -m tickdeck_daemon.stats DIR [--json]` prints them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tickdeck_daemon.stats.file import StatsFile
from tickdeck_daemon.stats.histogram import HistogramView
from tickdeck_daemon.stats.report import newest_files, render, to_json
from tickdeck_daemon.stats.types import (
    GAP_FAULTS,
    GAP_SOURCES,
    LOSS_REASONS,
    DamagedError,
    ExitReason,
    ExitRecord,
    GapRow,
    GapState,
    Identity,
    Kind,
    LayoutError,
    Metric,
    MissingMetricError,
    NotReadyError,
    State,
    StatsError,
    drop_verdict,
    gap_fault,
    gap_sources,
)

__all__ = [
    "GAP_FAULTS",
    "GAP_SOURCES",
    "LOSS_REASONS",
    "DamagedError",
    "ExitReason",
    "ExitRecord",
    "GapRow",
    "GapState",
    "HistogramView",
    "Identity",
    "Kind",
    "LayoutError",
    "Metric",
    "MissingMetricError",
    "NotReadyError",
    "State",
    "StatsError",
    "StatsFile",
    "drop_verdict",
    "gap_fault",
    "gap_sources",
    "newest_files",
    "render",
    "to_json",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a report; 0 when every file could be read, else 1."""
    parser = argparse.ArgumentParser(prog="stat", description="Show the stats files of workers.")
    parser.add_argument("path", type=Path, help="stats file, worker directory, runtime directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        report = to_json(options.path)
    except (StatsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report, indent=2) if options.json else render(report))
    return 1 if any("error" in worker for worker in report["workers"]) else 0


if __name__ == "__main__":
    sys.exit(main())
