"""Lines of the workers' logs, which are JSON objects, made readable."""

import json
from dataclasses import dataclass
from typing import Any, cast

from tickdeck_console.text import safe

_TIME_KEYS = ("timestamp", "time", "ts")
_MESSAGE_KEYS = ("message", "msg", "event")
_NOISE = frozenset({"level", "target", "fields", *_TIME_KEYS, *_MESSAGE_KEYS})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry; all texts are safe."""

    time: str
    """Time of day."""
    level: str
    """Upper case; empty when the line tells none."""
    message: str
    stamp: str = ""
    """The whole time, to sort by."""

    @property
    def error(self) -> bool:
        """True for warnings and worse."""
        return self.level in ("WARN", "WARNING", "ERROR", "CRITICAL", "FATAL")


def parse(line: str) -> LogLine:
    """Read one line; what is not a JSON object is its own message."""
    try:
        loaded: object = json.loads(line)
    except ValueError:
        return LogLine("", "", safe(line))
    if not isinstance(loaded, dict):
        return LogLine("", "", safe(line))
    entry = cast(dict[str, Any], loaded)
    fields = entry.get("fields")
    values: dict[str, Any] = (
        {**cast(dict[str, Any], fields), **entry} if isinstance(fields, dict) else entry
    )
    time = next((str(values[key]) for key in _TIME_KEYS if key in values), "")
    message = next((str(values[key]) for key in _MESSAGE_KEYS if key in values), "")
    more = [f"{key}={value}" for key, value in values.items() if key not in _NOISE]
    return LogLine(
        safe(time.partition("T")[2][:12] or time),
        safe(str(values.get("level", ""))).upper(),
        safe(" ".join([message, *more]).strip()),
        safe(time),
    )
