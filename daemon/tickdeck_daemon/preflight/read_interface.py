"""Reads what the kernel and the driver tell of one interface."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

from tickdeck_daemon.preflight.ethtool import Ethtool
from tickdeck_daemon.preflight.facts import InterfaceFacts, Interrupt, Unread, XdpProgram
from tickdeck_daemon.preflight.tree import Tree, parse_mask

LinkQuery = Callable[[str], str]
"""The JSON of `ip -d -j link show dev NAME`; OSError or SubprocessError when it cannot be had."""
LINK_TIMEOUT_S = 5.0
IFF_LOOPBACK = 0x8
XDP_HOOKS = {1: "xdpdrv", 2: "xdpgeneric", 3: "xdpoffload"}
"""By XDP_ATTACHED_* (linux/if_link.h)."""


class InterfaceReader:
    """Reads interfaces below a root."""

    def __init__(self, tree: Tree, ethtool: Ethtool, link: LinkQuery | None = None) -> None:
        """Ask the tree, the driver through `ethtool`, and iproute2 through `link`."""
        self._tree = tree
        self._ethtool = ethtool
        self._link = link or ip_link

    def read(self, name: str) -> InterfaceFacts:
        """Facts of an interface that exists."""
        tree, base = self._tree, f"sys/class/net/{name}"
        flags = tree.integer(f"{base}/flags", 16)
        carrier = tree.integer(f"{base}/carrier")
        return InterfaceFacts(
            name=name,
            flags=flags,
            state=tree.text(f"{base}/operstate"),
            carrier=carrier if isinstance(carrier, Unread) else bool(carrier),
            mtu=tree.integer(f"{base}/mtu"),
            node=self._node(base),
            driver=self._driver(name, flags),
            channels=self._ethtool.channels(name),
            rings=self._ethtool.rings(name),
            stamping=self._ethtool.stamping(name),
            xdp=self._xdp(name),
            interrupts=self._interrupts(name, base),
            rps=self._rps(base),
            rp_filter=self._rp_filter(name),
        )

    def _driver(self, name: str, flags: int | Unread) -> str | Unread:
        link = self._tree.path(f"sys/class/net/{name}/device/driver")
        try:
            return link.readlink().name
        except OSError:
            if isinstance(flags, int) and flags & IFF_LOOPBACK:
                return "loopback"
            return self._ethtool.driver(name)

    def _node(self, base: str) -> int | Unread:
        # A virtual interface has no device, an older machine no node.
        if not self._tree.exists(f"{base}/device/numa_node"):
            return -1
        return self._tree.integer(f"{base}/device/numa_node")

    def _rp_filter(self, name: str) -> int | Unread:
        values: list[int] = []
        for which in ("all", name):
            value = self._tree.integer(f"proc/sys/net/ipv4/conf/{which}/rp_filter")
            if isinstance(value, Unread):
                return value
            values.append(value)
        return max(values)

    def _rps(self, base: str) -> dict[str, frozenset[int]] | Unread:
        queues = self._tree.names(f"{base}/queues")
        if isinstance(queues, Unread):
            return queues
        masks: dict[str, frozenset[int]] = {}
        for queue in (name for name in queues if name.startswith("rx-")):
            text = self._tree.text(f"{base}/queues/{queue}/rps_cpus")
            if isinstance(text, Unread):
                return text
            try:
                masks[queue] = parse_mask(text)
            except ValueError:
                return Unread(f'/{base}/queues/{queue}/rps_cpus: "{text[:40]}" is no mask')
        return masks

    def _interrupts(self, name: str, base: str) -> tuple[Interrupt, ...] | Unread:
        """Interrupts of the card: its device's, else those that carry the interface's name."""
        if not self._tree.exists(f"{base}/device"):
            return ()
        named = self._named_interrupts()
        if isinstance(named, Unread):
            return named
        numbers = self._device_interrupts(base)
        if not numbers:
            numbers = [number for number, words in named.items() if name in words]
        found: list[Interrupt] = []
        for number in sorted(numbers):
            title = named.get(number, "")
            # A vector that nobody asked for, and the one that tells of changed settings.
            if not title or title.endswith("-config"):
                continue
            allowed = self._tree.cores(f"proc/irq/{number}/smp_affinity_list")
            if isinstance(allowed, Unread):
                return allowed
            effective = self._tree.cores(f"proc/irq/{number}/effective_affinity_list")
            if isinstance(effective, Unread) or not effective:
                effective = allowed
            found.append(Interrupt(number, title, allowed, effective))
        return tuple(found) or Unread(f"/proc/interrupts names no interrupt of {name}")

    def _device_interrupts(self, base: str) -> list[int]:
        # The interrupts of a virtio card are those of the PCI device that holds it.
        for place in (f"{base}/device/msi_irqs", f"{base}/device/../msi_irqs"):
            names = self._tree.names(place)
            if not isinstance(names, Unread):
                return [int(name) for name in names if name.isdigit()]
        return []

    def _named_interrupts(self) -> dict[int, str] | Unread:
        text = self._tree.text("proc/interrupts")
        if isinstance(text, Unread):
            return text
        named: dict[int, str] = {}
        for line in text.splitlines():
            number, colon, rest = line.partition(":")
            if colon and number.strip().isdigit():
                named[int(number)] = rest.split()[-1] if rest.split() else ""
        return named

    def _xdp(self, name: str) -> XdpProgram | Unread | None:
        try:
            answer: Any = json.loads(self._link(name))
            attached = answer[0].get("xdp", {})
            program = attached.get("prog")
            if program is None:
                return None
            hook = XDP_HOOKS.get(attached.get("mode"), "xdp")
            return XdpProgram(int(program["id"]), str(program.get("name", "")), hook)
        except (OSError, subprocess.SubprocessError) as error:
            return Unread(f"ip -d -j link show dev {name}: {error}")
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            return Unread(f"ip -d -j link show dev {name} gave what is not understood: {error!r}")


def ip_link(interface: str) -> str:
    """Ask iproute2.

    Raises:
        OSError: it is not installed.
        SubprocessError: it fails, or takes longer than `LINK_TIMEOUT_S`.
    """
    command = ["ip", "-d", "-j", "link", "show", "dev", interface]
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=LINK_TIMEOUT_S
    )
    return result.stdout
