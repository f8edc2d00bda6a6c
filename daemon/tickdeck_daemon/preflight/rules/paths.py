"""What the receive paths of the lines need of rights, kernel, driver and queues."""

from collections.abc import Iterator

from tickdeck_daemon.preflight.facts import (
    UNLIMITED,
    InterfaceFacts,
    LineRungs,
    RungFact,
    Unread,
)
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged, passed, unknown
from tickdeck_daemon.preflight.rights import (
    CAP_BPF,
    CAP_IPC_LOCK,
    CAP_NET_ADMIN,
    CAP_NET_RAW,
    CAP_SYS_ADMIN,
    NAMES,
    has,
)
from tickdeck_daemon.preflight.rules.case import (
    AF_XDP,
    PACKET_MMAP,
    PATHS,
    RECVMMSG,
    UMEM_FRAME_BYTES,
    Case,
    has_own_program,
    size,
)

ZERO_COPY_DRIVERS = frozenset({"i40e", "ixgbe", "ice", "igc", "mlx5_core", "gve"})
NATIVE_DRIVERS = frozenset({"veth", "virtio_net"})
"""Drivers that run XDP programs themselves, and copy."""
GENERIC_DRIVERS = frozenset({"loopback", "dummy", "bridge"})
"""Without a hook of their own."""
NEEDED = {
    AF_XDP: (CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF),
    PACKET_MMAP: (CAP_NET_RAW,),
    RECVMMSG: (),
}
OLDEST_KERNELS = {AF_XDP: (5, 9), PACKET_MMAP: (5, 16), RECVMMSG: (4, 12)}
KERNEL_REASONS = {
    AF_XDP: "A program that is attached by a link (5.9) leaves the interface with its worker.",
    PACKET_MMAP: "The packet ring uses options that older kernels do not know.",
    RECVMMSG: "The socket's own drop counter is read by SO_MEMINFO.",
}
BUSY_POLL_KERNEL = (5, 11)
QUEUES_MAX = 48
"""Receive queues of an interface that one worker binds, as the native part has it."""


def findings(case: Case) -> Iterator[Finding]:
    """All of them."""
    yield from _tried(case)
    for path in PATHS:
        if case.lines(path):
            yield from _capabilities(case, path)
            yield _kernel(case, path)
    yield from _busy_poll(case)
    yield _buffer(case)
    if case.lines(AF_XDP):
        yield _pinned_memory(case)
        yield _btf(case)
        for facts in case.interfaces(AF_XDP):
            yield _driver(case, facts)
            yield _queues(case, facts)
            yield _program(case, facts)


def _tried(case: Case) -> Iterator[Finding]:
    why = "What the kernel and the driver grant is known for sure only when it is tried."
    if isinstance(case.rungs, Unread):
        spec = f"{case.host.runtime.path}/workers/{case.config.name}-rx/spec.json"
        command = case.rungs.command or f"{case.rx} probe --spec {spec}"
        yield unknown("path.tried", "lines", case.rungs.reason, why, command)
        return
    for line in case.rungs:
        yield _line_tried(line, why)


def _line_tried(line: LineRungs, why: str) -> Finding:
    subject = f"line {line.line}"
    refused = [rung for rung in line.rungs if not rung.ok]
    could = ", ".join(rung.path for rung in line.rungs if rung.ok) or "nothing"
    seen = f'receive = "{line.wish}" gets {line.chosen or "nothing"}; this host has: {could}'
    names = [rung.path for rung in line.rungs]
    best = names.index(line.chosen) if line.chosen in names else len(names)
    # A rung of another path than the wish is no loss.
    family = "" if line.wish == "auto" else line.wish
    missed = [r for r in refused if names.index(r.path) < best and r.path.startswith(family)]
    told = "; ".join(_refusal(rung) for rung in missed)
    seen += f"; refused: {told}" if told else ""
    if line.chosen is None:
        command = 'see the findings below, or set receive = "auto" for the line'
        return Finding("path.tried", Verdict.FAIL, subject, seen, why, command)
    verdict = Verdict.WARN if missed else Verdict.PASS
    path = line.chosen.split()[0]
    command = f'see the findings below, or set receive = "{path}" for the line'
    if path == AF_XDP:
        command = "see driver.xdp, queues, interface.mtu and xdp.program"
    return judged("path.tried", subject, verdict, seen, why, command)


