"""Asks a card's driver by the ioctls of ethtool. Reads only."""

import array
import fcntl
import socket
import struct
from collections.abc import Callable
from typing import Final

from tickdeck_daemon.preflight.facts import Channels, Rings, Stamping, Unread

IoctlCall = Callable[[int, str, bytes], bytes]
"""Request number, interface, buffer; returns the buffer as the kernel left it, or OSError."""

SIOCETHTOOL: Final = 0x8946
SIOCGHWTSTAMP: Final = 0x89B1
GET_DRIVER: Final = 0x03
GET_RINGS: Final = 0x10
GET_CHANNELS: Final = 0x3C
GET_STAMPING: Final = 0x41
RX_HARDWARE: Final = 1 << 2
RAW_HARDWARE: Final = 1 << 6
"""SOF_TIMESTAMPING_*: the card can stamp; the stamps can be had as they are."""


class Ethtool:
    """The questions; an answer that the driver does not give is `Unread`."""

    def __init__(self, call: IoctlCall | None = None) -> None:
        """Ask through `call`; the kernel when absent."""
        self._call = call or kernel_ioctl

    def driver(self, interface: str) -> str | Unread:
        """Name of the driver."""
        # ethtool_drvinfo: u32 command, char driver[32], and 160 bytes more.
        answer = self._ask(interface, GET_DRIVER, 196)
        if isinstance(answer, Unread):
            return answer
        return answer[4:36].split(b"\0", 1)[0].decode(errors="replace")

    def rings(self, interface: str) -> Rings | Unread:
        """Places of the receive ring."""
        # ethtool_ringparam: u32 command, most (rx, mini, jumbo, tx), present (the same).
        answer = self._ask(interface, GET_RINGS, 36)
        if isinstance(answer, Unread):
            return answer
        words = struct.unpack("=9I", answer)
        return Rings(present=words[5], most=words[1])

    def channels(self, interface: str) -> Channels | Unread:
        """Queues."""
        # ethtool_channels: u32 command, most (rx, tx, other, combined), present (the same).
        answer = self._ask(interface, GET_CHANNELS, 36)
        if isinstance(answer, Unread):
            return answer
        words = struct.unpack("=9I", answer)
        return Channels(receiving=words[5] + words[8], combined=words[8])

    def stamping(self, interface: str) -> Stamping | Unread:
        """Whether the card stamps what it receives."""
        # ethtool_ts_info: u32 command, abilities, s32 clock, and 8 words more.
        answer = self._ask(interface, GET_STAMPING, 44)
        if isinstance(answer, Unread):
            return answer
        _, abilities, clock = struct.unpack_from("=IIi", answer)
        hardware = abilities & (RX_HARDWARE | RAW_HARDWARE) == RX_HARDWARE | RAW_HARDWARE
        return Stamping(hardware, clock, self._filter(interface) if hardware else 0)

    def _filter(self, interface: str) -> int | Unread:
        # hwtstamp_config: int flags, sending, receiving.
        try:
            _, _, receiving = struct.unpack("=3i", self._call(SIOCGHWTSTAMP, interface, bytes(12)))
        except OSError as error:
            return Unread(f"SIOCGHWTSTAMP: {error.strerror}")
        return int(receiving)

    def _ask(self, interface: str, command: int, length: int) -> bytes | Unread:
        request = struct.pack("=I", command).ljust(length, b"\0")
        try:
            return self._call(SIOCETHTOOL, interface, request)
        except OSError as error:
            return Unread(f"ethtool on {interface}: {error.strerror}")


def kernel_ioctl(number: int, interface: str, data: bytes) -> bytes:
    """Send a buffer by an ifreq.

    Raises:
        OSError: the kernel or the driver refuses.
    """
    buffer = array.array("B", data)
    address, _ = buffer.buffer_info()
    # ifreq: char name[16], then a union of 24 bytes, here a pointer.
    request = struct.pack("=16sQ16x", interface.encode()[:15], address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, number, request)
    return buffer.tobytes()
