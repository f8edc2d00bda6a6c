"""What commands print: JSON for scripts, aligned text for people.

JSON follows the messages of `tickdeck.v1` field by field, with names as in the protocol, numbers
as numbers (also 64-bit ones), enumerations by their short name, and times as UTC text or null.
Every field is present, also when it has its default.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import click
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tickdeck_console import text

PLAIN_WIDTH = 146
"""Columns assumed where there is no terminal: all facts are wanted."""


def print_json(value: Message | dict[str, Any] | list[Any]) -> None:
    """One JSON document, indented."""
    plain = jsonable(value) if isinstance(value, Message) else value
    click.echo(json.dumps(plain, indent=2))


def print_json_line(message: Message) -> None:
    """One JSON document on one line, at once."""
    click.echo(json.dumps(jsonable(message)))


def print_effects(effects: Iterable[str], *, dry_run: bool) -> None:
    """What a change did, or would do."""
    if dry_run:
        click.echo("Nothing was changed. This would happen:")
    for effect in effects:
        click.echo(f"- {text.safe(effect)}")


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, tail: int = 0
) -> None:
    """A table as `text.table` aligns it; the rows may hold foreign texts."""
    for line in text.table(titles, [list(map(text.safe, row)) for row in rows], left, tail):
        click.echo(line)


def terminal_width() -> int:
    """Columns of the terminal, or enough for everything when the output goes elsewhere."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns


def jsonable(message: Message) -> dict[str, Any]:
    """A message as plain values; see the module."""
    fields: Any = message.DESCRIPTOR.fields  # typed as a union of two equal classes
    return {field.name: _field(message, field) for field in fields}


def _field(message: Message, field: FieldDescriptor) -> Any:  # noqa: ANN401
    value: Any = getattr(message, field.name)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return {str(key): value[key] for key in sorted(value)}
    if field.is_repeated:
        return [_value(item, field) for item in value]
    if entry is not None and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: FieldDescriptor) -> Any:  # noqa: ANN401
    if isinstance(value, Timestamp):
        return value.ToJsonString() if value.seconds or value.nanos else None
    if isinstance(value, Duration):
        return value.seconds + value.nanos / 1e9
    if isinstance(value, AnyMessage):
        return {"type": value.TypeName()}
    if isinstance(value, Message):
        return jsonable(value)
    if field.enum_type is not None:
        return enum_name(field.enum_type, int(value))
    return value


def enum_name(enum: EnumDescriptor, number: int) -> str:
    """The name of a value without the prefix of its enumeration, such as `DOWN`.

    A value that this command does not know is its number.
    """
    known = enum.values_by_number.get(number)
    if known is None:
        return str(number)
    words = "".join(f"_{char}" if char.isupper() else char.upper() for char in enum.name)
    return known.name.removeprefix(words.removeprefix("_") + "_")
