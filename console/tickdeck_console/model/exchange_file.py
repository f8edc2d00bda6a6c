"""The text of an exchange file from the few fields of the console's form.

What is not asked for keeps the daemon's defaults; the daemon checks the result.
"""

from dataclasses import dataclass


class FieldError(ValueError):
    """A field that cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class ExchangeForm:
    """The fields of the form, as typed."""

    name: str
    line_a: str
    """`group:port`, of IPv6 `[group]:port`."""
    line_b: str
    """`group:port`; empty for an exchange with one line."""
    interface: str
    request_address: str
    """`host:port` of the re-request server; empty when there is none."""


def exchange_toml(form: ExchangeForm) -> str:
    """The exchange file.

    Raises:
        FieldError: A field is missing, or an address has no port.
    """
    if not form.name:
        raise FieldError("name: give the exchange a name")
    if not form.line_a:
        raise FieldError("line A: give group:port, such as 239.81.0.1:31001")
    lines = [
        f"name = {_quoted(form.name)}",
        'protocol = "moldudp64"',
        'decoder = "itch50"',
    ]
    for name, address in (("A", form.line_a), ("B", form.line_b)):
        if address:
            group, port = _address(f"line {name}", address)
            lines += ["", "[[line]]", f'name = "{name}"', f"group = {_quoted(group)}"]
            lines += [f"port = {port}", f"interface = {_quoted(form.interface or '127.0.0.1')}"]
    lines += ["", "[recovery]"]
    if form.request_address:
        _address("request address", form.request_address)
        lines.append('replay_protocol = "moldudp64"')
        lines.append(f"request_address = {_quoted(form.request_address)}")
    else:
        lines.append('replay_protocol = "none"')
    return "\n".join(lines) + "\n"


def _address(field: str, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    digits = port.isascii() and port.isdigit()
    if not colon or not host or not digits or not 0 < int(port) < 65536:
        raise FieldError(f"{field}: {value!r} is not host:port with a port from 1 to 65535")
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in host and host != f"[{bare}]":
        raise FieldError(f"{field}: {value!r}: put an IPv6 address in brackets, as [ff15::1]:31001")
    return bare if ":" in host else host, int(port)


def _quoted(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    body = (char if char.isprintable() else f"\\u{ord(char):04x}" for char in escaped)
    return f'"{"".join(body)}"'
