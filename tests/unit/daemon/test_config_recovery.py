"""Exchange files: protocols that number packets, the sources of the recovery, snapshots."""

from pathlib import Path

import pytest

from fake_plant import exchange_toml
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.exchanges.config import Host, Settings, parse_exchange, spec_hash, to_spec

HOST = Host(2, {"lo": ("127.0.0.1",), "eth0": ("192.0.2.2",)})
SETTINGS = Settings(Path("/r"), Path("/s"), Path("/c"), Path("/l"), Path("/r/d.sock"))
EOBI = 'protocol = "eobi"\ndecoder = "none"\nbook = { enabled = false }\n'
CME = EOBI.replace("eobi", "cme_mdp3")
CHANNEL = 'group = "239.81.0.9"\nport = 31009\ninterface = "lo"\n'
SERVER = 'replay_protocol = "soupbintcp"\nrequest_address = "10.0.0.1:9000"\n'
LOGIN = 'username = "ops1"\npassword_file = "/etc/tickdeck/XNAS.password"\n'


def written(top: str = "", recovery: str = "", snapshot: str = "") -> str:
    """An exchange file with more keys in the top table and in the tables of the recovery."""
    toml = exchange_toml(extra=top)
    toml += f"[recovery]\n{recovery}" if recovery else ""
    return toml + (f"[recovery.snapshot]\n{snapshot}" if snapshot else "")


def test_every_kind_of_source_is_taken() -> None:
    """Request, peer and snapshot, in the order in which they are asked."""
    toml = written(
        recovery=SERVER + LOGIN + 'peer_address = "10.0.0.2:9100"\n',
        snapshot='protocol = "glimpse"\naddress = "10.0.0.3:9200"\n',
    )
    sources = parse_exchange(toml, host=HOST).recovery.sources
    assert [(one.source, one.protocol, one.address) for one in sources] == [
        ("stream", "soupbintcp", "10.0.0.1:9000"),
        ("peer", "len_seq_payload", "10.0.0.2:9100"),
        ("snapshot", "glimpse", "10.0.0.3:9200"),
    ]
    assert [one.brings_ranges for one in sources] == [True, True, False]


@pytest.mark.parametrize(("top", "protocol"), [(EOBI, "eobi"), (CME, "cme_mdp3")])
def test_protocols_that_number_packets_have_snapshot_channels(top: str, protocol: str) -> None:
    """Without a decoder and books, with a channel beside the lines."""
    toml = written(top, snapshot=f'protocol = "{protocol}"\n{CHANNEL}')
    config = parse_exchange(toml, host=HOST)
    assert (config.protocol, config.decoder, config.book.enabled) == (protocol, "none", False)
    (source,) = config.recovery.sources
    assert (source.source, source.address) == ("snapshot", "239.81.0.9:31009")


def test_an_exchange_without_recovery_has_no_source() -> None:
    """The smallest file asks nobody."""
    assert parse_exchange(exchange_toml()).recovery.sources == ()


