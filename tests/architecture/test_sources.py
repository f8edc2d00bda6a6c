"""Every tracked file keeps to the rules that a reader relies on."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 600
# A longer file is an entry here, with its reason.
LONGER: dict[str, str] = {}
REGISTRY_HOSTS = re.compile(r"pypi\.org|pythonhosted|--index-url|--extra-index")
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"]


@cache
def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in result.stdout.splitlines() if (ROOT / name).is_file()]


def test_files_are_short() -> None:
    """A source over 600 lines needs a reason."""
    sources = [n for n in tracked() if n.endswith((".py", ".rs")) and "protos/gen" not in n]
    long = {n for n in sources if len((ROOT / n).read_text().splitlines()) > MOST_LINES}
    assert long - LONGER.keys() == set()


def test_pins_name_no_registry() -> None:
    """The pins install from whatever index the machine is configured for."""
    assert "uv.lock" not in tracked()
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text, path
        assert not REGISTRY_HOSTS.search(text), path


def test_nothing_of_one_machine() -> None:
    """No file names a path that exists on one machine only."""
    local = re.compile(r"(^|[^\w.])(/root/|/home/\w|/work/)")
    for name in tracked():
        if name.endswith((".lock", ".svg")) or Path(name).name == Path(__file__).name:
            continue
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        assert not local.search(text), name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "runbooks").glob("*.runbook.md")), ids=lambda p: p.name
)
def test_runbook_has_its_five_headings(path: Path) -> None:
    """Whoever opens a runbook finds the same five headings in the same order."""
    found = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
    assert found == HEADINGS


def test_runbooks_that_causes_name_exist() -> None:
    """A cause never sends the operator to a runbook that is not there."""
    names = set[str]()
    for path in (ROOT / "daemon").rglob("*.py"):
        names |= set(re.findall(r"[A-Za-z]+\.runbook\.md", path.read_text()))
    assert {name for name in names if not (ROOT / "runbooks" / name).is_file()} == set()
