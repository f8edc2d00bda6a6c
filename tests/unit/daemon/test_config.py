"""Exchange files and settings: what is taken, and how each fault is told."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fake_plant import exchange_toml
from tickdeck_daemon.errors import InvalidError, Violation
from tickdeck_daemon.exchanges.config import Host, Settings, parse_exchange, spec_hash, to_spec
from tickdeck_daemon.exchanges.fields import Table
from tickdeck_daemon.exchanges.model import ExchangeConfig, Line, Subscriber
from tickdeck_daemon.exchanges.toml_lines import key_lines, line_of
from tickdeck_daemon.workers.views import WORKER_KINDS

HOST = Host(2, {"lo": ("127.0.0.1",), "eth0": ("192.0.2.2", "fd00::2"), "idle0": ()})
SETTINGS = Settings(Path("/r"), Path("/s"), Path("/c"), Path("/l"), Path("/r/d.sock"))


def faults(toml: str, *, host: Host | None = None) -> list[Violation]:
    """The violations of a text that must be refused."""
    with pytest.raises(InvalidError) as caught:
        parse_exchange(toml, file="X.toml", host=host)
    return caught.value.violations


def changed(old: str, new: str) -> str:
    """A valid file with one change."""
    toml = exchange_toml()
    assert old in toml
    return toml.replace(old, new, 1)


def test_smallest_file_gets_every_default() -> None:
    """Name and two lines are enough; the rest has defaults that work."""
    config = parse_exchange(exchange_toml(), host=HOST)
    assert config.name == "XNAS"
    assert config.enabled
    assert [line.name for line in config.lines] == ["A", "B"]
    assert config.recovery.replay_protocol == "none"
    assert config.journal.sync_policy == "batch"
    assert config.book.enabled


def test_lines_are_sorted_whatever_the_file_says() -> None:
    """Line A comes first in the spec, because its number in records is 0."""
    toml = exchange_toml().replace('"A"', '"?"').replace('"B"', '"A"').replace('"?"', '"B"')
    assert [line.name for line in parse_exchange(toml).lines] == ["A", "B"]


def test_lines_of_ipv6_are_taken_in_one_spelling() -> None:
    """Group and source of IPv6 are written in one way, also to find a group used twice."""
    toml = changed('group = "239.81.0.1"', 'group = "FF15:0::1"\nsource = "fd00:0::9"')
    line = parse_exchange(toml, host=HOST).lines[0]
    assert (line.group, line.source, line.target) == ("ff15::1", "fd00::9", "[ff15::1]:31001")
    twice = exchange_toml().replace("239.81.0.1", "ff15::1").replace("239.81.0.2", "ff15:0::1")
    found = {v.field: v.description for v in faults(twice)}
    assert "used by two lines" in found["line[1].group"]


@pytest.mark.parametrize(
    ("toml", "field", "parts"),
    [
        (
            exchange_toml(extra="recovery = { slo_mss = 5 }"),
            "recovery.slo_mss",
            ['X.toml:2: unknown key "slo_mss" in [recovery]', 'did you mean "slo_ms"?'],
        ),
        (
            exchange_toml(extra="slo_ms = 5"),
            "slo_ms",
            ['unknown key "slo_ms" in the top table', "belongs to [recovery]"],
        ),
        (
            changed('group = "239.81.0.1"', 'groupp = "239.81.0.1"'),
            "line[0].groupp",
            ['"groupp" in [[line]] number 1', 'did you mean "group"?'],
        ),
        (changed("239.81.0.1", "10.0.0.1"), "line[0].group", ["X.toml:5", "no multicast group"]),
        (changed("239.81.0.1", "239.81.0"), "line[0].group", ['"239.81.0" is no IP address']),
        (changed("239.81.0.1", "fd00::1"), "line[0].group", ["no multicast group", "ff00::/8"]),
        (changed("239.81.0.1", "::ffff:239.81.0.1"), "line[0].group", ["no multicast group"]),
        (changed("239.81.0.1", "ff12::1%eth0"), "line[0].group", ["zone", "interface"]),
        (
            changed('group = "239.81.0.1"', 'group = "239.81.0.1"\nsource = "fd00::9"'),
            "line[0].source",
            ["fd00::9 and group 239.81.0.1 are not both IPv4 or both IPv6"],
        ),
        (
            changed('group = "239.81.0.1"', 'group = "ff15::1"\nsource = "ff15::9"'),
            "line[0].source",
            ["no address of one host"],
        ),
        (
            exchange_toml(extra="receive = { busy_poll_us = 1000001 }"),
            "receive.busy_poll_us",
            ["at most 1000000"],
        ),
        (
            exchange_toml(extra="receive = { busy_poll_budget = 0 }"),
            "receive.busy_poll_budget",
            ["at least 1, not 0"],
        ),
        (
            exchange_toml(extra='receive = { timestamps = "hardware" }'),
            "receive.timestamps",
            ['"hardware_or_kernel" or "off", not "hardware"'],
        ),
        (
            exchange_toml(extra="packet_mmap = { queues = 5 }"),
            "packet_mmap.queues",
            ["at most 4, not 5"],
        ),
        (
            exchange_toml(extra="packet_mmap = { block_bytes = 5000 }"),
            "packet_mmap.block_bytes",
            ["5000 is no power of two; the next one is 8192"],
        ),
        (
            exchange_toml(
                extra="packet_mmap.block_bytes = 4096\nreceive = { max_packet_bytes = 3871 }"
            ),
            "packet_mmap.block_bytes",
            ["a block of 4096 bytes has no room for a packet; 4097 are needed"],
        ),
        (
            exchange_toml(extra="receive = { max_packet_bytes = 65508 }"),
            "receive.max_packet_bytes",
            ["at most 65507, not 65508"],
        ),
        (
            exchange_toml(extra="packet_mmap = { block_count = 4097 }"),
            "packet_mmap.block_count",
            ["4097 blocks of 262144 bytes are more than 1 GiB"],
        ),
        (
            exchange_toml(extra="packet_mmap = { retire_ms = 0 }"),
            "packet_mmap.retire_ms",
            ["at least 1, not 0"],
        ),
        (
            changed('interface = "', 'receive = "af_packet"\ninterface = "'),
            "line[0].receive",
            ['"packet_mmap", "af_xdp" or "auto", not "af_packet"'],
        ),
        (changed("31001", "0"), "line[0].port", ["at least 1, not 0"]),
        (changed("31001", "65536"), "line[0].port", ["at most 65535, not 65536"]),
        (changed("31001", '"31001"'), "line[0].port", ['must be an integer, not "31001"']),
        (changed("31001", "31001.0"), "line[0].port", ["must be an integer, not 31001.0"]),
        (changed('name = "B"', 'name = "A"'), "line[1].name", ['"A" is used twice']),
        (changed('name = "B"', 'name = "C"'), "line[1].name", ['"A" or "B", not "C"']),
        (changed("239.81.0.2", "239.81.0.1"), "line[1].group", ["used by two lines"]),
        (
            changed("239.81.0.2", "ff15::1").replace("239.81.0.1", "FF15:0::1"),
            "line[1].group",
            ["[ff15::1]:31001 is used by two lines"],
        ),
        (changed('"XNAS"', '"xnas"'), "name", ["1 to 16 of A-Z", 'not "xnas"']),
        (changed('"XNAS"', '"../etc"'), "name", ["1 to 16 of A-Z"]),
        (changed('"XNAS"', '"X\\n"'), "name", ["1 to 16 of A-Z"]),
        (changed('"XNAS"', '"A2345678901234567"'), "name", ["1 to 16 of A-Z"]),
        (changed('name = "XNAS"', ""), "name", ['missing key "name" in the top table']),
        (changed("interface", "#"), "line[0].interface", ['missing key "interface"']),
        ('name = "X"', "line", ['missing key "line"']),
        (exchange_toml().rpartition("[[line]]")[0], "line", ['[[line]] with name = "B"']),
        (exchange_toml() + "[[line]]\n", "line[2]", ["3 [[line]] tables"]),
        (exchange_toml(extra="line = 3").partition("[[")[0], "line", ["[[line]] tables"]),
        (exchange_toml(extra="ring = 3"), "ring", ["ring must be a table, not 3"]),
        (exchange_toml(extra="enabled = 1"), "enabled", ["true or false, not 1"]),
        (
            exchange_toml(extra="ring = { slot_count = 1000 }"),
            "ring.slot_count",
            ["1000 is no power of two; the next one is 1024"],
        ),
        (
            exchange_toml(extra="journal = { fsync_interval_ms = 0 }"),
            "journal.fsync_interval_ms",
            ["at least 1, not 0"],
        ),
        (
            exchange_toml(extra='journal = { sync_policy = "never" }'),
            "journal.sync_policy",
            ['"os", "interval", "batch" or "always", not "never"'],
        ),
        (
            exchange_toml(extra='journal = { data_dir = "here" }'),
            "journal.data_dir",
            ["no absolute path"],
        ),
        (
            exchange_toml(extra="capture = { ring_bytes = 1000 }"),
            "capture.ring_bytes",
            ["at least 1048576, not 1000"],
        ),
        (
            exchange_toml(extra="capture = { before = 5 }"),
            "capture.before",
            ['unknown key "before" in [capture]', '"before_ms"'],
        ),
        (
            exchange_toml(extra='capture = { data_dir = "here" }'),
            "capture.data_dir",
            ["no absolute path"],
        ),
        (
            exchange_toml(extra='recovery = { replay_protocol = "moldudp64" }'),
            "recovery.request_address",
            ["needs request_address"],
        ),
        (
            exchange_toml(extra='recovery = { request_address = "127.0.0.1:1" }'),
            "recovery.replay_protocol",
            ['needs replay_protocol = "moldudp64" or "soupbintcp" or "len_seq_payload"'],
        ),
        (
            exchange_toml(extra='recovery = { request_address = "127.0.0.1" }'),
            "recovery.request_address",
            ["has no port"],
        ),
        (
            exchange_toml(extra='recovery = { request_address = "venue:70000" }'),
            "recovery.request_address",
            ["no port from 1 to 65535"],
        ),
        (
            exchange_toml(extra='recovery = { request_address = "239.1.1.1:7" }'),
            "recovery.request_address",
            ["no address of one host"],
        ),
    ],
)
def test_fault_is_told_with_its_place(toml: str, field: str, parts: list[str]) -> None:
    """Each fault names the key, says what is wrong and what would be right."""
    found = {v.field: v.description for v in faults(toml)}
    assert field in found, found
    assert found[field].startswith("X.toml")
    for part in parts:
        assert part in found[field]


def test_all_faults_are_collected() -> None:
    """One answer tells everything, also faults of different sorts."""
    toml = changed("31001", "0").replace('name = "B"', 'name = "A"') + "bogus = 1\n"
    toml += "[recovery]\nslo_ms = 0\nrequest_address = '127.0.0.1:9'\n"
    assert {v.field for v in faults(toml, host=HOST)} == {
        "line[0].port",
        "line[1].name",
        "line[1].bogus",
        "recovery.slo_ms",
        "recovery.replay_protocol",
    }


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("name = 3 x", "X.toml:1:10"),
        ('a = 1\nb = "', "X.toml:2:6"),
        ("a = 1\na = 2\n", "X.toml:2:6"),
        ("[[[", "X.toml:1:3"),
    ],
)
def test_broken_toml_is_told_with_line_and_column(toml: str, place: str) -> None:
    """A syntax error names the line and the column, both from 1."""
    (violation,) = faults(toml)
    assert violation.field == "toml"
    assert violation.description.startswith(f"{place}: no valid TOML: ")


@pytest.mark.parametrize("toml", ["a = " + "9" * 5000, "a = " + "[" * 50_000, "x" * 300_000])
def test_hostile_text_is_refused(toml: str) -> None:
    """Endless numbers, nesting and length are faults, not crashes."""
    (violation,) = faults(toml)
    assert violation.field == "toml"
    assert len(violation.description) < 300


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@example('name = "X"\nline = [{}, {}]')
@example("line = [[]]")
@example("recovery = 1\nreceive = 1\nline = {}")
def test_any_text_is_taken_or_refused(text: str) -> None:
    """No text at all makes the parser do anything but answer or refuse."""
    with suppress(InvalidError):
        parse_exchange(text, file="X.toml", host=HOST)


@pytest.mark.parametrize(
    ("interface", "part"),
    [
        ("lo", None),
        ("127.0.0.1", None),
        ("eth0", None),
        ("192.0.2.2", None),
        ("eth9", 'no interface "eth9"; this host has eth0 (192.0.2.2, fd00::2), idle0 (no'),
        ("192.0.2.3", "no interface has the address 192.0.2.3"),
        ("fd00::3", "no interface has the address fd00::3"),
        ("idle0", None),
        ("FD00:0::2", None),
    ],
)
def test_interface_is_a_name_or_an_address_of_this_host(interface: str, part: str | None) -> None:
    """Both forms are taken, and a name without an address, since the join is by the interface's
    number; anything else is told with what this host has."""
    toml = exchange_toml().replace('interface = "lo"', f'interface = "{interface}"')
    if part is None:
        parse_exchange(toml, host=HOST)
    else:
        assert [part in v.description for v in faults(toml, host=HOST)] == [True, True]


def test_core_beyond_the_host_is_refused() -> None:
    """A core that this host does not have is told with those it has."""
    parse_exchange(exchange_toml(extra="receive = { cpu = 1 }"), host=HOST)
    (violation,) = faults(exchange_toml(extra="receive = { cpu = 2 }"), host=HOST)
    assert "cores 0 to 1" in violation.description


def test_this_host_has_a_loopback() -> None:
    """What psutil tells of this host lets the loopback through by name and by address."""
    for interface in ("lo", "127.0.0.1"):
        toml = exchange_toml().replace('interface = "lo"', f'interface = "{interface}"')
        parse_exchange(toml, host=Host.here())


def test_every_key_is_documented() -> None:
    """Each key of each table says what it is, because messages and schema are made of it."""
    waiting: list[type[Table]] = [ExchangeConfig, Line, Subscriber]
    while waiting:
        table = waiting.pop()
        for name, field in table.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
                waiting.append(field.annotation)
                assert (field.annotation.__doc__ or "").startswith("`[")
            assert field.description or table is ExchangeConfig, f"{table.__name__}.{name}"


def test_spec_has_every_default_filled_in() -> None:
    """The spec document holds what the workers require, and nothing they would refuse."""
    config = parse_exchange(exchange_toml(extra="enabled = false"))
    spec = to_spec(config, "rx", SETTINGS, incarnation="i", generation=3)
    assert spec["runtime_dir"] == "/r/workers/XNAS-rx"
    assert spec["ring_path"] == "/r/workers/XNAS-rx/ring"
    assert spec["snapshot_dir"] == "/s/snapshots/XNAS"
    exchange = spec["exchange"]
    assert exchange["journal"]["data_dir"] == "/s/journal/XNAS"
    assert exchange["capture"]["data_dir"] == "/s/captures/XNAS"
    assert exchange["capture"]["enabled"] is False
    assert exchange["recovery"]["request_address"] is None
    assert [line["name"] for line in exchange["lines"]] == ["A", "B"]
    assert exchange["lines"][0]["source"] is None
    assert "enabled" not in exchange
    assert "line" not in exchange
    book = to_spec(config, "book", SETTINGS, incarnation="i", generation=3)
    assert book["runtime_dir"] == "/r/workers/XNAS-book"
    assert book["ring_path"] == spec["ring_path"]
    json.dumps(spec)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ("", set[str]()),
        ("enabled = false", set[str]()),
        ("recovery = { slo_ms = 500 }", set[str]()),
        ("recovery = { slo_ms = 501 }", {"rx"}),
        ("receive = { cpu = 1 }", {"rx"}),
        ("book = { snapshot_interval_ms = 100 }", {"book"}),
        ("book = { checkpoint_messages = 1_000_000, check_interval_ms = 100 }", set[str]()),
        ("book = { checkpoint_messages = 0 }", {"book"}),
        ("ring = { slot_count = 64 }", {"rx", "book"}),
        ('journal = { data_dir = "/j" }', {"rx", "book", "export"}),
        ("capture = { enabled = true }", {"rx"}),
        ("capture = { max_files = 50 }", set[str]()),
        ("journal = { wal_channel_capacity = 64 }", {"rx", "book"}),
        ("tcp_export = { heartbeat_ms = 500 }", {"export"}),
    ],
)
def test_hash_changes_for_whom_it_matters(change: str, kinds: set[str]) -> None:
    """Only a key that a worker uses, set to another value, asks for its restart."""
    before, after = parse_exchange(exchange_toml()), parse_exchange(exchange_toml(extra=change))
    for kind in WORKER_KINDS:
        same = spec_hash(before, kind, SETTINGS) == spec_hash(after, kind, SETTINGS)
        assert same == (kind not in kinds)


def test_line_numbers() -> None:
    """Headers, dotted keys, quoted keys and arrays of tables are found; strings hide nothing."""
    text = (
        "name = '''\nport = 1\n'''\n"
        "recovery.slo_ms = 1\n"
        "[[line]]\nport = 2\n"
        "[[line]]  # second\n'port' = 3\n"
        '[ "ring" ]\nslot_count = 4\n'
    )
    lines = key_lines(text)
    assert lines[("name",)] == 1
    assert ("port",) not in lines
    assert lines[("recovery", "slo_ms")] == 4
    assert lines[("line", 0, "port")] == 6
    assert lines[("line", 1)] == 7
    assert lines[("line", 1, "port")] == 8
    assert line_of(lines, ("ring", "slot_count")) == 10
    assert line_of(lines, ("ring", "missing")) == 9
    assert line_of(lines, ("nothing",)) is None


def test_settings_come_from_arguments_then_environment(tmp_path: Path) -> None:
    """An argument wins over a variable, a variable over the default; the socket follows."""
    environ = {"TICKDECK_RUNTIME_DIR": "/env/run", "TICKDECK_LOG_DIR": "/env/log"}
    loaded = Settings.load(log_dir=tmp_path, environ=environ)
    assert loaded.runtime_dir == Path("/env/run")
    assert loaded.log_dir == tmp_path
    assert loaded.socket_path == Path("/env/run/tickdeckd.sock")
    assert Settings.load(environ={**environ, "TICKDECK_SOCKET": "/x"}).socket_path == Path("/x")


def test_runtime_directory_too_long_for_sockets() -> None:
    """A directory in which control sockets could not be bound is refused with the reason."""
    with pytest.raises(InvalidError, match="longer than 104 bytes"):
        Settings.load(runtime_dir=Path("/" + "x" * 70), environ={})
