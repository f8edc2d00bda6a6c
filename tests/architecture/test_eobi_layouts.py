"""The checked-in layouts of EOBI are what the exchange's models say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "native/layouts/eobi.py"
CHECKED_IN = ROOT / "native/crates/wire/src/eobi/layout"
# The models are the exchange's: they lie beside the repository, not in it.
MODELS = Path(os.environ.get("TICKDECK_EOBI_MODELS", ROOT / "../shared/data/eobi"))


def test_layouts_are_written_from_the_models(tmp_path: Path) -> None:
    """A layout edited by hand, or a change of the tool without its output, is noticed."""
    if not list(MODELS.glob("Eurex.T7.Eobi.Fbe.*.xml")):
        pytest.skip(f"SKIPPED: no EOBI models at {MODELS}; set TICKDECK_EOBI_MODELS")
    subprocess.run([sys.executable, TOOL, MODELS, tmp_path], check=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(path.name for path in CHECKED_IN.glob("*.rs"))
    for name in written:
        same = (tmp_path / name).read_text() == (CHECKED_IN / name).read_text()
        assert same, f"{name} is not what the model says: run native/layouts/eobi.py and commit it"
