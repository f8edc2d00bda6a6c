"""What the cores are like where no core is named to judge: told, so that one can be chosen."""

from collections import Counter
from collections.abc import Iterator

from tickdeck_daemon.preflight.facts import InterfaceFacts, Unread
from tickdeck_daemon.preflight.finding import Finding, passed, unknown
from tickdeck_daemon.preflight.rules.case import Case, listed

WHY = "It tells which core to name in receive.cpu; without one it is only told."


def findings(case: Case) -> Iterator[Finding]:
    """All of them; none is a fault."""
    cores = case.host.cores
    yield _listed("cpu.isolated", cores.isolated, "cat /sys/devices/system/cpu/isolated")
    yield _listed("cpu.nohz_full", cores.nohz_full, "cat /sys/devices/system/cpu/nohz_full")
    yield _governors(case)
    for facts in case.interfaces():
        yield _node(case, facts)
        yield _interrupts(facts)
        yield _steering(facts)


def _listed(name: str, cores: frozenset[int] | Unread, command: str) -> Finding:
    if isinstance(cores, Unread):
        return unknown(name, "host", cores.reason, WHY, command)
    return passed(name, "host", f"{name.removeprefix('cpu.')} cores: {listed(cores)}", WHY)


def _governors(case: Case) -> Finding:
    name, governors = "cpu.governor", case.host.cores.governors
    if isinstance(governors, Unread):
        seen = f"{governors.reason}; a virtual machine's host decides"
        return unknown(name, "host", seen, WHY, "cpupower frequency-info")
    counted = Counter(governors.values())
    seen = ", ".join(f'"{word}" on {count} cores' for word, count in sorted(counted.items()))
    return passed(name, "host", seen or "no core has a governor", WHY)


def _node(case: Case, facts: InterfaceFacts) -> Finding:
    name, nodes = "cpu.numa", case.host.cores.nodes
    if isinstance(facts.node, Unread):
        command = f"cat /sys/class/net/{facts.name}/device/numa_node"
        return unknown(name, facts.name, facts.node.reason, WHY, command)
    if facts.node == -1:
        return passed(name, facts.name, "the interface is on no NUMA node", WHY)
    if isinstance(nodes, Unread):
        return unknown(name, facts.name, nodes.reason, WHY, "lscpu --extended")
    near = frozenset(core for core, node in nodes.items() if node == facts.node)
    seen = f"the card is on node {facts.node}, with cores {listed(near)}"
    return passed(name, facts.name, seen, WHY)


def _interrupts(facts: InterfaceFacts) -> Finding:
    name, interrupts = "irq.affinity", facts.interrupts
    if isinstance(interrupts, Unread):
        return unknown(name, facts.name, interrupts.reason, WHY, "cat /proc/interrupts")
    if not interrupts:
        return passed(name, facts.name, "the interface has no interrupts of its own", WHY)
    taken = frozenset[int]().union(*(one.effective or one.allowed for one in interrupts))
    seen = f"{len(interrupts)} interrupts, on cores {listed(taken)}"
    return passed(name, facts.name, seen, WHY)


def _steering(facts: InterfaceFacts) -> Finding:
    name, rps = "rps", facts.rps
    if isinstance(rps, Unread):
        command = f"ls /sys/class/net/{facts.name}/queues"
        return unknown(name, facts.name, rps.reason, WHY, command)
    steered = [cores for cores in rps.values() if cores]
    seen = f"{len(steered)} of {len(rps)} receive queues are steered"
    taken = frozenset[int]().union(*steered)
    seen += f", to cores {listed(taken)}" if steered else ""
    return passed(name, facts.name, seen, WHY)
