"""Whether the receive thread's core is its own: pinning, isolation, interrupts, NUMA, frequency."""

from collections.abc import Iterator

from tickdeck_daemon.preflight.facts import InterfaceFacts, Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged, passed, unknown
from tickdeck_daemon.preflight.rules import unpinned
from tickdeck_daemon.preflight.rules.case import AF_XDP, Case, listed


def findings(case: Case) -> Iterator[Finding]:
    """All of them."""
    cpu = case.config.receive.cpu
    yield _pinned(case, cpu)
    if cpu is not None:
        yield _exists(case, cpu)
    online = case.host.cores.online
    if cpu is None or (isinstance(online, frozenset) and cpu not in online):
        yield from unpinned.findings(case)
        return
    yield from _shared(case, cpu)
    yield from _isolated(case, cpu)
    yield from _governor(case, cpu)
    for facts in case.interfaces():
        yield from _node(case, cpu, facts)
        yield from _interrupts(case, cpu, facts)
        yield from _steering(cpu, facts)


def _pinned(case: Case, cpu: int | None) -> Finding:
    spins = case.config.receive.wait == "spin"
    name, subject = "cpu.pinned", "receive thread"
    why = "A spinning thread takes a whole core, and the scheduler moves it to where others work."
    if cpu is not None:
        seen = f'pinned to core {cpu}, wait = "{"spin" if spins else "block"}"'
        return passed(name, subject, seen, why)
    online = case.host.cores.online
    seen = f'receive.cpu is not set and wait = "{"spin" if spins else "block"}"'
    command = "set receive.cpu in the exchange file"
    if spins and isinstance(online, frozenset) and len(online) <= 2:
        seen += f"; this host has {len(online)} cores"
    return judged(name, subject, Verdict.FAIL if spins else Verdict.PASS, seen, why, command)


def _exists(case: Case, cpu: int) -> Finding:
    name, subject = "cpu.exists", f"core {cpu}"
    why = "The worker does not start when it cannot be pinned."
    command = "lscpu --extended; set receive.cpu to a core of this host"
    cores = case.host.cores
    if isinstance(cores.online, Unread):
        return unknown(name, subject, cores.online.reason, why, command)
    seen = f"cores {listed(cores.online)} are online"
    if cpu not in cores.online:
        return Finding(name, Verdict.FAIL, subject, seen, why, command)
    if isinstance(cores.allowed, Unread):
        return unknown(name, subject, cores.allowed.reason, why, command)
    seen += f", {listed(cores.allowed)} are open to the daemon's cgroup"
    command = "add it to AllowedCPUs= of tickdeckd's unit, or choose a core of those"
    verdict = Verdict.PASS if cpu in cores.allowed else Verdict.FAIL
    return judged(name, subject, verdict, seen, why, command)


def _shared(case: Case, cpu: int) -> Iterator[Finding]:
    sharing = [other for other in case.others if other.cpu == cpu]
    name, subject = "cpu.shared", f"core {cpu}"
    why = "Two receive threads on a core wait for one another, and each packet pays for it."
    if not sharing:
        count = len(case.others)
        yield passed(name, subject, f"no other exchange of {count} names it", why)
        return
    names = ", ".join(other.name for other in sharing)
    command = "set another receive.cpu in one of the exchange files"
    seen = f"receive.cpu of {names} is the same"
    yield Finding(name, Verdict.FAIL, subject, seen, why, command)


def _isolated(case: Case, cpu: int) -> Iterator[Finding]:
    subject, cores = f"core {cpu}", case.host.cores
    why = "On a core that is not isolated other threads run whenever the scheduler likes."
    command = f"add isolcpus=managed_irq,domain,{cpu} to the kernel's command line and reboot"
    if isinstance(cores.isolated, Unread):
        yield unknown("cpu.isolated", subject, cores.isolated.reason, why, command)
    else:
        verdict = Verdict.PASS if cpu in cores.isolated else Verdict.WARN
        seen = f"isolated cores: {listed(cores.isolated)}"
        yield judged("cpu.isolated", subject, verdict, seen, why, command)
    why = "The timer's tick takes the core from the thread several hundred times a second."
    command = f"add nohz_full={cpu} rcu_nocbs={cpu} to the kernel's command line and reboot"
    if isinstance(cores.nohz_full, Unread):
        yield unknown("cpu.nohz_full", subject, cores.nohz_full.reason, why, command)
        return
    # A thread that sleeps between packets is woken by an interrupt anyway.
    spins = case.config.receive.wait == "spin"
    verdict = Verdict.PASS if cpu in cores.nohz_full or not spins else Verdict.WARN
    seen = f"nohz_full cores: {listed(cores.nohz_full)}"
    seen += "" if spins else '; it matters with wait = "spin"'
    yield judged("cpu.nohz_full", subject, verdict, seen, why, command)