def _refusal(rung: RungFact) -> str:
    number = f" (errno {rung.errno})" if rung.errno else ""
    return f"{rung.path}{number}: {rung.error}"


def _capabilities(case: Case, path: str) -> Iterator[Finding]:
    if not NEEDED[path]:
        return
    subject = " and ".join(f"line {line.name}" for line in case.lines(path))
    why = f"Without them the kernel refuses {path} to the worker."
    name, rights = f"capabilities.{path}", case.host.rights
    if isinstance(rights.capabilities, Unread):
        yield unknown(name, subject, rights.capabilities.reason, why, f"getcap {case.rx}")
        return
    missing = [number for number in NEEDED[path] if not _may(rights.capabilities, number)]
    needed = ", ".join(NAMES[number] for number in NEEDED[path])
    if not missing:
        yield passed(name, subject, f"a worker has {needed}", why)
        return
    seen = f"a worker lacks {', '.join(NAMES[number] for number in missing)} (needs {needed})"
    verdict = Verdict.FAIL if case.demanded(path) else Verdict.WARN
    yield Finding(name, verdict, subject, seen, why, grant(case, missing))


def grant(case: Case, missing: list[int]) -> str:
    """The command that gives capabilities to a worker."""
    rights = case.host.rights
    if rights.user == 0:
        words = " ".join(NAMES[number] for number in missing)
        return (
            f"add {words} to CapabilityBoundingSet= of tickdeckd's unit, or to the capabilities of "
            "its container"
        )
    # setcap replaces what a file has, so all that this exchange wants is named at once.
    wanted = {number for path in PATHS if case.lines(path) for number in NEEDED[path]} | {*missing}
    words = ",".join(NAMES[number].lower() for number in sorted(wanted))
    return f"setcap {words}=ep {case.rx}"


def _may(capabilities: int, number: int) -> bool:
    if number == CAP_BPF and has(capabilities, CAP_SYS_ADMIN):
        return True
    return has(capabilities, number)


def _kernel(case: Case, path: str) -> Finding:
    name, why = f"kernel.{path}", KERNEL_REASONS[path]
    return _at_least(case, name, OLDEST_KERNELS[path], why, hard=case.demanded(path))


def _at_least(case: Case, name: str, oldest: tuple[int, int], why: str, *, hard: bool) -> Finding:
    kernel = case.host.kernel
    wanted = f"{oldest[0]}.{oldest[1]}"
    if isinstance(kernel, Unread):
        return unknown(name, "host", kernel.reason, why, "uname -r")
    good, bad = Verdict.PASS, Verdict.FAIL if hard else Verdict.WARN
    seen = f"Linux {kernel[0]}.{kernel[1]} (needs {wanted})"
    verdict = good if kernel >= oldest else bad
    return judged(name, "host", verdict, seen, why, f"install a kernel of {wanted} or newer")


def _busy_poll(case: Case) -> Iterator[Finding]:
    wanted_us = case.config.receive.busy_poll_us
    if not wanted_us or not (case.lines(RECVMMSG) or case.lines(AF_XDP)):
        return  # A packet ring's card is not polled.
    why = "The worker does not start when the kernel refuses busy polling."
    yield _at_least(case, "kernel.busy_poll", BUSY_POLL_KERNEL, why, hard=True)
    capabilities = case.host.rights.capabilities
    if isinstance(capabilities, Unread):
        command = f"getcap {case.rx}"
        yield unknown("busy_poll.rights", "host", capabilities.reason, why, command)
    else:
        may = has(capabilities, CAP_NET_ADMIN)
        seen = f"receive.busy_poll_us = {wanted_us}; a worker {'has' if may else 'lacks'} "
        seen += "CAP_NET_ADMIN"
        verdict = Verdict.PASS if may else Verdict.FAIL
        command = grant(case, [CAP_NET_ADMIN])
        yield judged("busy_poll.rights", "host", verdict, seen, why, command)
    if case.config.receive.wait == "block":
        yield _busy_poll_sysctl(case)


