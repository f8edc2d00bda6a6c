"""What the rules judge, and questions that several of them ask."""

from collections.abc import Iterator
from dataclasses import dataclass

from tickdeck_daemon.exchanges.model import ExchangeConfig, Line
from tickdeck_daemon.preflight.facts import (
    ExportFile,
    HostFacts,
    InterfaceFacts,
    LineRungs,
    Unread,
    XdpProgram,
)

RECVMMSG, PACKET_MMAP, AF_XDP = "recvmmsg", "packet_mmap", "af_xdp"
PATHS = (AF_XDP, PACKET_MMAP, RECVMMSG)
"""The best first."""
UMEM_FRAME_BYTES = 2048
OWN_PROGRAMS = frozenset({"steer", "steer_stamped"})
"""Names of the programs that an rx worker attaches: without and with the card's times."""


@dataclass(frozen=True, slots=True)
class Other:
    """Another exchange of this host."""

    name: str
    cpu: int | None
    steers: frozenset[str] = frozenset()
    """Interfaces on which it runs and may have AF_XDP."""


@dataclass(frozen=True, slots=True)
class Case:
    """An exchange file and the host that is to run it."""

    config: ExchangeConfig
    host: HostFacts
    others: tuple[Other, ...]
    """Exchanges that are enabled."""
    rungs: tuple[LineRungs, ...] | Unread
    """What the native probe found."""
    running: ExchangeConfig | None = None
    """What this exchange runs with now, which `config` would replace; None: it does not run."""
    export_files: tuple[ExportFile, ...] | Unread = ()
    """What the exporter says of its keys and certificates; empty when it is to have none."""

    @property
    def rx(self) -> str:
        """The rx worker's binary as a command names it."""
        binary = self.host.rights.binary
        return binary if isinstance(binary, str) else "tickdeck-rx"

    def lines(self, path: str) -> list[Line]:
        """Lines that take this path, or may."""
        return [line for line in self.config.lines if path in self.paths(line)]

    def demanded(self, path: str) -> bool:
        """True when a line takes this path and no other: without it the worker does not start."""
        return any(self.paths(line) == (path,) for line in self.config.lines)

    def paths(self, line: Line) -> tuple[str, ...]:
        """Receive paths that a line may end on, the best first."""
        return paths_of(self.config, line)

    def interfaces(self, path: str | None = None) -> Iterator[InterfaceFacts]:
        """Interfaces that exist, each once; with a path only those of its lines."""
        lines = self.config.lines if path is None else self.lines(path)
        seen = set[str]()
        for line in lines:
            facts = self.host.interfaces.get(line.interface)
            if facts is not None and facts.name not in seen:
                seen.add(facts.name)
                yield facts

    def lines_of(self, facts: InterfaceFacts) -> list[Line]:
        """Lines on an interface."""
        known = self.host.interfaces
        return [line for line in self.config.lines if known.get(line.interface) is facts]

    def held(self) -> list[InterfaceFacts]:
        """Interfaces that this exchange's own worker holds by AF_XDP."""
        if self.running is None:
            return []
        others = {name for other in self.others for name in other.steers}
        names = steered(self.running, self.host) - others
        known = {facts.name: facts for facts in self.host.interfaces.values()}
        return [known[name] for name in sorted(names) if has_own_program(known[name])]

    def queues(self) -> int:
        """Receive queues of all interfaces with AF_XDP lines; one where they are not known."""
        return sum(queues_of(facts) for facts in self.interfaces(AF_XDP))

    def umem_bytes(self) -> int:
        """Memory that AF_XDP pins for its frames."""
        return self.queues() * self.config.afxdp.frame_count * UMEM_FRAME_BYTES

    def shared_bytes(self) -> int:
        """Room that ring and capture take below the runtime directory, about."""
        capture = self.config.capture
        slot_bytes = self.config.receive.max_packet_bytes + 128
        ring = self.config.ring.slot_count * slot_bytes
        return ring + (capture.ring_bytes if capture.enabled else 0)


def paths_of(config: ExchangeConfig, line: Line) -> tuple[str, ...]:
    """Receive paths that a line of an exchange may end on, the best first."""
    if line.receive != "auto":
        return (line.receive,)
    enabled = {
        AF_XDP: config.afxdp.enable is not False and ":" not in line.group,
        PACKET_MMAP: config.packet_mmap.enable is not False,
        RECVMMSG: True,
    }
    return tuple(path for path in PATHS if enabled[path])


def steered(config: ExchangeConfig, host: HostFacts) -> frozenset[str]:
    """Interfaces of the host on which an exchange may have AF_XDP, by their names."""
    wanted = {line.interface for line in config.lines if AF_XDP in paths_of(config, line)}
    return frozenset(host.interfaces[text].name for text in wanted if text in host.interfaces)


def has_own_program(facts: InterfaceFacts) -> bool:
    """True when a tickdeck-rx has attached its program there."""
    return isinstance(facts.xdp, XdpProgram) and facts.xdp.name in OWN_PROGRAMS


def queues_of(facts: InterfaceFacts) -> int:
    """Receive queues; one where they are not known."""
    return 1 if isinstance(facts.channels, Unread) else max(facts.channels.receiving, 1)


def size(count: int) -> str:
    """Bytes in three digits or so."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return (
        f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
    )


def listed(cores: frozenset[int]) -> str:
    """Cores as `0-3,8`."""
    parts: list[str] = []
    ordered = sorted(cores)
    start = 0
    for index, core in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != core + 1:
            first = ordered[start]
            parts.append(str(core) if first == core else f"{first}-{core}")
            start = index + 1
    return ",".join(parts) or "none"