@pytest.mark.parametrize(
    ("toml", "field", "part"),
    [
        (written('protocol = "eobi"\n'), "decoder", 'write decoder = "eobi"'),
        (written('decoder = "none"\n'), "book.enabled", "enabled = false in [book]"),
        (written('eobi_release = "6.0"\n'), "eobi_release", 'for protocol = "eobi"'),
        (written(EOBI + 'eobi_release = "15"\n'), "eobi_release", '"14.1" or "6.0"'),
        (
            written("arbiter = { reorder_window_min_ns = 9, reorder_window_ns = 8 }"),
            "arbiter.reorder_window_min_ns",
            "9 is more than reorder_window_ns 8",
        ),
        (
            written("arbiter = { reorder_window_packets = 0 }"),
            "arbiter.reorder_window_packets",
            "at least 1, not 0",
        ),
        (
            written(recovery='replay_protocol = "len_seq_payload"\n'),
            "recovery.request_address",
            'needs request_address = "address:port"',
        ),
        (written(EOBI, SERVER), "recovery.replay_protocol", "eobi numbers packets"),
        (
            written(recovery=SERVER + 'username = "ops1"\n'),
            "recovery.username",
            "needs password_file",
        ),
        (
            written(recovery=SERVER + 'password_file = "/p"\n'),
            "recovery.password_file",
            "needs username",
        ),
        (written(recovery=LOGIN), "recovery.username", "soupbintcp and glimpse; none"),
        (
            written(recovery=SERVER + LOGIN.replace("ops1", "operator1")),
            "recovery.username",
            "1 to 6 letters and digits",
        ),
        (
            written(recovery=SERVER + LOGIN.replace("/etc", "etc")),
            "recovery.password_file",
            "no absolute path",
        ),
        (
            written(recovery="retry_backoff_ms = 30\nretry_backoff_max_ms = 20\n"),
            "recovery.retry_backoff_max_ms",
            "20 is less than one step of 30",
        ),
        (
            written(
                recovery='replay_protocol = "len_seq_payload"\nrequest_address = "10.0.0.1:1"\n'
                'peer_address = "10.0.0.1:1"\n'
            ),
            "recovery.peer_address",
            "is the request_address",
        ),
        (
            written(snapshot='protocol = "glimpse"\n'),
            "recovery.snapshot.address",
            'snapshot protocol "glimpse" needs address',
        ),
        (
            written(snapshot=f'protocol = "glimpse"\naddress = "10.0.0.1:1"\n{CHANNEL}'),
            "recovery.snapshot.group",
            'for the snapshot protocol "eobi" and "cme_mdp3", not "glimpse"',
        ),
        (
            written(snapshot=f'protocol = "eobi"\n{CHANNEL}'),
            "recovery.snapshot.protocol",
            'needs lines of protocol "eobi", not "moldudp64"',
        ),
        (
            written(EOBI, snapshot='protocol = "eobi"\ngroup = "239.81.0.9"\nport = 1\n'),
            "recovery.snapshot.interface",
            "needs interface in [recovery.snapshot]",
        ),
        (
            written(EOBI, snapshot=f'protocol = "eobi"\naddress = "10.0.0.1:1"\n{CHANNEL}'),
            "recovery.snapshot.address",
            'for the snapshot protocol "glimpse", not "eobi"',
        ),
        (
            written(snapshot='address = "10.0.0.1:1"\n'),
            "recovery.snapshot.address",
            'not "none"',
        ),
        (
            written(
                EOBI,
                snapshot=f'protocol = "eobi"\n{CHANNEL}'.replace(
                    "239.81.0.9", "239.81.0.1"
                ).replace("31009", "31001"),
            ),
            "recovery.snapshot.group",
            "239.81.0.1:31001 is line A; a snapshot channel has its own group:port",
        ),
        (
            written(EOBI, snapshot=f'protocol = "eobi"\nsource = "fd00::1"\n{CHANNEL}'),
            "recovery.snapshot.source",
            "not both IPv4 or both IPv6",
        ),
        (
            written(EOBI, snapshot=f'protocol = "eobi"\n{CHANNEL}'.replace('"lo"', '"eth9"')),
            "recovery.snapshot.interface",
            'no interface "eth9"',
        ),
        (
            written(snapshot='protocl = "none"\n'),
            "recovery.snapshot.protocl",
            'unknown key "protocl" in [recovery.snapshot]; did you mean "protocol"?',
        ),
        (
            written(recovery="max_bytes = 65536\n"),
            "recovery.max_bytes",
            'unknown key "max_bytes" in [recovery]; it belongs to [recovery.snapshot]',
        ),
    ],
)
def test_fault_is_told_with_its_place(toml: str, field: str, part: str) -> None:
    """Each fault names the key, says what is wrong and what would be right."""
    with pytest.raises(InvalidError) as caught:
        parse_exchange(toml, file="X.toml", host=HOST)
    found = {v.field: v.description for v in caught.value.violations}
    assert field in found, found
    assert found[field].startswith("X.toml:")
    assert part in found[field]


def test_spec_holds_the_keys_of_the_file() -> None:
    """Each key of the file under its own name, nested as there, every default filled in."""
    spec = to_spec(parse_exchange(exchange_toml()), "rx", SETTINGS, incarnation="i", generation=1)
    exchange = spec["exchange"]
    assert exchange["eobi_release"] == "14.1"
    assert exchange["arbiter"] == {
        "reorder_window_ns": 2_000_000,
        "reorder_window_min_ns": 100_000,
        "reorder_window_packets": 16,
        "hold_capacity_packets": 16384,
        "session_takeover_ms": 3000,
    }
    assert exchange["recovery"] == {
        "replay_protocol": "none",
        "request_address": None,
        "username": None,
        "password_file": None,
        "peer_address": None,
        "min_request_interval_ms": 5,
        "request_timeout_ms": 50,
        "connect_timeout_ms": 1000,
        "retry_attempts": 10,
        "retry_backoff_ms": 20,
        "retry_backoff_max_ms": 500,
        "slo_ms": 500,
        "unrecoverable_policy": "declare_lost",
        "start_at": "session_start",
        "storm_gaps": 64,
        "probe_interval_ms": 10_000,
        "snapshot": {
            "protocol": "none",
            "address": None,
            "group": None,
            "port": None,
            "interface": None,
            "source": None,
            "timeout_ms": 10_000,
            "max_bytes": 256 << 20,
        },
    }


def test_defaults_of_limits_follow_what_the_file_sets() -> None:
    """A window below the default least, and a step above the default most, are taken as meant."""
    toml = written("arbiter = { reorder_window_ns = 0 }", "retry_backoff_ms = 900\n")
    spec = to_spec(parse_exchange(toml), "rx", SETTINGS, incarnation="i", generation=1)
    assert spec["exchange"]["arbiter"]["reorder_window_min_ns"] == 0
    assert spec["exchange"]["recovery"]["retry_backoff_max_ms"] == 900


def test_new_defaults_restart_nothing() -> None:
    """Keys set to their defaults leave the hash as it was; another value restarts rx alone."""
    plain = parse_exchange(exchange_toml())
    same = parse_exchange(written(recovery="storm_gaps = 64\n", snapshot='protocol = "none"\n'))
    other = parse_exchange(written(recovery="storm_gaps = 65\n"))
    assert spec_hash(plain, "rx", SETTINGS) == spec_hash(same, "rx", SETTINGS)
    assert spec_hash(plain, "rx", SETTINGS) != spec_hash(other, "rx", SETTINGS)
    assert spec_hash(plain, "book", SETTINGS) == spec_hash(other, "book", SETTINGS)