def _busy_poll_sysctl(case: Case) -> Finding:
    name = "net.core.busy_poll"
    why = 'With wait = "block" the kernel polls the card only when this setting is not 0.'
    value = case.host.sysctl[name]
    if isinstance(value, Unread):
        return unknown("busy_poll.setting", "host", value.reason, why, f"sysctl {name}")
    verdict = Verdict.PASS if value else Verdict.WARN
    seen, command = f"{name} = {value}", f"sysctl -w {name}=50"
    return judged("busy_poll.setting", "host", verdict, seen, why, command)


def _buffer(case: Case) -> Finding:
    name, wanted = "net.core.rmem_max", case.config.receive.rcvbuf_bytes
    why = "The worker does not start when a line's socket gets a smaller buffer than the file asks."
    most, capabilities = case.host.sysctl[name], case.host.rights.capabilities
    limit = most if isinstance(most, int) else "not readable"
    # The sockets beside AF_XDP get it too; those beside a packet ring have a small one.
    lines = [line for line in case.config.lines if case.paths(line) != (PACKET_MMAP,)]
    if not lines:
        seen = f"{name} is {limit}; packet rings do not use receive.rcvbuf_bytes"
        return passed("rcvbuf", "lines", seen, why)
    subject = " and ".join(f"line {line.name}" for line in lines)
    if isinstance(most, int) and most >= wanted:
        seen = f"{name} = {most}, receive.rcvbuf_bytes = {wanted}"
        return passed("rcvbuf", subject, seen, why)
    if isinstance(capabilities, int) and has(capabilities, CAP_NET_ADMIN):
        seen = f"{name} is {limit}, but a worker has CAP_NET_ADMIN and passes over it"
        return passed("rcvbuf", subject, seen, why)
    command = f"sysctl -w {name}={wanted}"
    unread = next((one for one in (most, capabilities) if isinstance(one, Unread)), None)
    if unread is not None:
        return unknown("rcvbuf", subject, unread.reason, why, command)
    seen = f"{name} = {most} < receive.rcvbuf_bytes = {wanted}, and a worker lacks "
    seen += "CAP_NET_ADMIN to pass over it"
    hard = case.demanded(RECVMMSG) or case.demanded(AF_XDP)
    verdict = Verdict.FAIL if hard else Verdict.WARN
    return Finding("rcvbuf", verdict, subject, seen, why, command)


def _pinned_memory(case: Case) -> Finding:
    name, needed = "memlock.af_xdp", case.umem_bytes()
    why = "AF_XDP pins its frames, and pinned memory is limited."
    command = f"LimitMEMLOCK=infinity in tickdeckd's unit, or: ulimit -l {-(-needed // 1024)}"
    rights = case.host.rights
    if isinstance(rights.capabilities, int) and has(rights.capabilities, CAP_IPC_LOCK):
        return passed(name, "host", "a worker has CAP_IPC_LOCK: no limit", why)
    limit = rights.memlock_bytes
    if isinstance(limit, Unread):
        return unknown(name, "host", limit.reason, why, command)
    shown = "unlimited" if limit == UNLIMITED else size(limit)
    seen = f"RLIMIT_MEMLOCK is {shown}; the frames of {case.queues()} queues take {size(needed)}"
    bad = Verdict.FAIL if case.demanded(AF_XDP) else Verdict.WARN
    verdict = Verdict.PASS if limit == UNLIMITED or limit >= needed else bad
    return judged(name, "host", verdict, seen, why, command)


def _btf(case: Case) -> Finding:
    why = "The card's receive times reach AF_XDP only by functions that BTF describes."
    # Nobody wants them with timestamps = "off", and without them the program still loads.
    wanted = case.config.receive.timestamps != "off"
    verdict = Verdict.PASS if case.host.btf or not wanted else Verdict.WARN
    seen = f"/sys/kernel/btf/vmlinux is {'there' if case.host.btf else 'not there'}"
    command = "install a kernel with CONFIG_DEBUG_INFO_BTF=y"
    return judged("kernel.btf", "host", verdict, seen, why, command)


