"""The rules of a preflight: each passes on a good host, and finds what is made wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fake_host import ALL_RIGHTS, NIC, UP, bits, config, host, interface, rights, tried
from tickdeck_daemon.exchanges.model import ExchangeConfig
from tickdeck_daemon.preflight.facts import (
    UNLIMITED,
    Channels,
    Clock,
    Cores,
    Directory,
    HostFacts,
    InterfaceFacts,
    Interrupt,
    LineRungs,
    Memory,
    Rings,
    Secret,
    Stamping,
    Unread,
    XdpProgram,
)
from tickdeck_daemon.preflight.finding import Finding, Verdict
from tickdeck_daemon.preflight.rights import CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW
from tickdeck_daemon.preflight.rules import Case, Other, judge
from tickdeck_daemon.preflight.rules.case import listed, size

PASS, WARN, FAIL, UNKNOWN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN
SPIN = 'cpu = 3\nwait = "spin"'
UNREAD = Unread("/x: Permission denied")
WEAK = rights(0, memlock_bytes=64 << 10)


def judged(
    exchange: ExchangeConfig,
    facts: HostFacts | None = None,
    *,
    others: tuple[Other, ...] = (),
    rungs: tuple[LineRungs, ...] | Unread | None = None,
    running: ExchangeConfig | None = None,
) -> dict[str, Finding]:
    """Findings by id; the path of the lines is taken as tried."""
    wish = exchange.lines[0].receive
    rungs = tried(wish) if rungs is None else rungs
    case = Case(exchange, facts or host(), others, rungs, running)
    return {finding.id: finding for finding in judge(case)}


def card(**changes: object) -> HostFacts:
    """The good host with another card."""
    return host(replace(interface(), **changes))  # type: ignore[arg-type]


LOGIN = """[recovery]
replay_protocol = "soupbintcp"
request_address = "10.0.0.1:9000"
username = "ops1"
password_file = "/etc/p"
"""


def password(mode: int | Unread, *, readable: bool = True) -> HostFacts:
    """The good host with a password of the recovery's."""
    return replace(host(), password=Secret("/etc/p", mode, readable))


def cores(**changes: object) -> HostFacts:
    """The good host with other cores."""
    good: Cores = host().cores
    return replace(host(), cores=replace(good, **changes))  # type: ignore[arg-type]


def sysctl(name: str, value: int | Unread) -> HostFacts:
    """The good host with another setting."""
    return replace(host(), sysctl={**host().sysctl, name: value})


def runtime(**changes: object) -> HostFacts:
    """The good host with another runtime directory."""
    return replace(host(), runtime=replace(host().runtime, **changes))  # type: ignore[arg-type]


def on_core(*numbers: int, allowed: tuple[int, ...] = ()) -> tuple[Interrupt, ...]:
    """An interrupt that comes on these cores."""
    return (Interrupt(40, "ice-0", frozenset(numbers + allowed), frozenset(numbers)),)


