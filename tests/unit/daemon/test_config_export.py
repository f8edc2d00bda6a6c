"""Exchange files: the journal's keys and the exporter, which nobody gets into without proof."""

from pathlib import Path

import pytest

from fake_plant import exchange_toml
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.exchanges.config import Settings, parse_exchange, to_spec

SETTINGS = Settings(Path("/r"), Path("/s"), Path("/c"), Path("/l"), Path("/r/d.sock"))
TOKEN = 'auth_token = "/k"\n'
TLS = 'tls_cert = "/c.pem"\ntls_key = "/k.pem"\n'
CA = 'tls_client_ca = "/ca.pem"\n'
FAR = 'addr = "192.0.2.1:7000"\n'
NEAR = 'addr = "127.0.0.1:0"\n'
DIAL = 'mode = "connect"\n'


def written(export: str = "", journal: str = "", *, enabled: bool = True, top: str = "") -> str:
    """An exchange file with these keys in the two tables."""
    toml = exchange_toml(extra=top)
    toml += f"[journal]\n{journal}" if journal else ""
    return f"{toml}[tcp_export]\nenabled = {str(enabled).lower()}\n{export}"


def exporter(toml: str) -> dict[str, object]:
    """The exporter's part of the spec."""
    identity = {"incarnation": "i", "generation": 1}
    spec = to_spec(parse_exchange(toml), "rx", SETTINGS, **identity)  # type: ignore[arg-type]
    part: dict[str, object] = spec["exchange"]["tcp_export"]
    return part


def test_defaults_of_the_journal_reach_the_spec() -> None:
    """Every key that the workers require, and nothing they would refuse."""
    spec = to_spec(parse_exchange(exchange_toml()), "rx", SETTINGS, incarnation="i", generation=1)
    assert spec["exchange"]["journal"] == {
        "data_dir": "/s/journal/XNAS",
        "segment_size_bytes": 67_108_864,
        "segment_max_age_ms": 0,
        "sync_policy": "batch",
        "fsync_interval_ms": 5,
        "compress_wal": False,
        "codec": "zstd",
        "recovery_mode": "tail",
        "on_failure": "degrade",
        "retain_max_bytes": 0,
        "retain_max_age_s": 0,
    }


def test_defaults_of_the_exporter_reach_the_spec() -> None:
    """Without a table there is no exporter, and every key has its default."""
    assert exporter(exchange_toml()) == {
        "enabled": False,
        "mode": "listen",
        "addr": None,
        "collectors": [],
        "auth_token": None,
        "tls_cert": None,
        "tls_key": None,
        "tls_client_ca": None,
        "tls_revoked": [],
        "connect_timeout_ms": 3000,
        "write_timeout_ms": 10_000,
        "reconnect_backoff_ms": 100,
        "max_subscribers": 16,
        "channel_capacity": 8_388_608,
        "backpressure_on_full": True,
        "slow_policy": "disconnect",
        "lag_soft_bytes": 8_388_608,
        "lag_soft_ms": 5000,
        "lag_hard_bytes": 33_554_432,
        "lag_hard_ms": 30_000,
        "allow_written": False,
        "heartbeat_ms": 1000,
        "heartbeat_timeout_ms": 5000,
        "subscribers": [],
    }


def test_subscribers_have_their_policy_filled_in() -> None:
    """Absent it is the table's; `retain` of its own stands."""
    toml = written(
        NEAR + TOKEN + 'slow_policy = "skip_to_live"\n'
        '[[tcp_export.subscriber]]\nid = "desk-1"\n'
        '[[tcp_export.subscriber]]\nid = "risk"\nslow_policy = "retain"\nretain_max_bytes = 9\n'
    )
    usual = {"retain_max_age_s": 0, "allow_written": False, "max_connections": 1}
    assert exporter(toml)["subscribers"] == [
        {"id": "desk-1", "slow_policy": "skip_to_live", "retain_max_bytes": 0, **usual},
        {"id": "risk", "slow_policy": "retain", "retain_max_bytes": 9, **usual},
    ]


@pytest.mark.parametrize("place", ["table", "subscriber"])
def test_a_pin_is_that_of_one_connection(place: str) -> None:
    """Two connections of one retained reader are refused, wherever the policy is written."""
    policy = 'slow_policy = "retain"\n'
    of_table, own = (policy, "") if place == "table" else ("", policy)
    table = f'[[tcp_export.subscriber]]\nid = "risk"\n{own}max_connections = '
    assert exporter(written(NEAR + TOKEN + of_table + table + "1\n"))["enabled"] is True
    with pytest.raises(InvalidError, match="max_connections = 1"):
        parse_exchange(written(NEAR + TOKEN + of_table + table + "2\n"))


def test_the_ring_has_the_size_of_either_name() -> None:
    """`wal_channel_capacity` is another name of `ring.slot_count`; both must agree."""
    for top in ("", "ring = { slot_count = 64 }"):
        config = parse_exchange(
            written(journal="wal_channel_capacity = 64\n", enabled=False, top=top)
        )
        spec = to_spec(config, "rx", SETTINGS, incarnation="i", generation=1)
        assert spec["exchange"]["ring"]["slot_count"] == 64
        assert "wal_channel_capacity" not in spec["exchange"]["journal"]


