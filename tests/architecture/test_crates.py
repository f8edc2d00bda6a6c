"""The crates depend on one another only downwards; the pure ones do no I/O."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

NATIVE = Path(__file__).parents[2] / "native"
LEAVES = {"wire", "net", "ring", "journal", "stats"}
ENGINES = {"arbiter", "recovery", "book", "sim"}
# What each crate may use of the workspace. A new crate is an entry here.
ALLOWED: dict[str, set[str]] = {
    **{crate: set[str]() for crate in LEAVES},
    **{crate: {"wire"} for crate in ENGINES},
    "venue": {"wire", "book", "recovery"},
    "export": set(),
    "worker": LEAVES | ENGINES | {"venue", "export"},
    "testbed": set(),
    "fuzzing": {"wire", "book", "recovery", "sim", "venue", "export", "journal"},
    "bench": LEAVES | ENGINES | {"export", "testbed"},
}
TEST_ONLY = {"sim", "arbiter", "recovery"}  # what a simulation test may use as dev-dependency
TESTBED_USERS = {"net", "worker"}  # whose tests need a network of their own
UNSAFE_ALLOWED = {"net", "ring", "stats"}
SYSTEM_CRATES = {"aya", "libc", "memmap2", "nix", "rustix", "socket2"}
SYSTEM_CALLS = re.compile(r"\bstd::(env|fs|net|os|process|thread)\b|\b(Instant|SystemTime)::now\b")


@cache
def packages() -> dict[str, dict[str, Any]]:
    command = ["cargo", "metadata", "--no-deps", "--format-version=1", "--locked"]
    result = subprocess.run(command, cwd=NATIVE, check=True, capture_output=True, text=True)
    return {p["name"].removeprefix("tickdeck-"): p for p in json.loads(result.stdout)["packages"]}


def uses(crate: str, *kinds: str | None) -> set[str]:
    dependencies = packages()[crate]["dependencies"]
    return {d["name"].removeprefix("tickdeck-") for d in dependencies if d["kind"] in kinds}


def sources(crate: str) -> list[Path]:
    return sorted((NATIVE / "crates" / crate / "src").rglob("*.rs"))


def test_every_crate_has_a_layer() -> None:
    """A crate that nobody placed in a layer is refused."""
    assert packages().keys() == ALLOWED.keys()


@pytest.mark.parametrize("crate", sorted(ALLOWED))
def test_crate_uses_only_what_its_layer_allows(crate: str) -> None:
    """No edge of the dependency graph points upwards."""
    assert uses(crate, None, "build") & ALLOWED.keys() <= ALLOWED[crate]
    testbed = {"testbed"} if crate in TESTBED_USERS else set[str]()
    assert uses(crate, "dev") & ALLOWED.keys() <= ALLOWED[crate] | TEST_ONLY | {"wire"} | testbed


@pytest.mark.parametrize("crate", sorted(ENGINES | {"wire", "venue", "export"}))
def test_pure_crate_does_no_io(crate: str) -> None:
    """Engines take time and bytes: no clock, file, socket or thread of their own."""
    assert not uses(crate, None) & SYSTEM_CRATES
    for path in sources(crate):
        found = SYSTEM_CALLS.search(path.read_text())
        assert not found, f"{path}: {found}"


@pytest.mark.parametrize("crate", sorted(ALLOWED.keys() - UNSAFE_ALLOWED))
def test_unsafe_is_forbidden_outside_its_homes(crate: str) -> None:
    """`unsafe` lives in net, ring and stats only, and the compiler holds it."""
    source = NATIVE / "crates" / crate / "src"
    roots = [*source.glob("lib.rs"), *source.glob("main.rs"), *source.glob("bin/*.rs")]
    assert roots
    for root in roots:
        assert "#![forbid(unsafe_code)]" in root.read_text(), root


def test_only_the_benchmark_uses_the_bare_loops() -> None:
    """The loops that receivers are measured against check next to nothing."""
    users = {
        name
        for name, package in packages().items()
        for dependency in package["dependencies"]
        if dependency["name"] == "tickdeck-net" and "bare" in dependency["features"]
    }
    assert users == {"bench"}


def test_nobody_uses_the_fuzz_targets() -> None:
    """What asserts over hostile bytes is run by its own tests and by libFuzzer alone."""
    crates = packages().keys() - {"fuzzing"}
    assert not [crate for crate in crates if "fuzzing" in uses(crate, None, "build", "dev")]


def test_only_the_simulator_uses_sim() -> None:
    """Nothing that runs in production is built from the fault generator."""
    worker = NATIVE / "crates" / "worker" / "src"
    users = {p for p in worker.rglob("*.rs") if "tickdeck_sim" in p.read_text()}
    outside = {p for p in users if "sim" not in p.relative_to(worker).parts[0]}
    assert {p for p in outside if p.name != "tickdeck-sim.rs"} == set()