@pytest.mark.parametrize("path", ["recvmmsg", "packet_mmap", "af_xdp", "auto"])
@pytest.mark.parametrize("receive", ["", SPIN, SPIN + "\nbusy_poll_us = 50"])
def test_a_good_host_passes_everything(path: str, receive: str) -> None:
    """Whatever is asked for, nothing is wrong, and nothing is told to be mended."""
    if path == "packet_mmap":
        receive = receive.replace("busy_poll_us = 50", "")
    found = judged(config(path, receive=receive))
    bad = {name: one for name, one in found.items() if one.verdict is not PASS or one.command}
    assert bad == {}
    assert all(one.evidence and one.why and one.subject for one in found.values())


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong, and what must be found."""

    id: str
    verdict: Verdict
    command: str
    """Part of the command that mends it."""
    facts: Callable[[], HostFacts] = host
    path: str = "recvmmsg"
    receive: str = ""
    tables: str = ""
    interface: str = NIC


HUGE = "[afxdp]\nenable = true\nhuge_pages = true\n"
WANTS_ZERO_COPY = '[afxdp]\nenable = true\nrequire = "zerocopy"\n'
LOCKED = "[general]\nmlock_all = true\n"
CASES = [
    # rights, kernel, memory of the paths
    Wrong("capabilities.af_xdp", FAIL, "setcap cap_net_admin,cap_net_raw,cap_bpf=ep /opt/tickdeck/",
          lambda: replace(host(), rights=WEAK), "af_xdp"),
    Wrong("capabilities.af_xdp", WARN, "setcap", lambda: replace(host(), rights=WEAK), "auto"),
    Wrong("capabilities.packet_mmap", FAIL, "setcap cap_net_raw=ep",
          lambda: replace(host(), rights=WEAK), "packet_mmap"),
    Wrong("capabilities.packet_mmap", FAIL, "CapabilityBoundingSet",
          lambda: replace(host(), rights=rights(0, user=0)), "packet_mmap"),
    Wrong("capabilities.packet_mmap", UNKNOWN, "getcap /opt/tickdeck/tickdeck-rx",
          lambda: replace(host(), rights=replace(WEAK, capabilities=UNREAD)), "packet_mmap"),
    Wrong("kernel.recvmmsg", FAIL, "4.12", lambda: replace(host(), kernel=(4, 9))),
    Wrong("kernel.packet_mmap", FAIL, "5.16", lambda: replace(host(), kernel=(5, 15)),
          "packet_mmap"),
    Wrong("kernel.af_xdp", FAIL, "5.9", lambda: replace(host(), kernel=(5, 8)), "af_xdp"),
    Wrong("kernel.af_xdp", WARN, "5.9", lambda: replace(host(), kernel=(5, 8)), "auto"),
    Wrong("kernel.af_xdp", UNKNOWN, "uname", lambda: replace(host(), kernel=UNREAD), "af_xdp"),
    Wrong("kernel.busy_poll", FAIL, "5.11", lambda: replace(host(), kernel=(5, 10)),
          receive="busy_poll_us = 50"),
    Wrong("kernel.btf", WARN, "CONFIG_DEBUG_INFO_BTF", lambda: replace(host(), btf=False),
          "af_xdp"),
    Wrong("busy_poll.rights", FAIL, "setcap cap_net_admin",
          lambda: replace(host(), rights=WEAK), receive="busy_poll_us = 50"),
    Wrong("busy_poll.setting", WARN, "sysctl -w net.core.busy_poll=50",
          lambda: sysctl("net.core.busy_poll", 0), receive="busy_poll_us = 50"),
    Wrong("rcvbuf", FAIL, "sysctl -w net.core.rmem_max=8388608",
          lambda: replace(sysctl("net.core.rmem_max", 212_992), rights=WEAK)),
    Wrong("rcvbuf", WARN, "sysctl -w net.core.rmem_max=8388608",
          lambda: replace(sysctl("net.core.rmem_max", 212_992), rights=WEAK), "auto"),
    Wrong("rcvbuf", UNKNOWN, "sysctl -w",
          lambda: replace(sysctl("net.core.rmem_max", UNREAD), rights=WEAK)),
    Wrong("memlock.af_xdp", FAIL, "ulimit -l 32768",
          lambda: replace(host(), rights=rights(0, memlock_bytes=8 << 20)), "af_xdp"),
    Wrong("memlock", FAIL, "LimitMEMLOCK", lambda: replace(host(), rights=WEAK), tables=LOCKED),
    Wrong("memlock", WARN, "cap_ipc_lock",
          lambda: replace(host(), rights=rights(0, memlock_bytes=4 << 30)), tables=LOCKED),
    # driver, queues, program
    Wrong("driver.xdp", FAIL, "zero-copy", lambda: card(driver="veth"), "af_xdp",
          tables=WANTS_ZERO_COPY),
    Wrong("driver.xdp", UNKNOWN, "ethtool -i", lambda: card(driver="tg3"), "af_xdp"),
    Wrong("driver.xdp", UNKNOWN, "ethtool -i", lambda: card(driver=UNREAD), "auto"),
    Wrong("queues", WARN, "ethtool -L ens1 combined 1", lambda: card(channels=Channels(8, 8)),
          "af_xdp"),
    Wrong("queues", WARN, "ethtool -L ens1 rx 1", lambda: card(channels=Channels(2, 0)), "auto"),
    Wrong("queues", UNKNOWN, "ethtool -l", lambda: card(channels=UNREAD), "af_xdp"),
    Wrong("xdp.program", FAIL, "ip link set dev ens1 xdpdrv off",
          lambda: card(xdp=XdpProgram(9, "filter", "xdpdrv")), "af_xdp"),
    Wrong("xdp.program", WARN, "xdp off", lambda: card(xdp=XdpProgram(9, "filter")), "auto"),
    Wrong("xdp.program", WARN, "exchange list", lambda: card(xdp=XdpProgram(9, "steer")),
          "af_xdp"),
    Wrong("xdp.program", WARN, "exchange list",
          lambda: card(xdp=XdpProgram(9, "steer_stamped")), "af_xdp"),
    Wrong("xdp.program", UNKNOWN, "ip link", lambda: card(xdp=UNREAD), "af_xdp"),
    # interfaces
    Wrong("interface.exists", FAIL, "correct interface of line B", interface="ens9"),
    Wrong("interface.exists", UNKNOWN, "ip netns exec",
          lambda: replace(host(), interfaces={}, hidden_interfaces=frozenset({NIC}))),
    Wrong("interface.up", FAIL, "ip link set dev ens1 up", lambda: card(flags=UP & ~1)),
    Wrong("interface.up", FAIL, "cable", lambda: card(carrier=False)),
    Wrong("interface.up", FAIL, "cable", lambda: card(state="dormant")),
    Wrong("interface.up", UNKNOWN, "ip link", lambda: card(flags=UNREAD)),
    Wrong("interface.multicast", FAIL, "multicast on", lambda: card(flags=UP & ~0x1000)),
    Wrong("interface.mtu", WARN, "mtu 1500", lambda: card(mtu=1400)),
    Wrong("interface.mtu", WARN, "mtu 1500", lambda: card(mtu=9000), "auto"),
    Wrong("interface.mtu", UNKNOWN, "ip link", lambda: card(mtu=UNREAD)),
    Wrong("nic.ring", WARN, "ethtool -G ens1 rx 4096", lambda: card(rings=Rings(512, 4096))),
    Wrong("nic.ring", UNKNOWN, "ethtool -g", lambda: card(rings=UNREAD)),
    Wrong("rp_filter", WARN, "net.ipv4.conf.ens1.rp_filter=0", lambda: card(rp_filter=1)),
    Wrong("rp_filter", UNKNOWN, "sysctl", lambda: card(rp_filter=UNREAD)),
    Wrong("timestamps", WARN, "hwstamp_ctl -i ens1 -r 1",
          lambda: card(stamping=Stamping(True, 0, 0))),
    Wrong("timestamps", UNKNOWN, "ethtool -T", lambda: card(stamping=UNREAD)),
    Wrong("igmp.memberships", FAIL, "sysctl -w net.ipv4.igmp_max_memberships",
          lambda: sysctl("net.ipv4.igmp_max_memberships", 0)),
    # the receive thread's core
    Wrong("cpu.pinned", FAIL, "receive.cpu", receive='wait = "spin"'),
    Wrong("cpu.exists", FAIL, "lscpu", receive="cpu = 7"),
    Wrong("cpu.exists", FAIL, "AllowedCPUs", lambda: cores(allowed=frozenset({0})), receive=SPIN),
    Wrong("cpu.isolated", WARN, "isolcpus=managed_irq,domain,1", receive="cpu = 1"),
    Wrong("cpu.isolated", UNKNOWN, "isolcpus", lambda: cores(isolated=UNREAD), receive=SPIN),
    Wrong("cpu.nohz_full", WARN, "nohz_full=1", receive='cpu = 1\nwait = "spin"'),
    Wrong("cpu.governor", WARN, "cpupower -c 3 frequency-set -g performance",
          lambda: cores(governors={3: "powersave"}), receive=SPIN),
    Wrong("cpu.governor", UNKNOWN, "cpupower", lambda: cores(governors=UNREAD), receive=SPIN),
    Wrong("cpu.numa", WARN, "local_cpulist", lambda: card(node=1), receive=SPIN),
    Wrong("cpu.numa", UNKNOWN, "local_cpulist", lambda: cores(nodes=UNREAD), receive=SPIN),
    Wrong("irq.affinity", FAIL, "for n in 40; do echo 0-2 > /proc/irq/$n/smp_affinity_list; done",
          lambda: card(interrupts=on_core(3)), receive=SPIN),
    Wrong("irq.affinity", WARN, "irqbalance",
          lambda: card(interrupts=on_core(0, allowed=(3,))), receive=SPIN),
    Wrong("irq.affinity", WARN, "irqbalance", lambda: card(interrupts=on_core(3)), "af_xdp",
          SPIN + "\nbusy_poll_us = 50"),
    Wrong("irq.affinity", UNKNOWN, "/proc/interrupts", lambda: card(interrupts=UNREAD),
          receive=SPIN),
    Wrong("rps", FAIL, "for q in rx-0; do echo 0 > /sys/class/net/ens1/queues/$q/rps_cpus; done",
          lambda: card(rps={"rx-0": frozenset({2, 3}), "rx-1": frozenset({2})}), receive=SPIN),
    Wrong("rps", UNKNOWN, "queues", lambda: card(rps=UNREAD), receive=SPIN),
    # the host
    Wrong("backlog", WARN, "sysctl -w net.core.netdev_max_backlog",
          lambda: sysctl("net.core.netdev_max_backlog", 100)),
    Wrong("hugepages", FAIL, "sysctl -w vm.nr_hugepages=78",
          lambda: replace(host(), memory=Memory(2 << 20, 64, 2, "never")), "af_xdp", tables=HUGE),
    Wrong("hugepages", UNKNOWN, "nr_hugepages",
          lambda: replace(host(), memory=Memory(UNREAD, 64, 2, "never")), "af_xdp", tables=HUGE),
    Wrong("thp", WARN, "echo madvise",
          lambda: replace(host(), memory=Memory(2 << 20, 0, 0, "always"))),
    Wrong("clock", WARN, "set-ntp", lambda: replace(host(), clock=Clock(False, 0, ()))),
    Wrong("clock", WARN, "ptp4l", lambda: replace(host(), clock=Clock(True, 50_000, ()))),
    Wrong("clock", UNKNOWN, "timedatectl", lambda: replace(host(), clock=Clock(UNREAD, 0, ()))),
    Wrong("ptp", UNKNOWN, "/sys/class/ptp", lambda: replace(host(), clock=Clock(True, 0, UNREAD))),
    Wrong("journal.disk", WARN, "data_dir",
          lambda: replace(host(), journal=Directory("/j", "tmpfs", 1 << 40, 1 << 40))),
    Wrong("journal.disk", WARN, "data_dir",
          lambda: replace(host(), journal=Directory("/j", "nfs4", 1 << 40, 1 << 40))),
    Wrong("journal.room", WARN, "/j",
          lambda: replace(host(), journal=Directory("/j", "ext4", 1 << 30, 1 << 40))),
    Wrong("journal.room", UNKNOWN, "df -h /j",
          lambda: replace(host(), journal=Directory("/j", UNREAD, UNREAD, UNREAD))),
    Wrong("runtime.memory", WARN, "TICKDECK_RUNTIME_DIR", lambda: runtime(file_system="ext4")),
    Wrong("runtime.room", FAIL, "remount", lambda: runtime(free_bytes=32 << 20)),
    # the recovery's password
    Wrong("recovery.password", FAIL, "chmod o-rwx /etc/p", lambda: password(0o644), tables=LOGIN),
    Wrong("recovery.password", FAIL, "chown USER /etc/p",
          lambda: password(0o600, readable=False), tables=LOGIN),
    Wrong("recovery.password", FAIL, "install -m 600 /dev/stdin /etc/p",
          lambda: password(Unread("No such file or directory")), tables=LOGIN),
]  # fmt: skip


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: f"{wrong.id}-{wrong.verdict.name}")
def test_what_is_wrong_is_found(wrong: Wrong) -> None:
    """With the verdict that it deserves, evidence, and the command that mends it."""
    exchange = config(
        wrong.path, receive=wrong.receive, tables=wrong.tables, interface=wrong.interface
    )
    found = judged(exchange, wrong.facts())[wrong.id]
    assert (found.verdict, wrong.command in found.command) == (wrong.verdict, True), found
    assert found.evidence
    assert found.why.endswith(".")


def test_every_rule_is_seen_to_find_something() -> None:
    """A rule that never fires here would be a rule without a test."""
    ids = set[str]()
    ids = judged(config("packet_mmap", receive=SPIN)).keys() | ids
    for path in ("recvmmsg", "af_xdp", "auto"):
        ids |= judged(config(path, receive=SPIN + "\nbusy_poll_us = 50")).keys()
    ids |= judged(config(receive="busy_poll_us = 50"), None).keys()
    good = judged(config(tables=LOGIN), password(0o640))
    assert good["recovery.password"].verdict is PASS
    ids |= good.keys()
    assert ids - {wrong.id for wrong in CASES} == {"path.tried", "cpu.shared"}


def test_a_core_of_another_exchange_is_found() -> None:
    """By the other's receive.cpu; another core, and none, are no fault."""
    exchange = config(receive=SPIN)
    shared = judged(exchange, others=(Other("BATS", 3), Other("EDGX", None)))["cpu.shared"]
    assert (shared.verdict, "BATS" in shared.evidence) == (FAIL, True)
    assert judged(exchange, others=(Other("BATS", 2),))["cpu.shared"].verdict is PASS


