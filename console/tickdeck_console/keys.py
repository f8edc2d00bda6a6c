"""Every key of the console, in one table.

The bindings, the footer, the help screen and the palette are all made from it, so that a key
cannot work without being told, or be told without working. Commands without a key are reached
through the palette alone.

Left to the terminal, tmux and flow control: Ctrl-A, Ctrl-B, Ctrl-S, Ctrl-Q, Ctrl-Z. A key that
changes the plant is a capital and always asks.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Level(IntEnum):
    """What a command may do; the level decides the dialog."""

    LOOK = 0
    """Shows something: no dialog."""
    REVERSIBLE = 1
    """Undone by the same key, or harmless: no dialog."""
    CHANGE = 2
    """Changes the plant: effects shown, focus on Cancel."""
    DESTROY = 3
    """As CHANGE, and the name is typed and a reason given."""


class Scope(Enum):
    """Where a key works."""

    EVERYWHERE = "everywhere"
    FLEET = "fleet"
    EXCHANGE = "exchange"
    LIST = "lists"
    TRAVEL = "time travel"


@dataclass(frozen=True, slots=True)
class Key:
    """A command and the key that reaches it."""

    id: str
    key: str
    """As Textual names it; several are separated by commas; empty for palette only."""
    shown: str
    action: str
    label: str
    """In the footer, at most two words."""
    text: str
    """In the help and the palette."""
    group: str
    scope: Scope = Scope.EVERYWHERE
    level: Level = Level.LOOK
    footer: int = 0
    """Rank in the footer, 1 first; 0 leaves it to the help."""
    palette: bool = True


_E, _F, _X, _L = Scope.EVERYWHERE, Scope.FLEET, Scope.EXCHANGE, Scope.LIST
_T = Scope.TRAVEL

KEYS = (
    Key("next", "n", "n", "next_problem(1)", "next", "Next problem", "Find", _E, footer=1),
    Key("previous", "N", "N", "next_problem(-1)", "previous", "Previous problem", "Find"),
    Key("open", "enter", "Enter", "open", "open", "Open the exchange", "Find", _F, footer=2),
    Key("back", "escape", "Esc", "back", "back", "Back", "Find", _X, footer=2, palette=False),
    Key("list-back", "escape", "Esc", "back", "back", "Back", "Find", _L, footer=2, palette=False),
    Key("filter", "slash", "/", "filter", "filter", "Filter the fleet", "Find", _F, footer=3),
    Key("clear", "escape", "Esc", "clear_filter", "clear", "Clear the filter", "Find", _F),
    Key("problems", "f", "f", "problems", "problems", "Problems only, or all", "Find", _F,
        footer=7),
    Key("sort", "s", "s", "sort", "sort", "Choose the order", "Find", _F, footer=4),
    Key("up", "up,k", "Up k", "cursor(-1)", "up", "Row up", "Find", _F, palette=False),
    Key("down", "down,j", "Down j", "cursor(1)", "down", "Row down", "Find", _F, palette=False),
    Key("page-up", "pageup", "PgUp", "page(-1)", "page up", "Page up", "Find", _F, palette=False),
    Key("page-down", "pagedown", "PgDn", "page(1)", "page down", "Page down", "Find", _F,
        palette=False),
    Key("first", "home", "Home", "edge(-1)", "first", "First row", "Find", _F, palette=False),
    Key("last", "end", "End", "edge(1)", "last", "Last row", "Find", _F, palette=False),
    Key("tab-cause", "c", "c", "tab('cause')", "cause", "Why the state is not ok", "Tabs", _X),
    Key("tab-feeds", "f", "f", "tab('feeds')", "feeds", "The lines of the feed", "Tabs", _X),
    Key("tab-gaps", "g", "g", "tab('gaps')", "gaps", "Gaps and their recovery", "Tabs", _X),
    Key("tab-latency", "l", "l", "tab('latency')", "latency", "Latency by stage", "Tabs", _X),
    Key("tab-wal", "w", "w", "tab('wal')", "wal", "The write-ahead journal", "Tabs", _X),
    Key("tab-book", "b", "b", "tab('book')", "book", "Books and depth", "Tabs", _X),
    Key("tab-logs", "o", "o", "tab('logs')", "logs", "Logs of the workers", "Tabs", _X),
    Key("gap-show", "enter", "Enter", "show_gap", "steps", "Show the gap with each step", "Tabs",
        _X, palette=False),
    Key("tab-next", "right", "Right", "turn(1)", "next tab", "Next tab", "Tabs", _X,
        palette=False),
    Key("tab-previous", "left", "Left", "turn(-1)", "previous tab", "Previous tab",
        "Tabs", _X, palette=False),
    Key("scroll-up", "up,k", "Up k", "move(-1)", "up", "Scroll, or choose, up", "Tabs", _X,
        palette=False),
    Key("scroll-down", "down,j", "Down j", "move(1)", "down", "Scroll, or choose, down", "Tabs",
        _X, palette=False),
    Key("scroll-page-up", "pageup", "PgUp", "move(-10)", "page up", "Scroll a page up", "Tabs",
        _X, palette=False),
    Key("scroll-page-down", "pagedown", "PgDn", "move(10)", "page down", "Scroll a page down",
        "Tabs", _X, palette=False),
    Key("list-up", "up,k", "Up k", "move(-1)", "up", "Up", "Lists", _L, palette=False),
    Key("list-down", "down,j", "Down j", "move(1)", "down", "Down", "Lists", _L, palette=False),
    Key("list-page-up", "pageup", "PgUp", "move(-10)", "page up", "A page up", "Lists", _L,
        palette=False),
    Key("list-page-down", "pagedown", "PgDn", "move(10)", "page down", "A page down", "Lists", _L,
        palette=False),
    Key("show", "enter", "Enter", "show", "show", "Show the replay", "Lists", _L, palette=False),
    Key("travel", "t", "t", "travel", "time travel", "The book at another point of the day", "Tabs",
        _X, footer=4),
    Key("travel-back", "escape", "Esc", "back", "back", "Back", "Time travel", _T, footer=2,
        palette=False),
    Key("travel-go", "g", "g", "go", "go to", "Go to a sequence or a time, choose the book",
        "Time travel", _T, footer=3),
    Key("travel-earlier", "left,comma", "Left ,", "step(-1)", "earlier", "One message back",
        "Time travel", _T, footer=4, palette=False),
    Key("travel-later", "right,full_stop", "Right .", "step(1)", "later", "One message on",
        "Time travel", _T, footer=4, palette=False),
    Key("travel-up", "up", "Up", "step(-100)", "-100", "A hundred messages back", "Time travel",
        _T, footer=5, palette=False),
    Key("travel-down", "down", "Down", "step(100)", "+100", "A hundred messages on",
        "Time travel", _T, footer=5, palette=False),
    Key("travel-page-up", "pageup", "PgUp", "step(-10000)", "-10k", "Ten thousand messages back",
        "Time travel", _T, palette=False),
    Key("travel-page-down", "pagedown", "PgDn", "step(10000)", "+10k",
        "Ten thousand messages on", "Time travel", _T, palette=False),
    Key("travel-first", "home", "Home", "first", "first", "The first message of the session",
        "Time travel", _T, palette=False),
    Key("travel-now", "end", "End", "now", "now", "The end of the journal", "Time travel", _T,
        palette=False),
    Key("hold", "space", "Space", "hold", "hold", "Hold the view; ages count on", "Look", _E,
        footer=6, level=Level.REVERSIBLE),
    Key("fleet", "1", "1", "fleet", "fleet", "The fleet", "Look"),
    Key("events", "2", "2", "list('events')", "events", "Events, newest first", "Look"),
    Key("replays", "5", "5", "list('replays')", "replays", "Replays; Enter shows one", "Look"),
    Key("workers", "6", "6", "list('workers')", "workers", "Worker processes", "Look"),
    Key("copy", "y", "y", "copy", "copy", "Copy a summary of the exchange", "Look"),
    Key("save", "S", "S", "save", "save", "Save the screen as SVG", "Look"),
    Key("check", "h", "h", "check", "health", "Health check with evidence", "Act", _E, footer=5,
        level=Level.REVERSIBLE),
    Key("check-books", "", "", "check_books", "check books",
        "Check the books against their own rules", "Act", _E, level=Level.REVERSIBLE),
    Key("add", "A", "A", "add", "add", "Add an exchange", "Act", _E, level=Level.CHANGE),
    Key("remove", "D", "D", "remove", "remove", "Remove the exchange", "Act", _E,
        level=Level.DESTROY),
    Key("replay", "R", "R", "replay", "replay", "Replay a journal or a capture", "Act", _E,
        level=Level.CHANGE),
    Key("restart", "K", "K", "restart", "restart", "Restart a worker", "Act", _E,
        level=Level.CHANGE),
    Key("recover", "", "", "recover", "recover", "Ask again now for the open gaps", "Act", _E,
        level=Level.CHANGE),
    Key("gap-retry", "T", "T", "retry_gap", "retry", "Ask again now for the gap", "Act", _E,
        level=Level.CHANGE),
    Key("gap-snapshot", "P", "P", "snapshot_gap", "snapshot",
        "Let a snapshot stand in for the gap", "Act", _E, level=Level.CHANGE),
    Key("gap-loss", "X", "X", "accept_loss", "accept loss", "Accept the loss of the gap", "Act", _E,
        level=Level.DESTROY),
    Key("gap-note", "E", "E", "annotate_gap", "note", "Write a note on the gap", "Act", _E,
        level=Level.CHANGE),
    Key("start", "", "", "collect(True)", "start", "Start collecting", "Act", _E,
        level=Level.CHANGE),
    Key("stop", "", "", "collect(False)", "stop", "Stop collecting", "Act", _E,
        level=Level.CHANGE),
    Key("palette", "colon,ctrl+p", ": Ctrl+P", "command_palette", "commands", "All commands",
        "Console", _E, footer=8, palette=False),
    Key("help", "question_mark", "?", "help", "help", "Help", "Console", _E, footer=9),
    Key("reconnect", "ctrl+r", "Ctrl+R", "reconnect", "reconnect", "Try the daemon again now",
        "Console"),
    Key("quit", "q", "q", "quit", "quit", "Quit; the plant runs on", "Console", _E, footer=10),
)  # fmt: skip
"""In the order of the help screen."""


def keys_of(*scopes: Scope) -> tuple[Key, ...]:
    """The keys that work in any of the scopes, in table order."""
    return tuple(key for key in KEYS if key.scope in scopes)


def footer_keys(scope: Scope) -> tuple[Key, ...]:
    """The footer of a screen, the most useful first."""
    shown = [key for key in keys_of(scope, Scope.EVERYWHERE) if key.footer]
    return tuple(sorted(shown, key=lambda key: key.footer))


def footer_text(scope: Scope, cells: int) -> tuple[tuple[str, str], ...]:
    """As many (key, label) pairs as fit into `cells`; help and palette always do."""
    kept: list[Key] = []
    used = 1
    pinned = ("palette", "help")
    wanted = footer_keys(scope)
    for key in sorted(wanted, key=lambda key: (key.id not in pinned, key.footer)):
        size = len(_first(key)) + 1 + len(key.label) + 2
        if used + size <= cells + 2:
            kept.append(key)
            used += size
    return tuple((_first(key), key.label) for key in wanted if key in kept)


def _first(key: Key) -> str:
    return key.shown.partition(" ")[0]
