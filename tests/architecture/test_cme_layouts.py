"""The checked-in layouts of CME are what the exchange's schemas say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "native/layouts/cme.py"
CHECKED_IN = ROOT / "native/crates/wire/src/cme/layout"
# The schemas are the exchange's: they lie beside the repository, not in it.
SCHEMAS = Path(os.environ.get("TICKDECK_CME_SCHEMAS", ROOT / "../shared/data/cme"))


def test_layouts_are_written_from_the_schemas(tmp_path: Path) -> None:
    """A layout edited by hand, or a change of the tool without its output, is noticed."""
    if not list(SCHEMAS.glob("Cme.Futures.Mdp3.Sbe.*.xml")):
        pytest.skip(f"SKIPPED: no CME schemas at {SCHEMAS}; set TICKDECK_CME_SCHEMAS")
    subprocess.run([sys.executable, TOOL, SCHEMAS, tmp_path], check=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(path.name for path in CHECKED_IN.glob("*.rs"))
    for name in written:
        same = (tmp_path / name).read_text() == (CHECKED_IN / name).read_text()
        assert same, f"{name} is not what the schema says: run native/layouts/cme.py and commit it"