@pytest.mark.parametrize(
    "export",
    [
        NEAR + TOKEN,
        'addr = "[::1]:7000"\n' + TOKEN,
        'addr = "unix:/run/x.sock"\n',
        FAR + TLS + TOKEN,
        FAR + TLS + CA,
        'addr = "venue.example:7000"\n' + TLS + CA + 'tls_revoked = ["desk-9"]\n',
        DIAL + TOKEN + 'collectors = ["127.0.0.1:7000", "unix:/run/c.sock"]\n',
        DIAL + CA + 'collectors = ["collector1.example:7000", "192.0.2.9:7000"]\n',
        DIAL + 'collectors = ["unix:/run/c.sock"]\n',
    ],
)
def test_safe_exporters_are_taken(export: str) -> None:
    """Each way in has its proof."""
    assert exporter(written(export))["enabled"] is True


@pytest.mark.parametrize(
    ("toml", "field", "part"),
    [
        (written(), "tcp_export.addr", "needs addr"),
        (written(FAR + TOKEN), "tcp_export.addr", "192.0.2.1:7000 is reached from elsewhere"),
        (written(FAR + TOKEN, enabled=False), "tcp_export.addr", "reached from elsewhere"),
        (written('addr = "0.0.0.0:7000"\n' + TOKEN), "tcp_export.addr", "from elsewhere"),
        (written('addr = "localhost:7000"\n' + TOKEN), "tcp_export.addr", "from elsewhere"),
        (written(FAR + TLS), "tcp_export.addr", "open to anybody"),
        (written(NEAR), "tcp_export.addr", "open to anybody"),
        (written(NEAR + TOKEN + CA), "tcp_export.tls_client_ca", "needs tls_cert"),
        (written(NEAR + TOKEN + 'tls_key = "/k"\n'), "tcp_export.tls_key", "needs tls_cert"),
        (written(NEAR + TOKEN + 'tls_revoked = ["x"]\n'), "tcp_export.tls_revoked", "without"),
        (written('addr = "127.0.0.1"\n' + TOKEN), "tcp_export.addr", "is no address"),
        (written('addr = "127.0.0:1"\n' + TOKEN), "tcp_export.addr", "is no address"),
        (written('addr = "::1:7000"\n' + TOKEN), "tcp_export.addr", '"[v6]:port"'),
        (written('addr = "127.0.0.1:70000"\n' + TOKEN), "tcp_export.addr", "no port from 0"),
        (written('addr = "unix:x.sock"\n'), "tcp_export.addr", "no absolute path"),
        (written(f'addr = "unix:/{"x" * 107}"\n'), "tcp_export.addr", "longer than 107"),
        (written(NEAR + 'auth_token = "s3cret"\n'), "tcp_export.auth_token", "absolute path"),
        (written(NEAR + TOKEN + 'collectors = ["a:1"]\n'), "tcp_export.collectors", "connect"),
        (written(DIAL), "tcp_export.collectors", "needs collectors"),
        (written(DIAL + NEAR + TOKEN), "tcp_export.addr", "name collectors"),
        (
            written(DIAL + TOKEN + 'collectors = ["192.0.2.9:7000"]\n'),
            "tcp_export.collectors[0]",
            "needs tls_client_ca",
        ),
        (
            written(DIAL + 'collectors = ["127.0.0.1:7000"]\n'),
            "tcp_export.collectors[0]",
            "could be anybody",
        ),
        (
            written(DIAL + CA + 'collectors = ["a:0"]\n'),
            "tcp_export.collectors[0]",
            "no port to dial",
        ),
        (written(DIAL + "collectors = 3\n"), "tcp_export.collectors", "a list of strings"),
        (
            written(NEAR + TOKEN + "lag_hard_ms = 4000\n"),
            "tcp_export.lag_hard_ms",
            "4000 is less than lag_soft_ms 5000",
        ),
        (
            written(NEAR + TOKEN + "heartbeat_ms = 6000\n"),
            "tcp_export.heartbeat_ms",
            "heartbeat_timeout_ms 5000 is less than heartbeat_ms 6000",
        ),
        (
            written(NEAR + TOKEN + 2 * '[[tcp_export.subscriber]]\nid = "a"\n'),
            "tcp_export.subscriber[1].id",
            "number 1; keep one",
        ),
        (
            written(NEAR + TOKEN + '[[tcp_export.subscriber]]\nid = "../a"\n'),
            "tcp_export.subscriber[0].id",
            "begins with a letter or digit",
        ),
        (
            written(NEAR + TOKEN + '[[tcp_export.subscriber]]\nid = "a"\npolicy = "retain"\n'),
            "tcp_export.subscriber[0].policy",
            'in [[tcp_export.subscriber]] number 1; did you mean "slow_policy"?',
        ),
        (written(NEAR + TOKEN + "subscriber = 3\n"), "tcp_export.subscriber", "[[tcp_export."),
        (
            written(NEAR + TOKEN, "segment_size_bytes = 2147483649\n"),
            "journal.segment_size_bytes",
            "at most 2147483648",
        ),
        (
            written(NEAR + TOKEN, "fsync_interval_ms = 10001\n"),
            "journal.fsync_interval_ms",
            "at most 10000",
        ),
        (written(NEAR + TOKEN, 'codec = "gzip"\n'), "journal.codec", '"lz4" or "zstd"'),
        (
            written(NEAR + TOKEN, 'recovery_mode = "salvage"\n'),
            "journal.recovery_mode",
            '"strict", "tail" or "point_in_time"',
        ),
        (
            written(NEAR + TOKEN, "wal_channel_capacity = 64\n", top="ring = { slot_count = 32 }"),
            "journal.wal_channel_capacity",
            "contradicts slot_count 32",
        ),
    ],
)
def test_faults_are_told(toml: str, field: str, part: str) -> None:
    """An open door, a half of a pair, a name that could leave its directory: each in words."""
    with pytest.raises(InvalidError) as caught:
        parse_exchange(toml, file="X.toml")
    found = {v.field: v.description for v in caught.value.violations}
    assert field in found, found
    assert part in found[field]
