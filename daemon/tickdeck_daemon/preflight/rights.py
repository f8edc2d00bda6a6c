"""Capabilities: their numbers, and what a worker has once the daemon has started it."""

import struct
from dataclasses import dataclass

CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
CAP_IPC_LOCK = 14
CAP_SYS_ADMIN = 21
CAP_BPF = 39
NAMES = {
    CAP_NET_ADMIN: "CAP_NET_ADMIN",
    CAP_NET_RAW: "CAP_NET_RAW",
    CAP_IPC_LOCK: "CAP_IPC_LOCK",
    CAP_BPF: "CAP_BPF",
}


@dataclass(frozen=True, slots=True)
class FileCapabilities:
    """Capabilities that `setcap` gave a binary."""

    permitted: int
    inheritable: int
    effective: bool


@dataclass(frozen=True, slots=True)
class ProcessCapabilities:
    """Sets of a process, from `/proc/PID/status`."""

    permitted: int
    inheritable: int
    bounding: int
    ambient: int
    no_new_privileges: bool


def has(capabilities: int, number: int) -> bool:
    """True when the bit is set."""
    return bool(capabilities >> number & 1)


def after_exec(parent: ProcessCapabilities, user: int, file: FileCapabilities | None) -> int:
    """Effective capabilities of a binary that a process executes, by capabilities(7).

    Args:
        parent: Sets of the process.
        user: Its effective user id.
        file: Capabilities of the binary; None: it has none.
    """
    if user == 0:
        effective = parent.inheritable | parent.bounding
    elif file is None:
        effective = parent.ambient
    else:
        permitted = parent.inheritable & file.inheritable | file.permitted & parent.bounding
        effective = permitted if file.effective else 0
    return effective & parent.permitted if parent.no_new_privileges else effective


def parse_file_capabilities(data: bytes) -> FileCapabilities:
    """The extended attribute `security.capability` (linux/capability.h, vfs_cap_data).

    Raises:
        ValueError: it is of an unknown form.
    """
    # u32 magic (revision in the top byte, bit 0: effective) · permitted, inheritable, low words ·
    # the same, high words · revision 3: u32 root id.
    if len(data) not in (20, 24):
        raise ValueError(f"{len(data)} bytes of file capabilities; 20 or 24 are understood")
    magic, low, low_inherited, high, high_inherited = struct.unpack_from("<5I", data)
    return FileCapabilities(low | high << 32, low_inherited | high_inherited << 32, bool(magic & 1))


def parse_status(text: str) -> ProcessCapabilities:
    """The sets in the text of `/proc/PID/status`.

    Raises:
        ValueError: a line is missing or no number.
    """
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def bits(name: str) -> int:
        if name not in fields:
            raise ValueError(f"no {name} in /proc/self/status")
        return int(fields[name], 16)

    return ProcessCapabilities(
        permitted=bits("CapPrm"),
        inheritable=bits("CapInh"),
        bounding=bits("CapBnd"),
        ambient=bits("CapAmb"),
        no_new_privileges=fields.get("NoNewPrivs", "0").strip() == "1",
    )
