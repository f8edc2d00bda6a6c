"""From the text of an exchange file to its typed form, with all faults in words."""

import difflib
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import psutil
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tickdeck_daemon.errors import InvalidError, Violation
from tickdeck_daemon.exchanges.export_rules import export_rules, journal_rules
from tickdeck_daemon.exchanges.fields import Table, target_word
from tickdeck_daemon.exchanges.model import (
    Arbiter,
    ExchangeConfig,
    Line,
    PacketMmap,
    Receive,
    Subscriber,
    Tick,
    TickBand,
)
from tickdeck_daemon.exchanges.recovery_rules import recovery_rules
from tickdeck_daemon.exchanges.tick_rules import decoder_rules, reference_faults, tick_rules
from tickdeck_daemon.exchanges.toml_lines import Fault, KeyPath, key_lines, line_of

TEXT_LENGTH_MAX = 256 * 1024
"""Longest exchange file, in characters."""

PACKET_OVERHEAD_BYTES = 226
"""What a packet ring's block holds beside the longest payload: headers of block, frame and UDP."""
RING_BYTES_MAX = 1 << 30
"""Largest packet ring."""

_TICKS, _BANDS = "book.tick", "book.tick.bands"
_SUBSCRIBERS = "tcp_export.subscriber"
_POSITION = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Host:
    """What an exchange file may name of this host."""

    core_count: int
    interfaces: Mapping[str, tuple[str, ...]]
    """Addresses by interface name, of IPv4 and IPv6."""

    @classmethod
    def here(cls) -> "Host":
        """The host this runs on."""
        families = (socket.AF_INET, socket.AF_INET6)
        addresses = {
            # An address of the link is given with its zone, which the interface's name is.
            name: tuple(a.address.partition("%")[0] for a in entries if a.family in families)
            for name, entries in psutil.net_if_addrs().items()
        }
        return cls(os.cpu_count() or 1, addresses)


def parse_exchange(
    text: str, *, file: str | None = None, host: Host | None = None
) -> ExchangeConfig:
    """Read an exchange file.

    Args:
        text: The TOML text.
        file: Name of the file for messages.
        host: Also check that its interfaces and cores exist; None: do not.

    Raises:
        InvalidError: the text is no TOML or no exchange; all faults are in `violations`, each
            with its key, its line where that is known, and what would be right.
    """
    raw = _parse_toml(text, file)
    faults: list[Fault] = []
    config: ExchangeConfig | None = None
    try:
        config = ExchangeConfig.model_validate(raw)
    except ValidationError as error:
        faults.extend(_describe(details) for details in error.errors(include_url=False))
    faults.extend(_rules(raw))
    if host is not None:
        faults.extend(_host_rules(raw, host))
    if faults or config is None:
        lines = key_lines(text)
        raise InvalidError(
            violations=[_violation(fault, lines, file) for fault in faults],
            reason="INVALID_EXCHANGE",
        )
    return config


def host_faults(config: ExchangeConfig, host: Host) -> list[Violation]:
    """What of a valid exchange this host does not have."""
    raw = config.model_dump(mode="json", exclude_none=True)
    return [Violation(field_name(path), text) for path, text in _host_rules(raw, host)]


def peek_name(text: str) -> str | None:
    """The name that a possibly wrong exchange file gives, to tell whose file it is."""
    try:
        name = _parse_toml(text, None).get("name")
    except InvalidError:
        return None
    return name if isinstance(name, str) else None


