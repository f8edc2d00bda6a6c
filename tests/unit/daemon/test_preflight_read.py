"""The reader of a preflight: a made-up tree of kernel files and made-up drivers; and this host."""

import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fake_host import bits, indexes, plant_tree
from tickdeck_daemon.observe.checks import ClockState
from tickdeck_daemon.preflight import ethtool
from tickdeck_daemon.preflight.ethtool import Ethtool
from tickdeck_daemon.preflight.facts import (
    UNLIMITED,
    Channels,
    HostFacts,
    Interrupt,
    Rings,
    Stamping,
    Unread,
    XdpProgram,
)
from tickdeck_daemon.preflight.read_host import Places, Sources, read_host
from tickdeck_daemon.preflight.rights import (
    CAP_NET_ADMIN,
    CAP_NET_RAW,
    FileCapabilities,
    ProcessCapabilities,
    after_exec,
    parse_file_capabilities,
)
from tickdeck_daemon.preflight.tree import parse_cores, parse_mask

Read = Callable[..., HostFacts]
LINK = '[{"ifname":"ens1","xdp":{"mode":2,"prog":{"id":77,"name":"steer"}}}]'


def driver(number: int, interface: str, data: bytes) -> bytes:
    """A card of 2 combined queues, a ring of 512 of 4096, and hardware stamps that are on."""
    assert interface == "ens1"
    if number == ethtool.SIOCGHWTSTAMP:
        return struct.pack("=3i", 0, 0, 1)
    command = struct.unpack_from("=I", data)[0]
    words = {
        ethtool.GET_RINGS: [4096, 0, 0, 4096, 512, 0, 0, 512],
        ethtool.GET_CHANNELS: [0, 0, 1, 8, 0, 0, 1, 2],
        ethtool.GET_STAMPING: [0x5F, 3, 3, 0, 0, 0, 1, 0, 0, 0],
    }[command]
    answer = struct.pack(f"={1 + len(words)}I", command, *words)
    assert len(answer) == len(data)
    return answer


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read a made-up host; keyword arguments change its files, or leave them out."""
    native = tmp_path / "native"
    native.mkdir()
    binary = native / "tickdeck-rx"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(native))

    def call(changes: dict[str, str | None] | None = None, **sources: object) -> HostFacts:
        root = plant_tree(tmp_path / "root", changes)
        (root / "run/tickdeck/workers").mkdir(parents=True)
        ring = root / "run/tickdeck/workers/ring"
        ring.write_bytes(bytes(4096))
        places = Places(str(root / "var/lib/journal"), str(root / "run/tickdeck"), (ring,))
        chosen = replace(
            Sources(
                root=root,
                ethtool=Ethtool(driver),
                link=lambda _: LINK,
                clock=lambda: ClockState(True, 55),
                user=1000,
                indexes=indexes,
                addresses={"ens1": ("10.1.0.2",)},
            ),
            **sources,  # type: ignore[arg-type]
        )
        return read_host(["ens1", "10.1.0.2", "nope", "../../lo"], places, chosen)

    return call


def test_the_host_is_read(read: Read) -> None:
    """Every fact of the host comes from the file that the kernel keeps it in."""
    facts = read()
    assert facts.kernel == (6, 1)
    assert facts.btf
    assert facts.sysctl["net.core.rmem_max"] == 212_992
    assert facts.rights.memlock_bytes == 8 << 20
    assert facts.memory.huge_page_bytes == 2 << 20
    assert (facts.memory.huge_pages_total, facts.memory.huge_pages_free) == (64, 60)
    assert facts.memory.transparent == "always"
    assert (facts.clock.synchronised, facts.clock.max_error_us) == (True, 55)
    assert facts.clock.ptp_devices == ("ptp0 (ice-0000:18:00.0-clk)",)
    assert facts.known_interfaces == ("ens1", "lo")


def test_cores_are_read(read: Read) -> None:
    """Isolated by the boot line or by a cpuset partition; allowed by the daemon's cgroup."""
    cores = read().cores
    assert cores.online == {0, 1, 3}
    assert cores.isolated == {1, 3}
    assert cores.nohz_full == set()
    assert cores.allowed == {0, 1}
    assert cores.governors == {0: "performance", 1: "powersave", 3: "powersave"}
    assert cores.nodes == {0: 0, 1: 1, 3: 1}


