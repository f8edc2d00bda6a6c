"""What the rules judge, and questions that several of them ask."""

from collections.abc import Iterator
from dataclasses import dataclass

from tickdeck_daemon.exchanges.model import ExchangeConfig, Line
from tickdeck_daemon.preflight.facts import HostFacts, InterfaceFacts, LineRungs, Unread

RECVMMSG, PACKET_MMAP, AF_XDP = "recvmmsg", "packet_mmap", "af_xdp"
PATHS = (AF_XDP, PACKET_MMAP, RECVMMSG)
"""The best first."""
UMEM_FRAME_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Other:
    """Another exchange of this host."""

    name: str
    cpu: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """An exchange file and the host that is to run it."""

    config: ExchangeConfig
    host: HostFacts
    others: tuple[Other, ...]
    """Exchanges that are enabled."""
    rungs: tuple[LineRungs, ...] | Unread
    """What the native probe found."""

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
        if line.receive != "auto":
            return (line.receive,)
        enabled = {
            AF_XDP: self.config.afxdp.enable is not False and ":" not in line.group,
            # The table may come later than this rule.
            PACKET_MMAP: getattr(self._table("packet_mmap"), "enable", None) is not False,
            RECVMMSG: True,
        }
        return tuple(path for path in PATHS if enabled[path])

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

    def queues(self) -> int:
        """Receive queues of all interfaces with AF_XDP lines; one where they are not known."""
        channels = (facts.channels for facts in self.interfaces(AF_XDP))
        return sum(1 if isinstance(one, Unread) else max(one.receiving, 1) for one in channels)

    def umem_bytes(self) -> int:
        """Memory that AF_XDP pins for its frames."""
        return self.queues() * self.config.afxdp.frame_count * UMEM_FRAME_BYTES

    def shared_bytes(self) -> int:
        """Room that ring and capture take below the runtime directory, about."""
        capture = self.config.capture
        slot_bytes = self.config.receive.max_packet_bytes + 128
        ring = self.config.ring.slot_count * slot_bytes
        return ring + (capture.ring_bytes if capture.enabled else 0)

    def _table(self, name: str) -> object:
        return getattr(self.config, name, None)


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