def field_name(path: KeyPath) -> str:
    """A key's path in one word, such as `line[1].group`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _parse_toml(text: str, file: str | None) -> dict[str, Any]:
    if len(text) > TEXT_LENGTH_MAX:
        description = f"the text has {len(text)} characters; at most {TEXT_LENGTH_MAX} are taken"
        raise InvalidError(violations=[("toml", description)], reason="INVALID_TOML")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.match(str(error))
        what = match.group(1) if match else str(error).removesuffix(" (at end of document)")
        if match:
            line, column = int(match.group(2)), int(match.group(3))
        else:
            line, column = _end_of(text)
        place = f"{file}:{line}:{column}" if file else f"line {line}, column {column}"
        metadata = {"line": str(line), "column": str(column)}
        raise InvalidError(
            violations=[("toml", f"{place}: no valid TOML: {what}")],
            reason="INVALID_TOML",
            metadata=metadata,
        ) from error
    except (ValueError, RecursionError) as error:
        # Not of TOML's own errors: an integer of thousands of digits, endless nesting.
        description = f"{file or 'the text'}: no valid TOML: {error}"
        raise InvalidError(violations=[("toml", description)], reason="INVALID_TOML") from error


def _end_of(text: str) -> tuple[int, int]:
    """Line and column behind the last character, both from 1."""
    last = text.rfind("\n")
    return text.count("\n") + 1, len(text) - last


def _violation(fault: Fault, lines: dict[KeyPath, int], file: str | None) -> Violation:
    path, text = fault
    line = line_of(lines, path)
    if file and line:
        text = f"{file}:{line}: {text}"
    elif line:
        text = f"line {line}: {text}"
    elif file:
        text = f"{file}: {text}"
    return Violation(field_name(path), text)


def _describe(details: ErrorDetails) -> Fault:
    """One pydantic error in the words of the file's reader."""
    path: KeyPath = details["loc"]
    given = _quote(details["input"])
    context = details.get("ctx", {})
    name = field_name(path)
    match details["type"]:
        case "extra_forbidden":
            return path, _unknown_key(path)
        case "missing":
            return path, f'missing key "{path[-1]}" in {_table_name(path[:-1])}'
        case "tickdeck":
            return path, f"{name}: {context['text']}"
        case "literal_error":
            expected = str(context["expected"]).replace("'", '"')
            return path, f"{name} must be {expected}, not {given}"
        case "greater_than_equal":
            return path, f"{name} must be at least {context['ge']}, not {given}"
        case "less_than_equal":
            return path, f"{name} must be at most {context['le']}, not {given}"
        case "string_pattern_mismatch" if path == ("name",):
            rule = '1 to 16 of A-Z, 0-9, "-" and "_", beginning with a letter or digit'
            return path, f"name must be {rule}, not {given}"
        case "model_type" | "model_attributes_type":
            return path, f"{name} must be a table, not {given}"
        case "tuple_type":
            return path, _not_tables(path, given)
        case kind if kind.endswith("_type"):
            wanted = {"int": "an integer", "bool": "true or false", "string": "a string"}
            word = kind.removesuffix("_type")
            return path, f"{name} must be {wanted.get(word, word)}, not {given}"
        case _:
            return path, f"{name}: {details['msg']} (is {given})"


def _not_tables(path: KeyPath, given: str) -> str:
    """A key that holds several tables has something else."""
    match path:
        case ("line",):
            return "the lines must be [[line]] tables"
        case ("book", "tick"):
            return "the ticks must be [[book.tick]] tables"
        case ("tcp_export", "subscriber"):
            return "the subscribers must be [[tcp_export.subscriber]] tables"
        case ("tcp_export", str(key)):
            return f"tcp_export.{key} must be a list of strings, not {given}"
        case _:
            return f"{field_name(path)} must be a list of tables, not {given}"


