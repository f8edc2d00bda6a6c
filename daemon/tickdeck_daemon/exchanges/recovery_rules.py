"""Rules over several keys of `[recovery]` and `[recovery.snapshot]`.

They look at the raw file: a value of the wrong type has its fault already and is skipped here.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any, cast

from tickdeck_daemon.exchanges.fields import target_word
from tickdeck_daemon.exchanges.model import Recovery
from tickdeck_daemon.exchanges.toml_lines import Fault

LINE_PROTOCOLS_BY_SNAPSHOT = {"glimpse": "moldudp64", "eobi": "eobi", "cme_mdp3": "cme_mdp3"}
"""Protocol of the lines that each snapshot is of."""
_SERVERS = ("moldudp64", "soupbintcp", "len_seq_payload")
_CHANNEL_KEYS = ("group", "port", "interface")


def recovery_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """Every fault of the recovery's tables, in the order of their keys."""
    recovery = _table(raw.get("recovery"))
    snapshot = _table(recovery.get("snapshot"))
    protocol = raw.get("protocol", "moldudp64")
    yield from _server_rules(recovery, protocol)
    yield from _login_rules(recovery, snapshot)
    yield from _backoff_rule(recovery)
    yield from _snapshot_rules(snapshot, protocol)
    yield from _channel_rules(snapshot, raw)


def _server_rules(recovery: dict[str, Any], protocol: object) -> Iterator[Fault]:
    server, address = recovery.get("replay_protocol", "none"), recovery.get("request_address")
    if server == "none" and address is not None:
        text = "a request_address needs replay_protocol = "
        text += " or ".join(f'"{name}"' for name in _SERVERS) + " in [recovery]"
        yield ("recovery", "replay_protocol"), text
    elif server in _SERVERS and address is None:
        text = f'replay_protocol = "{server}" needs request_address = "address:port" in [recovery]'
        yield ("recovery", "request_address"), text
    if server in ("moldudp64", "soupbintcp") and protocol in ("cme_mdp3", "eobi"):
        text = f'replay_protocol = "{server}" asks for messages, and {protocol} numbers packets; '
        text += 'use "len_seq_payload" or "none"'
        yield ("recovery", "replay_protocol"), text
    peer = recovery.get("peer_address")
    if peer is not None and peer == address and server == "len_seq_payload":
        text = f"peer_address {peer} is the request_address; name another host, or leave it out"
        yield ("recovery", "peer_address"), text


def _login_rules(recovery: dict[str, Any], snapshot: dict[str, Any]) -> Iterator[Fault]:
    given = [key for key in ("username", "password_file") if recovery.get(key) is not None]
    if len(given) == 1:
        other = "password_file" if given == ["username"] else "username"
        yield (
            ("recovery", given[0]),
            f"{given[0]} needs {other} in [recovery]; give both or neither",
        )
    logs_in = recovery.get("replay_protocol") == "soupbintcp"
    if given and not logs_in and snapshot.get("protocol") != "glimpse":
        text = f"{given[0]} is for the logins of soupbintcp and glimpse; none is configured"
        yield ("recovery", given[0]), text


def _backoff_rule(recovery: dict[str, Any]) -> Iterator[Fault]:
    step = recovery.get("retry_backoff_ms", Recovery().retry_backoff_ms)
    most = recovery.get("retry_backoff_max_ms")
    if isinstance(step, int) and isinstance(most, int) and most < step:
        text = f"retry_backoff_max_ms {most} is less than one step of {step} (retry_backoff_ms)"
        yield ("recovery", "retry_backoff_max_ms"), text


def _snapshot_rules(snapshot: dict[str, Any], protocol: object) -> Iterator[Fault]:
    """Each protocol has its own keys: glimpse an address, a channel its group."""
    kind = snapshot.get("protocol", "none")
    here = ("recovery", "snapshot")
    needed = LINE_PROTOCOLS_BY_SNAPSHOT.get(kind) if isinstance(kind, str) else None
    if kind != "none" and needed is None:
        return
    if needed is not None and isinstance(protocol, str) and protocol != needed:
        text = f'snapshot protocol "{kind}" needs lines of protocol "{needed}", not "{protocol}"'
        yield (*here, "protocol"), text
    wanted = {"none": (), "glimpse": ("address",)}.get(cast(str, kind), _CHANNEL_KEYS)
    for key in wanted:
        if snapshot.get(key) is None:
            yield (*here, key), f'snapshot protocol "{kind}" needs {key} in [recovery.snapshot]'
    allowed = (*wanted, "source") if wanted == _CHANNEL_KEYS else wanted
    for key in ("address", *_CHANNEL_KEYS, "source"):
        if snapshot.get(key) is not None and key not in allowed:
            owner = '"glimpse"' if key == "address" else '"eobi" and "cme_mdp3"'
            text = f'{key} is for the snapshot protocol {owner}, not "{kind}"'
            yield (*here, key), text


def _channel_rules(snapshot: dict[str, Any], raw: dict[str, Any]) -> Iterator[Fault]:
    """A snapshot channel is no line, and its sender is of its family."""
    group, port, source = (snapshot.get(key) for key in ("group", "port", "source"))
    families = {version for value in (group, source) if (version := _family(value))}
    if len(families) > 1:
        text = f"{source} and group {group} are not both IPv4 or both IPv6"
        yield ("recovery", "snapshot", "source"), text
    given: object = raw.get("line")
    lines = cast("list[object]", given) if isinstance(given, list) else []
    for line in map(_table, lines):
        same_group = _family(group) is not None and _same(group, line.get("group"))
        if same_group and port == line.get("port") and isinstance(port, int):
            text = f"{target_word(str(group), port)} is line {line.get('name')}; "
            text += "a snapshot channel has its own group:port"
            yield ("recovery", "snapshot", "group"), text


def _same(one: object, other: object) -> bool:
    try:
        return ipaddress.ip_address(cast(str, one)) == ipaddress.ip_address(cast(str, other))
    except ValueError:
        return False


def _family(address: object) -> int | None:
    try:
        return ipaddress.ip_address(address).version if isinstance(address, str) else None
    except ValueError:
        return None


def _table(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