def _governor(case: Case, cpu: int) -> Iterator[Finding]:
    name, subject, governors = "cpu.governor", f"core {cpu}", case.host.cores.governors
    why = "A core that sleeps or slows down between bursts is slow when the burst comes."
    command = f"cpupower -c {cpu} frequency-set -g performance"
    if isinstance(governors, Unread):
        seen = f"{governors.reason}; a virtual machine's host decides"
        yield unknown(name, subject, seen, why, command)
        return
    governor = governors.get(cpu, "")
    verdict = Verdict.PASS if governor == "performance" else Verdict.WARN
    yield judged(name, subject, verdict, f'governor "{governor}"', why, command)


def _node(case: Case, cpu: int, facts: InterfaceFacts) -> Iterator[Finding]:
    name, subject, nodes = "cpu.numa", facts.name, case.host.cores.nodes
    why = "Every packet crosses the sockets when card and core are on different NUMA nodes."
    command = (
        f"cat /sys/class/net/{facts.name}/device/local_cpulist; set receive.cpu to one of them"
    )
    if facts.node == -1:
        seen = "the interface is on no NUMA node"
        yield passed(name, subject, seen, why)
        return
    unread = next((one for one in (nodes, facts.node) if isinstance(one, Unread)), None)
    if isinstance(nodes, Unread) or unread is not None:
        reason = unread.reason if unread else ""
        yield unknown(name, subject, reason, why, command)
        return
    verdict = Verdict.PASS if nodes.get(cpu) == facts.node else Verdict.WARN
    seen = f"the card is on node {facts.node}, core {cpu} on node {nodes.get(cpu, '?')}"
    yield judged(name, subject, verdict, seen, why, command)


def _interrupts(case: Case, cpu: int, facts: InterfaceFacts) -> Iterator[Finding]:
    name, subject, interrupts = "irq.affinity", facts.name, facts.interrupts
    why = "Sockets livelock on a core that also takes the card's interrupts: most packets are lost."
    if isinstance(interrupts, Unread):
        yield unknown(name, subject, interrupts.reason, why, "cat /proc/interrupts")
        return
    if not interrupts:
        yield passed(name, subject, "the interface has no interrupts of its own", why)
        return
    online = case.host.cores.online
    others = online - {cpu} if isinstance(online, frozenset) else frozenset[int]()
    here = [one for one in interrupts if cpu in one.effective]
    allowed = [one for one in interrupts if cpu in one.allowed and one not in here]
    if not here and not allowed:
        seen = f"{len(interrupts)} interrupts, none may come on core {cpu}"
        yield passed(name, subject, seen, why)
        return
    bad = here or allowed
    told = ", ".join(f"{one.number} ({one.name})" for one in bad[:4])
    told += f" and {len(bad) - 4} more" if len(bad) > 4 else ""
    verdict = Verdict.FAIL if here and not _polls(case, facts) else Verdict.WARN
    seen = f"{'on' if here else 'may come on'} core {cpu}: interrupt {told}"
    numbers = " ".join(str(one.number) for one in (*here, *allowed))
    command = "systemctl stop irqbalance; "
    command += (
        f"for n in {numbers}; do echo {listed(others)} > /proc/irq/$n/smp_affinity_list; done"
    )
    if not others:
        command = "give the receive thread a core of its own: the host has one core"
    yield Finding(name, verdict, subject, seen, why, command)


def _polls(case: Case, facts: InterfaceFacts) -> bool:
    """All lines there poll the card from the receive thread itself, which then wants its core."""
    only_af_xdp = all(case.paths(line) == (AF_XDP,) for line in case.lines_of(facts))
    return only_af_xdp and case.config.receive.busy_poll_us > 0


def _steering(cpu: int, facts: InterfaceFacts) -> Iterator[Finding]:
    name, subject, rps = "rps", facts.name, facts.rps
    why = "Packet steering puts the kernel's work for packets on the cores of its mask."
    if isinstance(rps, Unread):
        yield unknown(name, subject, rps.reason, why, f"ls /sys/class/net/{facts.name}/queues")
        return
    here = [queue for queue, cores in rps.items() if cpu in cores]
    if not here:
        steered = sum(1 for cores in rps.values() if cores)
        seen = f"{steered} of {len(rps)} receive queues are steered, none to core {cpu}"
        yield passed(name, subject, seen, why)
        return
    seen = f"{', '.join(here)} steered to core {cpu}, the receive thread's"
    echo = f"echo 0 > /sys/class/net/{facts.name}/queues/$q/rps_cpus"
    command = f"for q in {' '.join(here)}; do {echo}; done"
    yield Finding(name, Verdict.FAIL, subject, seen, why, command)
