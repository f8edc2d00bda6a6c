"""Reads small kernel files below a root, which is `/` but in tests."""

from pathlib import Path

from tickdeck_daemon.preflight.facts import Unread


class Tree:
    """`/proc`, `/sys` and what else lies below a root."""

    def __init__(self, root: Path) -> None:
        """Read below `root`."""
        self.root = root

    def path(self, name: str) -> Path:
        """Where a file lies that the host knows as `/name`."""
        return self.root / name

    def text(self, name: str) -> str | Unread:
        """A file's text without the white space around it."""
        try:
            return self.path(name).read_text(errors="replace").strip()
        except OSError as error:
            return Unread(f"/{name}: {error.strerror}")

    def integer(self, name: str, base: int = 10) -> int | Unread:
        """The number that is the whole file."""
        text = self.text(name)
        if isinstance(text, Unread):
            return text
        try:
            return int(text, base)
        except ValueError:
            return Unread(f'/{name}: "{text[:40]}" is no number')

    def cores(self, name: str) -> frozenset[int] | Unread:
        """A list of cores such as `0-3,8`."""
        text = self.text(name)
        if isinstance(text, Unread):
            return text
        try:
            return parse_cores(text)
        except ValueError:
            return Unread(f'/{name}: "{text[:40]}" is no list of cores')

    def names(self, name: str) -> list[str] | Unread:
        """Names in a directory, sorted."""
        try:
            return sorted(entry.name for entry in self.path(name).iterdir())
        except OSError as error:
            return Unread(f"/{name}: {error.strerror}")

    def exists(self, name: str) -> bool:
        """True when it is there."""
        return self.path(name).exists()


def parse_cores(text: str) -> frozenset[int]:
    """Cores of a list such as `0-3,8`; none of an empty one.

    Raises:
        ValueError: it is no such list.
    """
    cores = set[int]()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        cores.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(cores)


def parse_mask(text: str) -> frozenset[int]:
    """Cores of a mask such as `00000001,00000003`.

    Raises:
        ValueError: it is no such mask.
    """
    bits = int(text.replace(",", "") or "0", 16)
    return frozenset(core for core in range(bits.bit_length()) if bits >> core & 1)
