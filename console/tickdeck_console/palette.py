"""The palette: every command of the table, and every exchange by name."""

from collections.abc import Callable, Iterator

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tickdeck_console.keys import KEYS
from tickdeck_console.operations import OperatorApp
from tickdeck_console.text import safe

Entry = tuple[str, str, Callable[[], object]]
"""Name, hint and what to run."""


class CommandProvider(Provider):
    """Commands and exchanges of the console."""

    async def discover(self) -> Hits:
        """All commands, before anything is typed."""
        for name, hint, run in self._entries():
            yield DiscoveryHit(name, run, text=name, help=hint)

    async def search(self, query: str) -> Hits:
        """What matches the words typed."""
        matcher = self.matcher(query)
        for name, hint, run in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, text=name, help=hint)

    def _entries(self) -> Iterator[Entry]:
        app = self.app
        assert isinstance(app, OperatorApp), "the palette belongs to the console"
        for key in KEYS:
            if key.palette:
                hint = f"key {key.shown}" if key.shown else "no key"
                yield key.text, hint, app.command(key.action)
        for name in sorted(app.desk.exchanges):
            yield f"Open {safe(name)}", "exchange", app.command(f"open_exchange({name!r})")