def _driver(case: Case, facts: InterfaceFacts) -> Finding:
    name, subject, driver = "driver.xdp", facts.name, facts.driver
    why = "The driver decides whether AF_XDP copies frames, and on which hook."
    ask = f"ethtool -i {facts.name}"
    if isinstance(driver, Unread):
        return unknown(name, subject, driver.reason, why, ask)
    require = case.config.afxdp.require
    if driver in ZERO_COPY_DRIVERS:
        return passed(name, subject, f"{driver} has zero-copy", why)
    if driver in NATIVE_DRIVERS:
        rung, good_enough = "its own XDP hook, with a copy", require in ("native", "any")
    elif driver in GENERIC_DRIVERS:
        rung, good_enough = "the kernel's generic XDP hook only", require == "any"
    else:
        seen = f"{driver} is not in the list of drivers; trying it decides (path.tried)"
        return unknown(name, subject, seen, why, ask)
    bad = Verdict.FAIL if case.demanded(AF_XDP) else Verdict.WARN
    command = 'set require = "any" in [afxdp], or use a card with zero-copy: '
    command += ", ".join(sorted(ZERO_COPY_DRIVERS))
    seen = f'{driver} has {rung}; the file says require = "{require}"'
    return judged(name, subject, Verdict.PASS if good_enough else bad, seen, why, command)


def _queues(case: Case, facts: InterfaceFacts) -> Finding:
    name, subject, channels = "queues", facts.name, facts.channels
    why = "Each queue needs an XSK of its own, with a buffer; a queue without one goes unseen."
    if isinstance(channels, Unread):
        if facts.driver in GENERIC_DRIVERS:
            return passed(name, subject, f"{facts.driver} has one queue", why)
        return unknown(name, subject, channels.reason, why, f"ethtool -l {facts.name}")
    seen = f"{channels.receiving} receive queues"
    if channels.receiving <= 1:
        return passed(name, subject, seen.removesuffix("s") if channels.receiving else seen, why)
    kind = "combined" if channels.combined else "rx"
    command = f"ethtool -L {facts.name} {kind} 1"
    if channels.receiving > QUEUES_MAX:
        seen += f": a receiver binds all of them, and at most {QUEUES_MAX}; AF_XDP is refused"
        bad = Verdict.FAIL if case.demanded(AF_XDP) else Verdict.WARN
        return Finding(name, bad, subject, seen, why, command)
    each = size(case.config.afxdp.frame_count * UMEM_FRAME_BYTES)
    seen += f": the receiver binds all of them, {each} of frames for each"
    return Finding(name, Verdict.WARN, subject, seen, why, command)


def _program(case: Case, facts: InterfaceFacts) -> Finding:
    name, subject, program = "xdp.program", facts.name, facts.xdp
    why = "An interface takes one XDP program; a second one is refused with EBUSY."
    if isinstance(program, Unread):
        return unknown(name, subject, program.reason, why, f"ip link show dev {facts.name}")
    if program is None:
        return passed(name, subject, "no XDP program is attached", why)
    seen = f"program {program.id} ({program.name or 'no name'}) is attached"
    if facts in case.held():
        return passed(name, subject, f"{seen} by this exchange's own worker", why)
    if has_own_program(facts):
        seen += ", which is that of a tickdeck-rx: one exchange receives there by AF_XDP"
        command = "tickdeck exchange list; stop the other one, or give this one another interface"
        return Finding(name, Verdict.WARN, subject, seen, why, command)
    bad = Verdict.FAIL if case.demanded(AF_XDP) else Verdict.WARN
    command = f"bpftool net show dev {facts.name}; ip link set dev {facts.name} {program.hook} off"
    # `ip link` takes off only what was attached without a link.
    command += "; where that is refused: bpftool link list, then bpftool link detach id N"
    return Finding(name, bad, subject, seen, why, command)