def test_the_right_to_force_makes_a_small_limit_good() -> None:
    """CAP_NET_ADMIN passes over rmem_max; a high limit of locked memory needs no right."""
    small = sysctl("net.core.rmem_max", 4096)
    assert judged(config(), small)["rcvbuf"].verdict is PASS
    enough = replace(host(), rights=rights(ALL_RIGHTS & ~bits(CAP_IPC_LOCK), memlock_bytes=1 << 30))
    assert judged(config("af_xdp"), enough)["memlock.af_xdp"].verdict is PASS
    unlimited = replace(host(), rights=rights(0, memlock_bytes=UNLIMITED))
    assert judged(config(tables=LOCKED), unlimited)["memlock"].verdict is PASS


def test_each_queue_takes_memory_of_its_own() -> None:
    """Three queues of 32 MiB of frames: pinned, and on pages of 2 MiB."""
    facts = card(channels=Channels(3, 3))
    facts = replace(
        facts,
        rights=rights(ALL_RIGHTS & ~bits(CAP_IPC_LOCK), memlock_bytes=95 << 20),
        memory=Memory(2 << 20, 64, 47, "never"),
    )
    found = judged(config("af_xdp", tables=HUGE), facts)
    assert (found["memlock.af_xdp"].verdict, found["hugepages"].verdict) == (FAIL, FAIL)
    assert "the frames of 3 queues take 96 MiB" in found["memlock.af_xdp"].evidence
    assert "48 are needed" in found["hugepages"].evidence


