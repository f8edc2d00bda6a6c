"""Slow decoders of MoldUDP64 with ITCH 5.0, EOBI and CME MDP 3.0, from the exchanges' documents.

They share nothing with the decoders of the workers: no layout, no generated code. Standard input
has a line for each packet: protocol, bytes in hexadecimal, and what the workers' decoder made of
it, as Rust prints it. This decodes the bytes again and compares. The report is one JSON object;
exit code 1 tells of differences.
"""

import json
import sys
from collections.abc import Callable

from cme import cme
from eobi import eobi
from itch import itch

SHOWN = 3


def main() -> int:
    """Compare every line of standard input."""
    packets, messages, differences = 0, 0, 0
    shown: list[dict[str, str]] = []
    for line in sys.stdin:
        protocol, packet, theirs = line.rstrip("\n").split("\t")
        ours = DECODERS[protocol](bytes.fromhex(packet))
        packets += 1
        messages += ours.count(" | ")
        if ours != theirs:
            differences += 1
            if len(shown) < SHOWN:
                shown.append({"packet": packet, "ours": ours, "theirs": theirs})
    report = {
        "packets": packets,
        "messages": messages,
        "differences": differences,
        "shown": shown,
    }
    print(json.dumps(report))
    return 1 if differences else 0


DECODERS: dict[str, Callable[[bytes], str]] = {
    "itch": itch,
    "eobi-6.0": eobi("6.0"),
    "eobi-14.1": eobi("14.1"),
    "cme": cme,
}

if __name__ == "__main__":
    sys.exit(main())
