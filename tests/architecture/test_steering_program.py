"""The checked-in steering programs are what their source compiles to, and are known by name."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tickdeck_daemon.preflight.rules.case import OWN_PROGRAMS
from tickdeck_daemon.preflight.rules.paths import QUEUES_MAX

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


def test_the_preflight_knows_both_programs() -> None:
    """By the names under which the kernel lists them: the source's, and the one given to it."""
    plain = re.findall(
        r'^SEC\("xdp"\)\nint (\w+)\(', (NATIVE / "bpf/steer.bpf.c").read_text(), re.M
    )
    stamped = re.findall(r'name: \*b"(\w+)(?:\\0)+"', (CHECKED_IN / "stamped.rs").read_text())
    assert (len(plain), len(stamped)) == (1, 1)
    assert {*plain, *stamped} == OWN_PROGRAMS


def test_the_preflight_knows_the_most_queues() -> None:
    """The bound that the preflight judges by is the receiver's."""
    source = (NATIVE / "crates/net/src/af_xdp.rs").read_text()
    assert re.findall(r"^const QUEUES_MAX: u32 = (\d+);", source, re.M) == [str(QUEUES_MAX)]