def test_the_ring_of_the_last_run_is_room() -> None:
    """What would be replaced is not asked for twice."""
    facts = runtime(free_bytes=0, own_bytes=256 << 20)
    assert judged(config(), facts)["runtime.room"].verdict is PASS


def test_rules_of_other_paths_are_not_asked() -> None:
    """A plant of sockets hears nothing of XDP; AF_XDP alone nothing of the sockets' kernel."""
    sockets, xdp = judged(config()), judged(config("af_xdp"))
    assert not {"queues", "xdp.program", "driver.xdp", "kernel.af_xdp"} & sockets.keys()
    assert "kernel.recvmmsg" not in xdp


def test_sockets_beside_a_path_are_judged_too() -> None:
    """A strict filter takes fragments from every path; the buffer is that of AF_XDP's sockets."""
    for path in ("af_xdp", "packet_mmap"):
        found = judged(config(path), card(rp_filter=1))["rp_filter"]
        assert (found.verdict, "sockets beside" in found.why) == (WARN, True)
    small = replace(sysctl("net.core.rmem_max", 212_992), rights=WEAK)
    assert judged(config("af_xdp"), small)["rcvbuf"].verdict is FAIL
    ring = judged(config("packet_mmap"), small)["rcvbuf"]
    assert ring.verdict is PASS
    assert "rmem_max is 212992" in ring.evidence


