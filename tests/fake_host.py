"""A made-up host for tests of the preflight: facts that are all good; a tree of kernel files."""

from collections.abc import Mapping
from pathlib import Path

from fake_plant import exchange_toml
from tickdeck_daemon.exchanges.config import parse_exchange
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
    Rights,
    Rings,
    RungFact,
    Stamping,
)
from tickdeck_daemon.preflight.rights import CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW

NIC = "ens1"
UP = 0x1 | 0x40 | 0x1000
"""Up, running, multicast."""


def bits(*numbers: int) -> int:
    """Capabilities as a set."""
    return sum(1 << number for number in numbers)


ALL_RIGHTS = bits(CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF)


def config(
    path: str = "recvmmsg", *, receive: str = "", tables: str = "", interface: str = NIC
) -> ExchangeConfig:
    """An exchange whose lines take a path; `receive` and `tables` are TOML."""
    toml = exchange_toml().replace('interface = "lo"', f'interface = "{interface}"')
    toml = toml.replace("[[line]]\n", f'[[line]]\nreceive = "{path}"\n')
    enable = "enable = true\n" if path == "af_xdp" and "[afxdp]" not in tables else ""
    text = f"{toml}[receive]\n{receive}\n" + (f"[afxdp]\n{enable}" if enable else "") + tables
    return parse_exchange(text)


def rights(
    capabilities: int = ALL_RIGHTS, *, user: int = 1000, memlock_bytes: int = UNLIMITED
) -> Rights:
    """Of a worker."""
    return Rights(user, capabilities, memlock_bytes, "/opt/tickdeck/tickdeck-rx")


def interface(name: str = NIC) -> InterfaceFacts:
    """A card with zero-copy on node 0, whose interrupts stay on cores 0 and 1."""
    kept = frozenset({0, 1})
    return InterfaceFacts(
        name=name,
        flags=UP,
        state="up",
        carrier=True,
        mtu=1500,
        node=0,
        driver="ice",
        channels=Channels(receiving=1, combined=1),
        rings=Rings(present=4096, most=4096),
        stamping=Stamping(hardware=True, clock=0, filter=1),
        xdp=None,
        interrupts=(Interrupt(40, "ice-ens1-TxRx-0", kept, frozenset({0})),),
        rps={"rx-0": frozenset()},
        rp_filter=0,
    )


def host(facts: InterfaceFacts | None = None) -> HostFacts:
    """A host on which everything is as it should be; receive threads may have cores 2 and 3."""
    card = facts or interface()
    cores = frozenset(range(4))
    return HostFacts(
        name="md1",
        kernel=(6, 1),
        btf=True,
        rights=rights(),
        cores=Cores(
            online=cores,
            allowed=cores,
            isolated=frozenset({2, 3}),
            nohz_full=frozenset({2, 3}),
            governors=dict.fromkeys(cores, "performance"),
            nodes=dict.fromkeys(cores, 0),
        ),
        memory=Memory(2 << 20, 64, 64, "madvise"),
        clock=Clock(True, 40, ("ptp0 (ice)",)),
        sysctl={
            "net.core.rmem_max": 64 << 20,
            "net.core.netdev_max_backlog": 10_000,
            "net.core.busy_poll": 50,
            "net.core.busy_read": 50,
            "net.ipv4.igmp_max_memberships": 20,
        },
        journal=Directory("/var/lib/tickdeck/journal/XNAS", "ext4", 500 << 30, 900 << 30),
        runtime=Directory("/run/tickdeck", "tmpfs", 8 << 30, 16 << 30),
        interfaces={card.name: card},
        known_interfaces=("lo", card.name),
    )


def tried(wish: str = "recvmmsg", *, refused: tuple[str, ...] = ()) -> tuple[LineRungs, ...]:
    """What the native probe found: all rungs but the refused ones."""
    names = ("af_xdp zero-copy", "af_xdp native copy", "af_xdp generic", "packet_mmap", "recvmmsg")
    rungs = tuple(
        RungFact(name, name not in refused, 95 if name in refused else None, "not supported")
        for name in names
    )
    able = (name for name in names if name not in refused and name.startswith(wish))
    if wish == "auto":
        able = (name for name in names if name not in refused)
    chosen = next(able, None)
    return tuple(LineRungs(line, wish, chosen, rungs) for line in ("A", "B"))


