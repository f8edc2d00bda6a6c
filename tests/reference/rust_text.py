"""What the slow decoders share: values as Rust prints them."""


class RefusedError(Exception):
    """A packet or message that is not what it must be; the word for it."""


def option(value: int | None) -> str:
    """An optional value as Rust prints it."""
    return "None" if value is None else f"Some({value})"


def boolean(value: bool) -> str:
    """A truth value as Rust prints it."""
    return "true" if value else "false"