def test_too_many_queues_refuse_af_xdp() -> None:
    """The receiver binds at most 48; a line that may take another path is only warned."""
    assert judged(config("af_xdp"), card(channels=Channels(48, 48)))["queues"].verdict is WARN
    many = card(channels=Channels(49, 49))
    found = judged(config("af_xdp"), many)["queues"]
    assert (found.verdict, found.command) == (FAIL, "ethtool -L ens1 combined 1")
    assert "at most 48" in found.evidence
    assert judged(config("auto"), many)["queues"].verdict is WARN


def test_a_program_by_a_link_is_taken_off_otherwise() -> None:
    """`ip link` does not remove a bpf_link, so the remedy names what does."""
    found = judged(config("af_xdp"), card(xdp=XdpProgram(9, "filter")))["xdp.program"]
    assert found.command.endswith("bpftool link list, then bpftool link detach id N")


def test_the_own_worker_is_not_blamed() -> None:
    """Its program and its pages go with it; those of another exchange, or of nobody, do not."""
    exchange = config("af_xdp", tables=HUGE)
    memory = Memory(2 << 20, 16, 0, "never")
    facts = replace(card(xdp=XdpProgram(9, "steer")), memory=memory)
    found = judged(exchange, facts, running=exchange)
    assert (found["xdp.program"].verdict, found["hugepages"].verdict) == (PASS, PASS)
    assert "this exchange's own worker" in found["xdp.program"].evidence
    assert "own worker holds 16 of them" in found["hugepages"].evidence
    stopped = judged(exchange, facts)
    assert (stopped["xdp.program"].verdict, stopped["hugepages"].verdict) == (WARN, FAIL)
    rival = (Other("BATS", None, frozenset({NIC})),)
    assert judged(exchange, facts, running=exchange, others=rival)["xdp.program"].verdict is WARN
    fallen_back = replace(host(), memory=memory)
    assert judged(exchange, fallen_back, running=exchange)["hugepages"].verdict is FAIL
    sockets = judged(exchange, facts, running=config())
    assert (sockets["xdp.program"].verdict, sockets["hugepages"].verdict) == (WARN, FAIL)


