"""On which line of a TOML text each key stands.

`tomllib` keeps no positions. It has accepted the text before this runs, so a line-wise look at
headers and keys is enough: strings over several lines may hide a key's line, never move it to
another file's, and a caller treats a missing line as unknown.
"""

import re

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the top, such as `("line", 1, "group")`."""
Fault = tuple[KeyPath, str]
"""Where and what is wrong, before the line number is known."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_FENCE = re.compile(r'"""|\'\'\'')


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line number, from 1, of each table header and each key."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    in_string = False
    for number, line in enumerate(text.splitlines(), start=1):
        fences = len(_FENCE.findall(line))
        if in_string:
            in_string = fences % 2 == 0
            continue
        if header := _HEADER.match(line):
            table = _parts(header.group(2))
            if header.group(1) == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                lines.setdefault(table, number)
                table = (*table, index)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_parts(assignment.group(1))), number)
            in_string = fences % 2 == 1
    return lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Line of `path`, else of the nearest table around it; None when neither is known."""
    for length in range(len(path), 0, -1):
        if (number := lines.get(path[:length])) is not None:
            return number
    return None


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
