"""Rules over several keys of `[journal]` and `[tcp_export]`.

They look at the raw file: a value of the wrong type has its fault already and is skipped here.
The exporter holds the same rules, whoever wrote its spec: beyond the loopback nothing goes without
TLS, and without any proof only over a Unix socket, whose peer the kernel names.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any, cast

from tickdeck_daemon.exchanges.fields import is_endpoint
from tickdeck_daemon.exchanges.model import TcpExport
from tickdeck_daemon.exchanges.toml_lines import Fault

_HERE = "tcp_export"


def journal_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """Both names of the ring's size say the same."""
    slots = _table(raw.get("ring")).get("slot_count")
    capacity = _table(raw.get("journal")).get("wal_channel_capacity")
    if isinstance(slots, int) and isinstance(capacity, int) and slots != capacity:
        text = f"wal_channel_capacity {capacity} contradicts slot_count {slots} in [ring]; "
        yield ("journal", "wal_channel_capacity"), text + "keep one of them"


def export_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """Every fault of the exporter's table, in the order of its keys."""
    table = _table(raw.get(_HERE))
    yield from _place_rules(table)
    yield from _tls_rules(table)
    if table.get("mode", "listen") == "listen":
        yield from _listener_rules(table)
    else:
        yield from _collector_rules(table)
    yield from _limit_rules(table)
    ids: dict[str, int] = {}
    for index, entry in enumerate(_list(table.get("subscriber"))):
        name = _table(entry).get("id")
        if isinstance(name, str) and ids.setdefault(name, index) != index:
            text = f"{name} has a [[tcp_export.subscriber]] already, number {ids[name] + 1}"
            yield (_HERE, "subscriber", index, "id"), f"{text}; keep one"
        yield from _pin_rules(table, index, _table(entry))


def _pin_rules(table: dict[str, Any], index: int, entry: dict[str, Any]) -> Iterator[Fault]:
    """One pin is that of one connection: of two, the faster would let go what the other needs."""
    policy = entry.get("slow_policy") or table.get("slow_policy")
    connections = entry.get("max_connections", 1)
    if policy == "retain" and isinstance(connections, int) and connections > 1:
        text = 'slow_policy = "retain" keeps one pin, for one connection; set max_connections = 1'
        yield (_HERE, "subscriber", index, "max_connections"), text


def is_local(address: str) -> bool:
    """Whether nobody beyond this host can be on the other side.

    A name is never taken for that: it may come to mean another address.
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _place_rules(table: dict[str, Any]) -> Iterator[Fault]:
    """A listener has an address, a dialler collectors."""
    mode, is_enabled = table.get("mode", "listen"), table.get("enabled") is True
    if mode == "listen":
        if _list(table.get("collectors")):
            text = 'collectors are for mode = "connect"; a listener has addr'
            yield (_HERE, "collectors"), text
        if is_enabled and table.get("addr") is None:
            text = 'an exporter that listens needs addr = "address:port" or "unix:/path"'
            yield (_HERE, "addr"), text
    elif mode == "connect":
        if table.get("addr") is not None:
            text = 'addr is for mode = "listen"; in place of it name collectors'
            yield (_HERE, "addr"), text
        if is_enabled and table.get("collectors") in (None, []):
            text = 'mode = "connect" needs collectors = ["host:port"]'
            yield (_HERE, "collectors"), text
        for index, collector in enumerate(_list(table.get("collectors"))):
            if isinstance(collector, str) and collector.endswith(":0"):
                yield (_HERE, "collectors", index), f'"{collector}" has no port to dial'


def _tls_rules(table: dict[str, Any]) -> Iterator[Fault]:
    given = [key for key in ("tls_cert", "tls_key") if table.get(key) is not None]
    if len(given) == 1:
        other = "tls_key" if given == ["tls_cert"] else "tls_cert"
        yield (_HERE, given[0]), f"{given[0]} needs {other}; give both or neither"
    if _list(table.get("tls_revoked")) and table.get("tls_client_ca") is None:
        text = "tls_revoked names certificates; without tls_client_ca nobody shows one"
        yield (_HERE, "tls_revoked"), text


def _listener_rules(table: dict[str, Any]) -> Iterator[Fault]:
    addr = table.get("addr")
    has_tls, has_ca = table.get("tls_cert") is not None, table.get("tls_client_ca") is not None
    if has_ca and not has_tls:
        text = "tls_client_ca asks readers for certificates; that needs tls_cert and tls_key"
        yield (_HERE, "tls_client_ca"), text
    if not isinstance(addr, str) or not is_endpoint(addr):
        return
    if not is_local(addr) and not has_tls:
        text = f"{addr} is reached from elsewhere; it needs tls_cert and tls_key, or listen on "
        yield (_HERE, "addr"), text + "127.0.0.1 or a Unix socket"
    if not addr.startswith("unix:") and table.get("auth_token") is None and not has_ca:
        text = f"{addr} would be open to anybody; it needs auth_token (a file with keys) or "
        yield (_HERE, "addr"), text + "tls_client_ca (certificates)"


def _collector_rules(table: dict[str, Any]) -> Iterator[Fault]:
    has_proof = table.get("auth_token") is not None
    if table.get("tls_client_ca") is not None:
        return
    for index, collector in enumerate(_list(table.get("collectors"))):
        if not isinstance(collector, str) or not is_endpoint(collector):
            continue
        if not is_local(collector):
            text = f"{collector} is elsewhere; it needs tls_client_ca, which it is verified by "
            yield (_HERE, "collectors", index), text + "before anything is sent"
        elif not has_proof and not collector.startswith("unix:"):
            text = f"{collector} could be anybody; it needs auth_token or tls_client_ca"
            yield (_HERE, "collectors", index), text


def _limit_rules(table: dict[str, Any]) -> Iterator[Fault]:
    """The hard limit lies beyond the soft one; a silence is longer than a heartbeat."""
    defaults = TcpExport()
    for least, most in (
        ("lag_soft_bytes", "lag_hard_bytes"),
        ("lag_soft_ms", "lag_hard_ms"),
        ("heartbeat_ms", "heartbeat_timeout_ms"),
    ):
        low = table.get(least, getattr(defaults, least))
        high = table.get(most, getattr(defaults, most))
        if isinstance(low, int) and isinstance(high, int) and low > high:
            key = most if most in table else least
            yield (_HERE, key), f"{most} {high} is less than {least} {low}"


def _list(value: object) -> list[object]:
    return list(cast("list[object]", value)) if isinstance(value, list | tuple) else []


def _table(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
