"""Stands in for `tickdeck-journal`: replays nothing, verifies nothing, answers in its form.

Behaviour is read from `behaviour.json` beside the binary: `verify` (the answer), `verify_code`,
`info` and `prune` (the answers), `stderr`, `replay_code`, `replay_packets`, `hang`.
"""

import json
import os
import signal
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from fake_stats import COUNTER, GAUGE, STATE, StatsWriter

METRICS = (
    ("replay_packets_sent_total", COUNTER, ""),
    ("replay_messages_sent_total", COUNTER, ""),
    ("replay_position", GAUGE, ""),
    ("replay_state", STATE, ""),
)


def main() -> int:
    behaviour = json.loads((Path(sys.argv[0]).parent / "behaviour.json").read_text())
    if "stderr" in behaviour:
        print(behaviour["stderr"], file=sys.stderr, flush=True)
    command, *rest = sys.argv[1:]
    if command == "replay":
        return replay(behaviour, dict(zip(rest[::2], rest[1::2], strict=True)))
    if command == "prune":
        with (Path(sys.argv[0]).parent / "argv").open("a") as log:
            print(*sys.argv[1:], file=log)
    print(json.dumps(behaviour[command]) if command in behaviour else "")
    return int(behaviour.get(f"{command}_code", 0))


def replay(behaviour: dict[str, Any], options: dict[str, str]) -> int:
    directory = Path(options["--runtime-dir"])
    (directory / "options.json").write_text(json.dumps(options))
    incarnation = str(uuid.uuid4())
    path = directory / f"stats.{incarnation}.dat"
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    stats = StatsWriter(path, "replay", incarnation, metrics=METRICS, histograms=())
    stats.set("replay_state", 1)
    packets = behaviour.get("replay_packets", 10)
    stats.set_all(
        {
            "replay_packets_sent_total": packets,
            "replay_messages_sent_total": packets * 3,
            "replay_position": packets * 3 + 1,
        }
    )
    os.write(int(options["--ready-fd"]), b"\n")
    if behaviour.get("hang"):
        stopped.wait()
        stats.set("replay_state", 3)
        return 3
    code = int(behaviour.get("replay_code", 0))
    stats.set("replay_state", 2 if code == 0 else 4)
    return code


if __name__ == "__main__":
    sys.exit(main())