def test_an_interface_is_read_by_name_and_by_address(read: Read) -> None:
    """One reading for both; a name that climbs out of the tree is no interface."""
    facts = read()
    assert set(facts.interfaces) == {"ens1", "10.1.0.2"}
    card = facts.interfaces["ens1"]
    assert facts.interfaces["10.1.0.2"] is card
    assert (card.flags, card.state, card.carrier, card.mtu) == (0x1043, "up", True, 9000)
    assert (card.driver, card.node, card.rp_filter) == ("ice", 1, 1)
    assert card.rings == Rings(present=512, most=4096)
    assert card.channels == Channels(receiving=2, combined=2)
    assert card.stamping == Stamping(hardware=True, clock=3, filter=1)
    assert card.xdp == XdpProgram(77, "steer", "xdpgeneric")
    assert card.rps == {"rx-0": {1}, "rx-1": set()}


def test_another_namespace_is_not_taken_for_ours(read: Read) -> None:
    """`/sys` may show the card of the same name in another network namespace."""
    facts = read({"sys/class/net/ens1/ifindex": "9\n"})
    assert facts.interfaces == {}
    assert facts.hidden_interfaces == {"ens1", "10.1.0.2"}


def test_interrupts_are_those_of_the_card(read: Read) -> None:
    """Without the one of settings, and without vectors that nobody uses."""
    card = read().interfaces["ens1"]
    zero, one, both = frozenset({0}), frozenset({1}), frozenset({0, 1})
    assert card.interrupts == (
        Interrupt(40, "ens1-TxRx-0", both, zero),
        Interrupt(41, "ens1-TxRx-1", one, one),
    )


def test_interrupts_of_a_card_that_lists_none_are_found_by_name(read: Read) -> None:
    """Older drivers have no msi_irqs; then the name in /proc/interrupts decides."""
    gone = {f"sys/class/net/ens1/device/msi_irqs/{number}": None for number in (38, 40, 41, 42)}
    numbers = read(gone).interfaces["ens1"].interrupts
    assert not isinstance(numbers, Unread)
    assert [one.number for one in numbers] == [40, 41]


def test_what_cannot_be_read_says_why(read: Read) -> None:
    """A missing file, a text that is no number, a driver and a tool that refuse: never a guess."""
    gone = dict.fromkeys(
        [
            "proc/self/status",
            "proc/sys/net/core/rmem_max",
            "sys/class/net/ens1/carrier",
            "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
            "proc/irq/41/smp_affinity_list",
        ]
    )

    def refuse(*_: object) -> bytes:
        raise OSError(95, "Operation not supported")

    def no_tool(_: str) -> str:
        raise subprocess.TimeoutExpired("ip", 5)

    facts = read(gone, ethtool=Ethtool(refuse), link=no_tool, clock=lambda: ClockState(None))
    card = facts.interfaces["ens1"]
    assert facts.sysctl["net.core.rmem_max"] == Unread(
        "/proc/sys/net/core/rmem_max: No such file or directory"
    )
    assert facts.sysctl["net.core.busy_read"] == Unread(
        '/proc/sys/net/core/busy_read: "many" is no number'
    )
    unread = [
        facts.rights.capabilities,
        facts.cores.governors,
        facts.clock.synchronised,
        card.carrier,
        card.interrupts,
        card.rings,
        card.channels,
        card.stamping,
        card.xdp,
    ]
    assert all(isinstance(one, Unread) and one.reason for one in unread), unread
    assert card.rings == Unread("ethtool on ens1: Operation not supported")


def test_directories_are_those_of_the_nearest_mount(read: Read) -> None:
    """A directory that is not there yet lies where its parent is; its own files count as room."""
    facts = read()
    assert (facts.journal.file_system, facts.runtime.file_system) == ("ext4", "tmpfs")
    assert facts.runtime.own_bytes == 4096
    assert isinstance(facts.journal.free_bytes, int)


