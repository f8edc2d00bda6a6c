"""Ages and deadlines of the journal are of the monotonic clock: a clock that is set changes none.

Nobody can set the clock of one process alone, so this is a rule on the source: the wall clock is
read where a record, a header or a report is stamped, and nowhere else.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CRATES = ROOT / "native/crates"
WALL = re.compile(r"ClockId::Realtime|realtime_ns\(|SystemTime::now|\butc_ns\(\)")
STAMPS = {
    "journal/src/segment.rs": 3,
    "journal/src/writer.rs": 1,
    "journal/src/recovery.rs": 1,
    "journal/src/recovery/report.rs": 1,
    "worker/src/export/pins.rs": 1,
    "worker/src/export/subscriber.rs": 2,
}
"""Where the wall clock may be read, and how often: `created_ns`, `rx_ns` of a hole, `time_ns`."""
PLACES = (
    *(CRATES / "journal/src").rglob("*.rs"),
    *(CRATES / "export/src").rglob("*.rs"),
    *(CRATES / "worker/src/export").rglob("*.rs"),
    *(CRATES / "worker/src/rx").glob("journal*.rs"),
    CRATES / "worker/src/rx/retention.rs",
)
TESTS = re.compile(r"tests?(\.rs|/)")


def test_the_rule_sees_a_wall_clock() -> None:
    """In each of its forms."""
    for line in ("clock_ns(ClockId::Realtime)", "clock::realtime_ns()", "SystemTime::now()"):
        assert WALL.search(line)
    assert not WALL.search("clock_ns(ClockId::Monotonic)")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PLACES) if not TESTS.search(str(path.relative_to(CRATES)))],
    ids=lambda path: str(path.relative_to(CRATES)),
)
def test_the_wall_clock_stamps_and_measures_nothing(path: Path) -> None:
    """As often as it is allowed: another reading needs a reason here."""
    code = path.read_text().split("#[cfg(test)]\nmod tests {", 1)[0]
    code = re.sub(r"//[^\n]*|fn (utc_ns|realtime_ns)\(", "", code)
    found = len(WALL.findall(code))
    assert found == STAMPS.get(str(path.relative_to(CRATES)), 0), f"{path}: {found}"
