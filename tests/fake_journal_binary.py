"""Puts a fake `tickdeck-journal` into a directory of binaries."""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).parent


class FakeJournal:
    """The binary and what it does next."""

    def __init__(self, native: Path) -> None:
        self.native = native
        native.mkdir(parents=True, exist_ok=True)
        binary = native / "tickdeck-journal"
        roots = [str(TESTS), str(TESTS.parent / "daemon")]
        head = f"#!{sys.executable} -E\nimport sys\nsys.path[:0] = {roots!r}\n"
        binary.write_text(head + (TESTS / "data/fake_journal.py").read_text())
        binary.chmod(0o755)
        self.behave()

    def behave(self, **behaviour: object) -> None:
        """Set what the next processes do."""
        (self.native / "behaviour.json").write_text(json.dumps(behaviour))
