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


def _large(directory: Path) -> Path:
    """A report above the limit, as the rx worker writes it: keys in order, two spaces."""
    problems = [{**_CUT, "file": f"{number}.seg" * 8} for number in range(30_000)]
    path = directory / REPORT_FILE
    fields = {"acknowledged": False, "finished": True, "problems": problems}
    path.write_text(json.dumps(fields, indent=2, sort_keys=True))
    assert path.stat().st_size > 4 << 20
    return path


def test_a_report_too_large_to_be_shown_says_so_until_it_is_acknowledged(tmp_path: Path) -> None:
    path = _large(tmp_path)
    report = read_report(str(tmp_path))
    assert report
    assert report.waiting == 1
    (problem,) = report.problems
    assert (problem.kind, problem.bytes) == ("too_large", path.stat().st_size)
    assert f"too large to be shown: read {path}" in problem.action
    acknowledge_report(str(tmp_path))
    report = read_report(str(tmp_path))
    assert report
    assert (report.acknowledged, report.waiting) == (True, 0)
    assert len(json.loads(path.read_text())["problems"]) == 30_000


def test_a_large_report_that_the_worker_has_marked_is_acknowledged(tmp_path: Path) -> None:
    path = _large(tmp_path)
    text = path.read_text()
    inside = text.replace('"offset": 400', '"acknowledged": true, "offset": 400', 1)
    path.write_text(inside)
    report = read_report(str(tmp_path))
    assert report
    assert report.waiting == 1, "a field of a problem is none of the report"
    path.write_text(text.replace('"acknowledged": false', '"acknowledged": true', 1))
    report = read_report(str(tmp_path))
    assert report
    assert report.waiting == 0


def test_a_report_nested_too_deeply_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / REPORT_FILE).write_text("[" * 2_000_000)
    report = read_report(str(tmp_path))
    assert report
    assert [it.kind for it in report.problems] == ["unreadable"]