def test_a_dead_disk_is_unread(read: Read) -> None:
    """The rest of the host is read all the same."""

    def dead(_: Path) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    facts = read(statvfs=dead)
    assert isinstance(facts.journal.free_bytes, Unread)
    assert facts.kernel == (6, 1)


def test_worker_capabilities_are_those_after_exec(read: Read) -> None:
    """A user's worker has what is ambient, not what the daemon has: CAP_NET_RAW here."""
    assert read().rights.capabilities == bits(CAP_NET_RAW)


def test_capabilities_after_exec() -> None:
    """The four ways of capabilities(7): root, ambient, from the file, and no new privileges."""
    parent = ProcessCapabilities(
        permitted=bits(CAP_NET_RAW),
        inheritable=0,
        bounding=bits(CAP_NET_RAW, CAP_NET_ADMIN),
        ambient=bits(CAP_NET_RAW),
        no_new_privileges=False,
    )
    given = FileCapabilities(bits(CAP_NET_ADMIN, 39), 0, effective=True)
    assert after_exec(parent, 0, None) == bits(CAP_NET_RAW, CAP_NET_ADMIN)
    assert after_exec(parent, 1000, None) == bits(CAP_NET_RAW)
    assert after_exec(parent, 1000, given) == bits(CAP_NET_ADMIN)
    assert after_exec(parent, 1000, replace(given, effective=False)) == 0
    assert after_exec(replace(parent, no_new_privileges=True), 1000, given) == 0


def test_file_capabilities_are_parsed() -> None:
    """Both revisions; anything else is refused."""
    words = (0x02000001, bits(CAP_NET_RAW), 0, 1 << 7, 0)
    want = FileCapabilities(bits(CAP_NET_RAW, 39), 0, effective=True)
    assert parse_file_capabilities(struct.pack("<5I", *words)) == want
    assert parse_file_capabilities(struct.pack("<6I", *words, 0)) == want
    with pytest.raises(ValueError, match="12 bytes"):
        parse_file_capabilities(bytes(12))


def test_lists_and_masks_of_cores() -> None:
    """As the kernel writes them."""
    assert parse_cores("0-2,5\n") == {0, 1, 2, 5}
    assert parse_cores("") == set()
    assert parse_mask("00000001,00000003") == {0, 1, 32}
    assert parse_mask("0") == set()


def test_this_host_is_read() -> None:
    """Smoke: the real `lo`, the real kernel; the drivers' ioctls do not harm."""
    facts = read_host(["lo"], Places("/var/lib/tickdeck", "/run/tickdeck"), Sources())
    lo = facts.interfaces["lo"]
    assert lo.driver == "loopback"
    assert lo.mtu == int(Path("/sys/class/net/lo/mtu").read_text())
    assert isinstance(lo.flags, int)
    assert lo.flags & 0x8
    assert isinstance(lo.rings, Unread)
    assert not isinstance(lo.stamping, Stamping) or not lo.stamping.hardware
    assert lo.interrupts == ()
    assert facts.kernel >= (4, 12)  # type: ignore[operator]
    assert isinstance(facts.journal.file_system, str)
    assert isinstance(facts.rights.memlock_bytes, int)
    assert facts.rights.memlock_bytes == UNLIMITED or facts.rights.memlock_bytes >= 0


def test_a_password_is_looked_at_and_never_read(tmp_path: Path) -> None:
    """Mode and whether it could be read; a file that is not there is told as such."""
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(0o640)

    def seen(path: Path) -> HostFacts:
        places = Places("/var/lib/tickdeck", "/run/tickdeck", password=str(path))
        return read_host([], places, Sources())

    found = seen(secret).password
    assert found is not None
    assert (found.mode, found.readable) == (0o640, True)
    assert "hunter2" not in repr(found)
    missing = seen(tmp_path / "none").password
    assert missing is not None
    assert missing.mode == Unread("No such file or directory")
