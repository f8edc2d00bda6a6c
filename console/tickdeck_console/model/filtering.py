"""The fleet's filter: words that all must match.

`text` is found in the name, state, recovery or cause; `!text` must not be found; `state:down`,
`path:af_xdp`, `recovery:req` and `trust:suspect` look in one field; `drops>0`, `gaps>=1`, `age>5`,
`rate<100`, `lost>0`, `p99>50`, `lag>0` compare a number (ages in seconds, p99 in microseconds).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.severity import WORDS

Value = TypeVar("Value")

_COMPARISON = re.compile(r"([a-z0-9]+)(>=|<=|>|<|=)(\d+(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
}


def _p99_us(exchange: Exchange) -> float:
    latency = exchange.latency()
    return latency.p99_ns / 1000 if latency else 0.0


_NUMBERS: dict[str, Callable[[Exchange], float]] = {
    "drops": lambda entry: entry.drop_rate,
    "gaps": lambda entry: entry.gaps_open,
    "unrecovered": lambda entry: entry.gaps_unrecovered,
    "lost": lambda entry: entry.messages_lost,
    "age": lambda entry: entry.age_ns / 1e9,
    "rate": lambda entry: entry.message_rate,
    "p99": _p99_us,
    "lag": lambda entry: entry.book.lag_records,
}
_FIELDS: dict[str, Callable[[Exchange], str]] = {
    "state": lambda entry: f"{WORDS[entry.health]} {entry.health.name}",
    "path": lambda entry: "af_xdp " + entry.path if entry.path[:3] == "xdp" else entry.path,
    "recovery": lambda entry: entry.recovery,
    "trust": lambda entry: entry.book.trust,
    "name": lambda entry: entry.key,
}


class FilterError(ValueError):
    """A filter that means nothing; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; the empty one lets everything through."""

    text: str = ""
    tests: tuple[Callable[[Exchange], bool], ...] = ()

    def __call__(self, exchange: Exchange) -> bool:
        """True when every word matches."""
        return all(test(exchange) for test in self.tests)


def parse(text: str) -> Filter:
    """Parse a filter.

    Raises:
        FilterError: An unknown field or a comparison without a number.
    """
    return Filter(text.strip(), tuple(_test(word) for word in text.lower().split()))


def _test(word: str) -> Callable[[Exchange], bool]:
    if word.startswith("!"):
        if word == "!":
            raise FilterError("'!' needs a text behind it")
        inner = _test(word[1:])
        return lambda entry: not inner(entry)
    comparison = _COMPARISON.fullmatch(word)
    if comparison:
        name, symbol, number = comparison.groups()
        value, compare = _lookup(_NUMBERS, name), _OPERATORS[symbol]
        return lambda entry: compare(value(entry), float(number))
    if any(symbol in word for symbol in "<>="):
        raise FilterError(f"{word!r} is not a comparison such as drops>0")
    name, colon, wanted = word.partition(":")
    if colon:
        text_of = _lookup(_FIELDS, name)
        return lambda entry: wanted in text_of(entry).lower()
    return lambda entry: word in _all_text(entry)


def _lookup(table: Mapping[str, Value], name: str) -> Value:
    if name not in table:
        raise FilterError(f"no field {name!r}; there are {', '.join(sorted(table))}")
    return table[name]


def _all_text(exchange: Exchange) -> str:
    causes = " ".join(cause.summary for cause in exchange.causes)
    words = (exchange.key, WORDS[exchange.health], exchange.recovery, exchange.path, causes)
    return " ".join(words).lower()