def _quote(value: object) -> str:
    """A value as the file would write it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _table_name(path: KeyPath) -> str:
    match path:
        case ():
            return "the top table"
        case ("line", int(index)):
            return f"[[line]] number {index + 1}"
        case ("book", "tick", int(index)):
            return f"[[book.tick]] number {index + 1}"
        case ("tcp_export", "subscriber", int(index)):
            return f"[[{_SUBSCRIBERS}]] number {index + 1}"
        case (*_, "bands", int(index)):
            return f"{{}} number {index + 1} of {field_name(path[:-1])}"
        case _:
            return f"[{field_name(path)}]"


def _unknown_key(path: KeyPath) -> str:
    """Name the key, its table and the nearest valid key."""
    key, table = str(path[-1]), path[:-1]
    text = f'unknown key "{key}" in {_table_name(table)}'
    keys = _keys_by_table()
    here = keys.get(_table_key(table), frozenset[str]())
    homes = sorted(name for name, members in keys.items() if key in members)
    if homes and key not in here:
        where = " or ".join(_home_name(name) for name in homes)
        return f"{text}; it belongs {where}"
    nearest = difflib.get_close_matches(key.lower(), sorted(here), n=1, cutoff=0.0)
    return f'{text}; did you mean "{nearest[0]}"?' if nearest else text


def _home_name(table: str) -> str:
    if not table:
        return "to the top table"
    if table == _BANDS:
        return f"to the {{ }} of bands in [[{_TICKS}]]"
    return f"to [[{table}]]" if table in ("line", _TICKS, _SUBSCRIBERS) else f"to [{table}]"


def _table_key(table: KeyPath) -> str:
    """Name of a table as in `_keys_by_table`: without the number of a [[line]]."""
    return ".".join(part for part in table if isinstance(part, str))


def _keys_by_table() -> dict[str, frozenset[str]]:
    """Valid keys of each table; the top of the file is the empty name."""
    lists: dict[str, type[BaseModel]] = {
        "line": Line,
        _TICKS: Tick,
        _BANDS: TickBand,
        _SUBSCRIBERS: Subscriber,
    }
    keys = {name: frozenset(table.model_fields) for name, table in lists.items()}
    return {**keys, **_keys_below("", ExchangeConfig)}


def _keys_below(name: str, table: type[BaseModel]) -> dict[str, frozenset[str]]:
    found = {name: frozenset(table.model_fields)}
    for key, field in table.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            found |= _keys_below(f"{name}.{key}" if name else key, field.annotation)
    return found


def _rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """Rules over several keys. Values of the wrong type are skipped: they have their fault."""
    if isinstance(raw.get("line"), list) or "line" not in raw:
        yield from _line_rules(_tables(raw, "line"), given="line" in raw)
    yield from _path_rules(raw)
    yield from decoder_rules(raw)
    yield from _protocol_rules(raw)
    yield from recovery_rules(raw)
    yield from tick_rules(raw)
    yield from journal_rules(raw)
    yield from export_rules(raw)
    yield from _packet_mmap_rules(_table(raw, "packet_mmap"), _table(raw, "receive"))


def _line_rules(lines: list[dict[str, Any]], *, given: bool) -> Iterator[Fault]:
    names: dict[str, int] = {}
    targets: dict[str, int] = {}
    for index, line in enumerate(lines):
        name, group, port = line.get("name"), _canonical(line.get("group")), line.get("port")
        if isinstance(name, str) and names.setdefault(name, index) != index:
            text = f'line name "{name}" is used twice; the lines are "A" and "B"'
            yield ("line", index, "name"), text
        if isinstance(group, str) and isinstance(port, int):
            target = target_word(group, port)
            if targets.setdefault(target, index) != index:
                text = f"{target} is used by two lines; each line has its own group:port"
                yield ("line", index, "group"), text
        families = {version for key in ("group", "source") if (version := _family(line.get(key)))}
        if len(families) > 1:
            text = f"{line['source']} and group {line['group']} are not both IPv4 or both IPv6"
            yield ("line", index, "source"), text
    missing = [name for name in ("A", "B") if name not in names]
    # A line with a wrong name is there, so only what cannot be one of those is missing.
    if given and missing and len(lines) < 2:
        yield ("line",), f'missing [[line]] with name = "{missing[-1]}"; an exchange has two lines'
    elif len(lines) > 2:
        yield ("line", 2), f"{len(lines)} [[line]] tables; an exchange has two, A and B"


def _protocol_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """The release fits the protocol; the window has a least and a most."""
    protocol = raw.get("protocol", "moldudp64")
    if "eobi_release" in raw and protocol in ("moldudp64", "cme_mdp3"):
        yield ("eobi_release",), f'eobi_release is for protocol = "eobi", not "{protocol}"'
    arbiter = _table(raw, "arbiter")
    most = arbiter.get("reorder_window_ns", Arbiter().reorder_window_ns)
    least = arbiter.get("reorder_window_min_ns")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        text = f"reorder_window_min_ns {least} is more than reorder_window_ns {most}"
        yield ("arbiter", "reorder_window_min_ns"), text


def _path_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """The lines' `receive` and the tables of the paths must say the same."""
    lines = _tables(raw, "line")
    wishes = [line.get("receive", "recvmmsg") for line in lines]
    enabled = [table for table in ("afxdp", "packet_mmap") if _table(raw, table).get("enable")]
    if len(enabled) > 1:
        text = "afxdp.enable and packet_mmap.enable exclude each other; set one of them"
        yield ("packet_mmap", "enable"), text
    for table, path in (("afxdp", "af_xdp"), ("packet_mmap", "packet_mmap")):
        enable = _table(raw, table).get("enable")
        if enable is True and not any(wish in (path, "auto") for wish in wishes):
            text = f'{table}.enable = true needs a line with receive = "{path}" or "auto"'
            yield (table, "enable"), text
        for index, wish in enumerate(wishes):
            if enable is False and wish == path:
                text = f'receive = "{path}" contradicts {table}.enable = false'
                yield ("line", index, "receive"), text
    for index, line in enumerate(lines):
        if line.get("receive") == "af_xdp" and ":" in str(line.get("group")):
            text = "AF_XDP takes IPv4 groups only; use packet_mmap, recvmmsg or auto"
            yield ("line", index, "receive"), text
    if wishes and all(wish == "packet_mmap" for wish in wishes):
        yield from _ring_only_rules(_table(raw, "receive"))


