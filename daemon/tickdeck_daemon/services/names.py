"""Resource names: "exchanges/XNAS" and its like."""

import re

from tickdeck_daemon.errors import InvalidError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def exchange_name(exchange: str) -> str:
    """Resource name of an exchange."""
    return f"exchanges/{exchange}"


def parse(name: str, collection: str, *, field: str = "name") -> str:
    """The id in a resource name of a collection.

    Raises:
        InvalidError: it is not of the form `collection/id`.
    """
    head, slash, identity = name.partition("/")
    if head != collection or not slash or not _ID.fullmatch(identity):
        text = f"{name!r} is no resource name of the form {collection}/ID"
        raise InvalidError(violations=[(field, text)], reason="INVALID_NAME")
    return identity


def parse_optional(name: str, collection: str, *, field: str = "name") -> str:
    """As `parse`; empty stays empty and means all.

    Raises:
        InvalidError: it is neither empty nor of the form `collection/id`.
    """
    return parse(name, collection, field=field) if name else ""
