"""Receive paths in an exchange file: the lines and the tables of the paths must agree."""

import pytest

from fake_plant import exchange_toml
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.exchanges.config import parse_exchange


def on(path: str, extra: str = "") -> str:
    """A valid file with both lines on one path."""
    toml = exchange_toml(extra=extra)
    assert toml.count("[[line]]") == 2
    return toml.replace("[[line]]", f'[[line]]\nreceive = "{path}"')


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        ("recvmmsg", ""),
        ("packet_mmap", ""),
        ("af_xdp", ""),
        ("auto", ""),
        ("af_xdp", "afxdp = { enable = true, require = 'native' }"),
        ("packet_mmap", "packet_mmap = { enable = true, queues = 2 }"),
        ("auto", "afxdp = { enable = false }"),
        ("auto", "packet_mmap = { enable = true }\nafxdp = { enable = false }"),
        ("auto", "receive = { busy_poll_us = 50, timestamps = 'off' }"),
        ("packet_mmap", "receive = { busy_poll_us = 0, busy_poll_budget = 8 }"),
        ("recvmmsg", "afxdp = { enable = false }\npacket_mmap = { enable = false }"),
    ],
)
def test_tables_that_agree_are_taken(path: str, extra: str) -> None:
    """Nothing has to be said twice, and what is said twice may be the same."""
    config = parse_exchange(on(path, extra))
    assert {line.receive for line in config.lines} == {path}


@pytest.mark.parametrize(
    ("path", "extra", "field", "part"),
    [
        (
            "auto",
            "packet_mmap = { enable = true }\nafxdp = { enable = true }",
            "packet_mmap.enable",
            "exclude each other",
        ),
        ("recvmmsg", "afxdp = { enable = true }", "afxdp.enable", 'needs a line with receive = "a'),
        ("af_xdp", "packet_mmap = { enable = true }", "packet_mmap.enable", "needs a line"),
        ("af_xdp", "afxdp = { enable = false }", "line[0].receive", "contradicts afxdp.enable"),
        (
            "packet_mmap",
            "packet_mmap = { enable = false }",
            "line[1].receive",
            "contradicts packet_mmap.enable",
        ),
        (
            "packet_mmap",
            "receive = { busy_poll_us = 50 }",
            "receive.busy_poll_us",
            "for recvmmsg and af_xdp",
        ),
        (
            "packet_mmap",
            "receive = { timestamps = 'off' }",
            "receive.timestamps",
            "always carry",
        ),
        ("dpdk", "", "line[0].receive", "line[0].receive must be"),
        ("auto", "afxdp = { frame_count = 100 }", "afxdp.frame_count", "no power of two"),
        ("auto", "afxdp = { requires = 'any' }", "afxdp.requires", 'did you mean "require"?'),
    ],
)
def test_contradictions_are_errors(path: str, extra: str, field: str, part: str) -> None:
    """The error is at the key that has to change, and says what it contradicts."""
    with pytest.raises(InvalidError) as caught:
        parse_exchange(on(path, extra))
    texts = [v.description for v in caught.value.violations if v.field == field]
    assert any(part in text for text in texts), caught.value.violations


def test_one_line_of_sockets_is_enough_for_their_keys() -> None:
    """What packet rings cannot do is refused only where every line has one."""
    toml = on("packet_mmap", "receive = { busy_poll_us = 50, timestamps = 'off' }")
    config = parse_exchange(toml.replace('"packet_mmap"', '"recvmmsg"', 1))
    assert config.receive.busy_poll_us == 50


def test_af_xdp_takes_no_ipv6() -> None:
    """The steering program reads IPv4; the other paths take both."""
    toml = on("af_xdp")
    group = next(line.group for line in parse_exchange(toml).lines)
    with pytest.raises(InvalidError):
        parse_exchange(toml.replace(group, "ff15::1", 1))
    parse_exchange(on("auto").replace(group, "ff15::1", 1))


def test_a_wrong_type_is_one_fault_among_others() -> None:
    """A list where a word is wanted does not hide the other rules, and crashes nothing."""
    with pytest.raises(InvalidError):
        parse_exchange(on("auto", "afxdp = { enable = true }").replace('"auto"', "[1]", 1))