def _ring_only_rules(receive: dict[str, Any]) -> Iterator[Fault]:
    """What no packet ring can do is not asked for where every line has one."""
    busy_poll_us = receive.get("busy_poll_us")
    if isinstance(busy_poll_us, int) and busy_poll_us > 0:
        text = 'busy polling is for recvmmsg and af_xdp; every line has receive = "packet_mmap"'
        yield ("receive", "busy_poll_us"), text
    if receive.get("timestamps") == "off":
        text = (
            "packet rings always carry the kernel's time or the card's; every line has "
            'receive = "packet_mmap", so leave timestamps out'
        )
        yield ("receive", "timestamps"), text


def _canonical(address: object) -> object:
    """An address in its one spelling; anything else as it is."""
    try:
        return str(ipaddress.ip_address(address)) if isinstance(address, str) else address
    except ValueError:
        return address


def _family(address: object) -> int | None:
    try:
        return ipaddress.ip_address(address).version if isinstance(address, str) else None
    except ValueError:
        return None


def _packet_mmap_rules(packet_mmap: dict[str, Any], receive: dict[str, Any]) -> Iterator[Fault]:
    block_bytes = packet_mmap.get("block_bytes", PacketMmap().block_bytes)
    block_count = packet_mmap.get("block_count", PacketMmap().block_count)
    packet_bytes = receive.get("max_packet_bytes", Receive().max_packet_bytes)
    if not packet_mmap or not isinstance(block_bytes, int):
        return
    if isinstance(packet_bytes, int) and block_bytes < packet_bytes + PACKET_OVERHEAD_BYTES:
        needed = packet_bytes + PACKET_OVERHEAD_BYTES
        text = f"a block of {block_bytes} bytes has no room for a packet; {needed} are needed"
        yield ("packet_mmap", "block_bytes"), text
    if isinstance(block_count, int) and block_bytes * block_count > RING_BYTES_MAX:
        text = f"{block_count} blocks of {block_bytes} bytes are more than 1 GiB for one ring"
        yield ("packet_mmap", "block_count"), text


def _host_rules(raw: dict[str, Any], host: Host) -> Iterator[Fault]:
    for index, line in enumerate(_tables(raw, "line")):
        interface = line.get("interface")
        if isinstance(interface, str) and (text := _interface_fault(interface, host)):
            yield ("line", index, "interface"), text
    interface = _table(_table(raw, "recovery"), "snapshot").get("interface")
    if isinstance(interface, str) and (text := _interface_fault(interface, host)):
        yield ("recovery", "snapshot", "interface"), text
    cpu = _table(raw, "receive").get("cpu")
    if isinstance(cpu, int) and cpu >= host.core_count:
        text = f"receive.cpu {cpu} is out of range; this host has cores 0 to {host.core_count - 1}"
        yield ("receive", "cpu"), text
    yield from reference_faults(raw)


def _interface_fault(interface: str, host: Host) -> str | None:
    known = ", ".join(
        f"{name} ({', '.join(ips) or 'no address'})"
        for name, ips in sorted(host.interfaces.items())
    )
    if interface in host.interfaces:
        return None
    address = _canonical(interface)
    if _family(interface) is None:
        return f'no interface "{interface}"; this host has {known}'
    if any(address == _canonical(ip) for ips in host.interfaces.values() for ip in ips):
        return None
    return f"no interface has the address {address}; this host has {known}"


def _table(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _tables(raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = raw.get(key)
    entries = cast(list[Any], value) if isinstance(value, list | tuple) else []
    return [cast(dict[str, Any], entry) if isinstance(entry, dict) else {} for entry in entries]
