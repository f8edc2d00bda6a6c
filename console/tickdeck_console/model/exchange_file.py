"""The text of an exchange file from the few fields of the console's form.

What is not asked for keeps the daemon's defaults; the daemon checks the result.
"""

from dataclasses import dataclass, replace


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
    feed: str = "moldudp64"
    """One of `FEEDS`."""
    snapshot: str = ""
    """Where the venue's state is had: `host:port` of a GLIMPSE server, `group:port` of a snapshot
    channel; empty when it is not."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What the lines carry, and what belongs to it in the exchange file."""

    protocol: str
    decoder: str
    snapshot: str
    """Protocol of its snapshots."""
    has_channel: bool = True
    """Its snapshots come on a channel of their own, and nobody is asked for ranges."""
    release: str = ""


FEEDS = {
    "moldudp64": Feed("moldudp64", "itch50", "glimpse", has_channel=False),
    "eobi": Feed("eobi", "eobi", "eobi", release="14.1"),
    "eobi-6.0": Feed("eobi", "eobi", "eobi", release="6.0"),
    "cme_mdp3": Feed("cme_mdp3", "cme_mdp3", "cme_mdp3"),
}
"""Feeds by the word that chooses them."""


def exchange_toml(form: ExchangeForm) -> str:
    """The exchange file.

    Raises:
        FieldError: A field is missing, has no meaning for the feed, or an address has no port.
    """
    if not form.name:
        raise FieldError("name: give the exchange a name")
    feed = FEEDS.get(form.feed)
    if feed is None:
        raise FieldError(f"feed: {form.feed!r} is not {', '.join(FEEDS)}")
    if not form.line_a:
        raise FieldError("line A: give group:port, such as 239.81.0.1:31001")
    lines = [f"name = {_quoted(form.name)}", f"protocol = {_quoted(feed.protocol)}"]
    lines.append(f"decoder = {_quoted(feed.decoder)}")
    if feed.release:
        lines.append(f"eobi_release = {_quoted(feed.release)}")
    for name, address in (("A", form.line_a), ("B", form.line_b)):
        if address:
            lines += ["", "[[line]]", f'name = "{name}"']
            lines += _place(f"line {name}", address, form.interface)
    return "\n".join([*lines, *_recovery(form, feed)]) + "\n"


def template(word: str) -> str:
    """An exchange file of a feed to begin with: example addresses, and what may be added.

    Raises:
        KeyError: there is no such feed.
    """
    form = replace(EXAMPLE, feed=word, snapshot="239.81.0.3:31003", request_address="")
    instrument = "4128839"
    if not FEEDS[word].has_channel:
        form = replace(EXAMPLE, snapshot="192.0.2.10:31010")
        instrument = "AAPL"
    ticks = _TICKS.format(instrument=instrument)
    return (
        f"# Every address is an example: put in those of the venue.\n{exchange_toml(form)}{ticks}"
    )


EXAMPLE = ExchangeForm(
    "EXAMPLE", "239.81.0.1:31001", "239.81.0.2:31002", "127.0.0.1", "192.0.2.10:31009"
)
"""Addresses that nobody has."""

_TICKS = """
[book]
# Tick sizes: of a whole market in a file with the columns instrument and tick_size,
# reference_csv = "/etc/tickdeck/EXAMPLE.csv"
# and of single instruments here; these go before the file's.
# [[book.tick]]
# instrument = "{instrument}"
# tick_size = "0.01"
"""


def _recovery(form: ExchangeForm, feed: Feed) -> list[str]:
    lines = ["", "[recovery]"]
    if form.request_address and feed.has_channel:
        text = f"re-request: {form.feed} has no such server; leave it empty, give the snapshots"
        raise FieldError(text)
    if form.request_address:
        _address("request address", form.request_address)
        lines.append('replay_protocol = "moldudp64"')
        lines.append(f"request_address = {_quoted(form.request_address)}")
    else:
        lines.append('replay_protocol = "none"')
    if form.snapshot:
        lines += ["", "[recovery.snapshot]", f"protocol = {_quoted(feed.snapshot)}"]
        if feed.has_channel:
            lines += _place("snapshots", form.snapshot, form.interface)
        else:
            _address("snapshots", form.snapshot)
            lines.append(f"address = {_quoted(form.snapshot)}")
    return lines


def _place(field: str, address: str, interface: str) -> list[str]:
    group, port = _address(field, address)
    return [
        f"group = {_quoted(group)}",
        f"port = {port}",
        f"interface = {_quoted(interface or '127.0.0.1')}",
    ]


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
