"""Whether the lines' interfaces are there, up, and set up for multicast."""

from collections.abc import Iterator

from tickdeck_daemon.exchanges.model import Line
from tickdeck_daemon.preflight.facts import InterfaceFacts, Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged, passed, unknown
from tickdeck_daemon.preflight.rules.case import AF_XDP, RECVMMSG, Case

IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_RUNNING = 0x40
IFF_MULTICAST = 0x1000
ETHERNET_MTU = 1500
XDP_MTU_MAX = 1774
"""Frames have 2,048 bytes: 256 of headroom, 18 of Ethernet header with one tag, the packet."""
STAMPS_NOTHING = 0


def findings(case: Case) -> Iterator[Finding]:
    """All of them."""
    for line in case.config.lines:
        if line.interface not in case.host.interfaces:
            yield _missing(case, line)
    for facts in case.interfaces():
        yield _state(facts)
        yield _multicast(case, facts)
        yield _mtu(case, facts)
        yield from _ring(facts)
        yield from _rp_filter(case, facts)
        yield from _stamping(case, facts)
    yield _memberships(case)


def _missing(case: Case, line: Line) -> Finding:
    known = ", ".join(case.host.known_interfaces) or "none"
    seen = f'no interface "{line.interface}"; this host has: {known}'
    why = "A line needs an interface that exists."
    if line.interface in case.host.hidden_interfaces:
        seen = f"{line.interface} exists, but /sys shows another network namespace"
        command = "start tickdeckd by ip netns exec, which mounts the right /sys"
        return unknown("interface.exists", f"line {line.name}", seen, why, command)
    command = f"ip -brief link; correct interface of line {line.name} in the exchange file"
    return Finding("interface.exists", Verdict.FAIL, f"line {line.name}", seen, why, command)


def _state(facts: InterfaceFacts) -> Finding:
    name, flags = "interface.up", facts.flags
    why = "Nothing arrives on an interface that is down or has no carrier."
    command = f"ip link set dev {facts.name} up"
    if isinstance(flags, Unread):
        return unknown(name, facts.name, flags.reason, why, f"ip link show dev {facts.name}")
    if not flags & IFF_UP:
        return Finding(name, Verdict.FAIL, facts.name, "it is down", why, command)
    state = facts.state if isinstance(facts.state, str) else "not readable"
    seen = f"up, operational state {state}"
    if isinstance(facts.carrier, Unread):
        command = f"ip link show dev {facts.name}"
        return unknown(name, facts.name, f"{seen}; {facts.carrier.reason}", why, command)
    running = facts.carrier and state in ("up", "unknown")
    seen += f", carrier {'yes' if facts.carrier else 'no'}"
    command = f"ethtool {facts.name}; look at cable, transceiver and switch port"
    verdict = Verdict.PASS if running else Verdict.FAIL
    return judged(name, facts.name, verdict, seen, why, command)


def _multicast(case: Case, facts: InterfaceFacts) -> Finding:
    name, flags = "interface.multicast", facts.flags
    why = "Without the flag the kernel asks neither the card nor the switch for the groups."
    if isinstance(flags, Unread):
        return unknown(name, facts.name, flags.reason, why, f"ip link show dev {facts.name}")
    if flags & IFF_MULTICAST:
        return passed(name, facts.name, "MULTICAST is set", why)
    if flags & IFF_LOOPBACK:
        seen = "loopback interface: groups are looped back without the flag"
        return passed(name, facts.name, seen, why)
    seen = "MULTICAST is not set"
    command = f"ip link set dev {facts.name} multicast on"
    return Finding(name, Verdict.FAIL, facts.name, seen, why, command)


def _mtu(case: Case, facts: InterfaceFacts) -> Finding:
    name, mtu = "interface.mtu", facts.mtu
    why = "Packets that are longer than a frame are dropped, or the program is refused."
    if isinstance(mtu, Unread):
        return unknown(name, facts.name, mtu.reason, why, f"ip link show dev {facts.name}")
    command = f"ip link set dev {facts.name} mtu {ETHERNET_MTU}"
    seen = f"MTU {mtu}"
    if mtu < ETHERNET_MTU:
        seen += f", less than the {ETHERNET_MTU} that venues assume"
        return Finding(name, Verdict.WARN, facts.name, seen, why, command)
    # The sender of a loopback is this host itself.
    loopback = isinstance(facts.flags, int) and facts.flags & IFF_LOOPBACK
    may_be_af_xdp = any(AF_XDP in case.paths(line) for line in case.lines_of(facts))
    if mtu > XDP_MTU_MAX and may_be_af_xdp and not loopback:
        seen += f"; a frame of AF_XDP holds packets of an MTU of up to {XDP_MTU_MAX}"
        return Finding(name, Verdict.WARN, facts.name, seen, why, command)
    return passed(name, facts.name, seen, why)