FILES: Mapping[str, str] = {
    "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "proc/self/status": (
        "Name:\tpython\nNoNewPrivs:\t0\nCapInh:\t0\nCapPrm:\t3000\nCapEff:\t3000\n"
        "CapBnd:\tffffffff\nCapAmb:\t2000\n"
    ),
    "proc/self/limits": (
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max locked memory         8388608              unlimited            bytes\n"
    ),
    "proc/self/cgroup": "0::/system.slice/tickdeckd.service\n",
    "proc/self/mountinfo": (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "23 22 0:20 / {root}/run rw,nosuid - tmpfs tmpfs rw,size=100k\n"
    ),
    "proc/meminfo": (
        "MemTotal: 100 kB\nHugePages_Total:      64\nHugePages_Free:       60\n"
        "Hugepagesize:       2048 kB\n"
    ),
    "proc/interrupts": (
        "            CPU0       CPU1\n"
        "  38:          0          0  PCI-MSIX-0000:18:00.0   0-edge      ens1-config\n"
        "  40:       5132          0  PCI-MSIX-0000:18:00.0   1-edge      ens1-TxRx-0\n"
        "  41:          0         12  PCI-MSIX-0000:18:00.0   2-edge      ens1-TxRx-1\n"
        " NMI:          0          0   Non-maskable interrupts\n"
    ),
    "proc/irq/40/smp_affinity_list": "0-1\n",
    "proc/irq/40/effective_affinity_list": "0\n",
    "proc/irq/41/smp_affinity_list": "1\n",
    "proc/irq/41/effective_affinity_list": "\n",
    "proc/sys/net/core/rmem_max": "212992\n",
    "proc/sys/net/core/netdev_max_backlog": "1000\n",
    "proc/sys/net/core/netdev_budget": "300\n",
    "proc/sys/net/core/busy_poll": "0\n",
    "proc/sys/net/core/busy_read": "many\n",
    "proc/sys/net/ipv4/conf/all/rp_filter": "0\n",
    "proc/sys/net/ipv4/conf/ens1/rp_filter": "1\n",
    "sys/kernel/btf/vmlinux": "",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
    "sys/devices/system/cpu/online": "0-1,3\n",
    "sys/devices/system/cpu/isolated": "1\n",
    "sys/devices/system/cpu/nohz_full": "\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu0/node0/x": "",
    "sys/devices/system/cpu/cpu1/node1/x": "",
    "sys/devices/system/cpu/cpu3/node1/x": "",
    "sys/fs/cgroup/cpuset.cpus.isolated": "3\n",
    "sys/fs/cgroup/system.slice/tickdeckd.service/cpuset.cpus.effective": "0-1\n",
    "sys/class/ptp/ptp0/clock_name": "ice-0000:18:00.0-clk\n",
    "sys/class/net/lo/flags": "0x9\n",
    "sys/class/net/lo/ifindex": "1\n",
    "sys/class/net/ens1/ifindex": "2\n",
    "sys/class/net/ens1/flags": "0x1043\n",
    "sys/class/net/ens1/operstate": "up\n",
    "sys/class/net/ens1/carrier": "1\n",
    "sys/class/net/ens1/mtu": "9000\n",
    "sys/class/net/ens1/device/numa_node": "1\n",
    "sys/class/net/ens1/device/msi_irqs/38": "msix\n",
    "sys/class/net/ens1/device/msi_irqs/40": "msix\n",
    "sys/class/net/ens1/device/msi_irqs/41": "msix\n",
    "sys/class/net/ens1/device/msi_irqs/42": "msix\n",
    "sys/class/net/ens1/queues/rx-0/rps_cpus": "00000000,00000002\n",
    "sys/class/net/ens1/queues/rx-1/rps_cpus": "0\n",
    "sys/class/net/ens1/queues/tx-0/xps_cpus": "1\n",
}
"""Kernel files of a host with the card ens1."""


def indexes() -> dict[str, int]:
    """The interfaces of the tree, as the kernel numbers them."""
    return {"lo": 1, "ens1": 2}


def plant_tree(root: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Write the files below a root; a change of None leaves one out."""
    for name, text in {**FILES, **(changes or {})}.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{root}", str(root.resolve())))
    driver = root / "sys/class/net/ens1/device/driver"
    driver.symlink_to("../../../bus/pci/drivers/ice")
    return root
