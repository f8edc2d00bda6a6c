"""The exporter of a plant, with real processes: a reader gets the journal, and nobody the key."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo_runs import run_demo

DAY = ("--generate", "--messages", "20000", "--instruments", "2", "--seed", "9")


@pytest.fixture(scope="module")
def kept_run() -> Iterator[tuple[dict[str, Any], list[Path]]]:
    """A run that leaves everything behind: its report and its folders."""
    report = run_demo(*DAY, "--keep")
    kept = next(line for line in report["output"] if line.startswith("kept: "))
    folders = [Path(folder) for folder in kept.removeprefix("kept: ").split(" and ")]
    yield report, folders
    for folder in folders:
        shutil.rmtree(folder)


def test_a_reader_has_the_whole_journal(kept_run: tuple[dict[str, Any], list[Path]]) -> None:
    """Each record once, from the first to the seal at the end, and its place is kept."""
    report, (base, _) = kept_run
    assert report["reader"]["whole"]
    assert report["reader"]["records"] == report["journal"]["records"] > 0
    assert report["reader"]["gaps"] == 0
    pin = base / "state" / "journal" / "DEMO" / "pins" / "demo.json"
    assert f'"acked_seq":{report["reader"]["last_seq"]}' in pin.read_text().replace(" ", "")


def test_the_key_is_nowhere_but_in_its_file(kept_run: tuple[dict[str, Any], list[Path]]) -> None:
    """Not in spec, logs, events, statistics, sockets' answers or the journal."""
    _, folders = kept_run
    key_file = folders[0] / "export.keys"
    assert key_file.stat().st_mode & 0o777 == 0o600
    secret = key_file.read_text().split()[1].encode()
    assert len(secret) == 64
    raw = bytes.fromhex(secret.decode())
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert path == key_file or not (secret in content or raw in content), path
