"""The report of a journal's start, as the daemon reads it."""

import json
from pathlib import Path

from tickdeck_daemon.operate.recovery_report import REPORT_FILE, acknowledge_report, read_report

_CUT = {
    "file": "1.seg",
    "offset": 400,
    "class": "torn_tail",
    "bytes": 88,
    "action": "cut_torn_tail",
}


def _write(directory: Path, **fields: object) -> None:
    (directory / REPORT_FILE).write_text(json.dumps(fields))


def test_what_an_interrupted_start_was_going_to_do_is_said_so(tmp_path: Path) -> None:
    _write(tmp_path, finished=True, problems=[_CUT, {**_CUT, "offset": 500, "interrupted": True}])
    report = read_report(str(tmp_path))
    assert report
    assert [it.action for it in report.problems] == ["cut_torn_tail", "cut_torn_tail, interrupted"]


def test_an_unfinished_report_is_shown_and_stays_unfinished(tmp_path: Path) -> None:
    _write(tmp_path, finished=False, problems=[_CUT])
    report = read_report(str(tmp_path))
    assert report
    assert [it.action for it in report.problems] == ["cut_torn_tail, interrupted"]
    assert report.waiting == 1
    acknowledge_report(str(tmp_path))
    raw = json.loads((tmp_path / REPORT_FILE).read_text())
    assert (raw["finished"], raw["acknowledged"]) == (False, True)


def test_a_finished_report_without_problems_waits_too(tmp_path: Path) -> None:
    _write(tmp_path, finished=True, problems=[])
    report = read_report(str(tmp_path))
    assert report
    assert report.waiting == 1
