"""Demo runs for the end-to-end tests: real processes, real sockets, a private plant each."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
TIMEOUT_S = 480


def program(name: str) -> Path:
    """A program of ours: in `TICKDECK_NATIVE_DIR`, else in the environment's scripts folder."""
    folders = [Path(sysconfig.get_path("scripts"))]
    if native := os.environ.get("TICKDECK_NATIVE_DIR"):
        folders.insert(0, Path(native))
    found = next((f / name for f in folders if (f / name).is_file()), None)
    assert found, f"{name} is not in {folders}: run `make install`"
    return found


def capture(name: str) -> Path:
    """A file of real order flow; the test is skipped, saying so, where the folder is absent."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is absent; the same path is tested on a generated day")
    return path


def run_demo(*arguments: str | Path) -> dict[str, Any]:
    """The report of `tickdeck demo --headless`; the output must show progress before it."""
    command = [program("tickdeck"), "demo", "--headless", *arguments]
    result = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stdout + result.stderr
    *progress, last = result.stdout.splitlines()
    assert progress, result.stdout
    return {**json.loads(last), "output": progress}


def offline(source: Path, *arguments: str) -> dict[str, Any]:
    """The report of `tickdeck-book offline` on an ITCH file or a journal directory."""
    command = [program("tickdeck-book"), "offline", "--protocol", "itch50", "--input", source]
    command += [*map(Path, arguments), Path("--json")]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def verify(journal: Path) -> dict[str, Any]:
    """The report of `tickdeck-book verify` on a journal whose checkpoints must all be equal."""
    command = [program("tickdeck-book"), "verify", journal, "--json"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def journal_of(report: dict[str, Any]) -> Path:
    """The journal of a run with `--keep`."""
    kept = next(line for line in report["output"] if line.startswith("kept: "))
    base = kept.removeprefix("kept: ").split(" and ")[0]
    return Path(base) / "state" / "journal" / "DEMO"