def test_without_a_core_the_cores_are_told() -> None:
    """Nothing is judged then; what could not be read is said."""
    found = judged(config(), card(interrupts=on_core(1), rps={"rx-0": frozenset({2, 3})}))
    told = {
        "cpu.isolated": "isolated cores: 2-3",
        "cpu.nohz_full": "nohz_full cores: 2-3",
        "cpu.governor": '"performance" on 4 cores',
        "cpu.numa": "the card is on node 0, with cores 0-3",
        "irq.affinity": "1 interrupts, on cores 1",
        "rps": "1 of 1 receive queues are steered, to cores 2-3",
    }
    assert {name: found[name].evidence for name in told} == told
    assert {found[name].verdict for name in told} == {PASS}
    unread = judged(config(), card(interrupts=UNREAD, rps=UNREAD, node=UNREAD))
    assert [unread[name].verdict for name in ("irq.affinity", "rps", "cpu.numa")] == [UNKNOWN] * 3
    blind = judged(config(), cores(isolated=UNREAD, nohz_full=UNREAD, governors=UNREAD))
    names = ("cpu.isolated", "cpu.nohz_full", "cpu.governor")
    assert [blind[name].verdict for name in names] == [UNKNOWN] * 3


def test_a_loopback_is_no_card() -> None:
    """It has neither ring nor multicast flag nor interrupts, and its MTU is no fault."""
    lo: InterfaceFacts = replace(
        interface("lo"), flags=0x9, state="unknown", mtu=65536, driver="loopback", node=-1,
        channels=UNREAD, rings=UNREAD, stamping=Stamping(False, -1, 0), interrupts=(), rp_filter=1,
    )  # fmt: skip
    exchange = config("auto", receive=SPIN, interface="lo")
    found = judged(exchange, host(lo))
    assert {one.id for one in found.values() if one.verdict is not PASS} == set()
    assert "nic.ring" not in found


