"""The checked-in steering programs are what their source compiles to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
CHECKED_IN = NATIVE / "crates" / "net" / "src" / "af_xdp"
TOOLS = ("clang-14", "llvm-strip-14")


def test_objects_are_built_from_the_source(tmp_path: Path) -> None:
    """A change of the source without its objects, or the other way round, is noticed."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        text = f"SKIPPED: {', '.join(missing)} not found; run requirements/test-packages.sh"
        assert os.environ.get("TICKDECK_TEST_PRIVILEGED") != "require", text
        pytest.skip(text)
    subprocess.run([NATIVE / "bpf" / "build.sh", tmp_path], check=True)
    built = sorted(path.name for path in tmp_path.iterdir())
    assert built == ["steer.bpf.o", "steer_stamped.bpf.o"]
    assert built == sorted(path.name for path in CHECKED_IN.glob("*.o"))
    for name in built:
        same = (tmp_path / name).read_bytes() == (CHECKED_IN / name).read_bytes()
        assert same, f"{name} differs from its source: run native/bpf/build.sh and commit it"