def _ring(facts: InterfaceFacts) -> Iterator[Finding]:
    name, rings = "nic.ring", facts.rings
    why = "The card's ring takes a burst while the core is busy; nothing overflows before it."
    if isinstance(rings, Unread):
        # An interface without a card has no ring.
        if (isinstance(facts.flags, int) and facts.flags & IFF_LOOPBACK) or facts.driver == "veth":
            return
        yield unknown(name, facts.name, rings.reason, why, f"ethtool -g {facts.name}")
        return
    if not rings.most:
        return
    verdict = Verdict.PASS if rings.present >= rings.most else Verdict.WARN
    seen = f"receive ring of {rings.present} packets; the card can have {rings.most}"
    command = f"ethtool -G {facts.name} rx {rings.most}"
    yield judged(name, facts.name, verdict, seen, why, command)


def _rp_filter(case: Case, facts: InterfaceFacts) -> Iterator[Finding]:
    lines = [line for line in case.lines_of(facts) if ":" not in line.group]
    if not lines:
        return
    name, value = "rp_filter", facts.rp_filter
    why = "A strict filter drops multicast whose sender is not routed back by the same interface."
    if not any(RECVMMSG in case.paths(line) for line in lines):
        # Those paths take frames before the routing code; their sockets beside do not.
        why += (
            " Here it is for the sockets beside: fragments, and what a path leaves to the kernel."
        )
    command = f"sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{facts.name}.rp_filter=0"
    if isinstance(value, Unread):
        yield unknown(name, facts.name, value.reason, why, "sysctl net.ipv4.conf")
        return
    words = {0: "off", 1: "strict", 2: "loose: the sender needs a route, by any interface"}
    seen = f"rp_filter is {value} ({words.get(value, 'unknown')}), the greater of all and "
    seen += facts.name
    sources = ", ".join(line.source for line in lines if line.source)
    if sources:
        seen += f"; ip route get {sources.split(', ')[0]} shows the way back to a sender"
    loopback = isinstance(facts.flags, int) and facts.flags & IFF_LOOPBACK
    verdict = Verdict.WARN if value == 1 and not loopback else Verdict.PASS
    yield judged(name, facts.name, verdict, seen, why, command)


def _stamping(case: Case, facts: InterfaceFacts) -> Iterator[Finding]:
    if case.config.receive.timestamps == "off":
        return
    name, stamping = "timestamps", facts.stamping
    why = "Only the card's times leave out what the host adds; latencies rest on them."
    if isinstance(stamping, Unread):
        yield unknown(name, facts.name, stamping.reason, why, f"ethtool -T {facts.name}")
    elif not stamping.hardware:
        seen = "the card stamps nothing; packets carry the kernel's time"
        yield passed(name, facts.name, seen, why)
    elif isinstance(stamping.filter, Unread):
        seen = f"the card can stamp; whether it does: {stamping.filter.reason}"
        yield unknown(name, facts.name, seen, why, f"hwstamp_ctl -i {facts.name}")
    else:
        on = stamping.filter != STAMPS_NOTHING
        seen = f"the card can stamp, clock ptp{stamping.clock}, and it is switched "
        seen += f"on (filter {stamping.filter})" if on else "off"
        verdict = Verdict.PASS if on else Verdict.WARN
        command = f"hwstamp_ctl -i {facts.name} -r 1"
        yield judged(name, facts.name, verdict, seen, why, command)


def _memberships(case: Case) -> Finding:
    key, wanted = "net.ipv4.igmp_max_memberships", 1
    name, subject = "igmp.memberships", "lines"
    why = "A join beyond the limit is refused, and the worker does not start."
    if all(":" in line.group for line in case.config.lines):
        return passed(name, subject, "all groups are of IPv6", why)
    most = case.host.sysctl[key]
    if isinstance(most, Unread):
        return unknown(name, subject, most.reason, why, f"sysctl {key}")
    count = len(case.config.lines)
    seen = f"{key} = {most} for each socket; the {count} lines have a socket and a group each"
    verdict = Verdict.PASS if most >= wanted else Verdict.FAIL
    return judged(name, subject, verdict, seen, why, f"sysctl -w {key}=20")