def test_what_was_tried_is_told_with_its_refusals() -> None:
    """No path at all fails; a better path that was refused is a warning; sockets miss nothing."""
    none = tuple(replace(line, chosen=None) for line in tried("af_xdp"))
    assert judged(config("af_xdp"), rungs=none)["path.tried"].verdict is FAIL
    refused = tried("auto", refused=("af_xdp zero-copy", "af_xdp native copy"))
    found = judged(config("auto"), rungs=refused)["path.tried"]
    assert found.verdict is WARN
    assert "gets af_xdp generic" in found.evidence
    assert "af_xdp native copy (errno 95): not supported" in found.evidence
    assert "packet_mmap (" not in found.evidence
    sockets = tried(refused=("af_xdp zero-copy",))
    assert judged(config(), rungs=sockets)["path.tried"].verdict is PASS
    untried = judged(config(), rungs=Unread("no such command"))["path.tried"]
    assert (untried.verdict, untried.evidence) == (UNKNOWN, "no such command")
    assert untried.command.endswith("/run/tickdeck/workers/XNAS-rx/spec.json")


def test_a_disabled_path_is_not_one_of_auto() -> None:
    """`[afxdp] enable = false` keeps `auto` from it, and its rules are not asked."""
    exchange = config("auto", tables="[afxdp]\nenable = false\n")
    assert "kernel.af_xdp" not in judged(exchange)


def test_one_capability_is_enough_for_the_ring() -> None:
    """CAP_NET_RAW alone opens a packet ring; CAP_SYS_ADMIN stands for CAP_BPF."""
    raw = replace(host(), rights=rights(bits(CAP_NET_RAW)))
    assert judged(config("packet_mmap"), raw)["capabilities.packet_mmap"].verdict is PASS
    old = replace(host(), rights=rights(bits(CAP_NET_RAW, CAP_NET_ADMIN, 21)))
    assert judged(config("af_xdp"), old)["capabilities.af_xdp"].verdict is PASS


def test_sizes_and_lists() -> None:
    """As people read them."""
    assert [size(n) for n in (0, 1023, 1536, 64 << 20, 3 << 40)] == [
        "0 B", "1023 B", "1.5 KiB", "64 MiB", "3072 GiB",
    ]  # fmt: skip
    assert [listed(frozenset(c)) for c in ((), (4,), (0, 1, 2, 5, 7, 8))] == [
        "none", "4", "0-2,5,7-8",
    ]  # fmt: skip
