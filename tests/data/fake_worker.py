"""A worker that keeps the spawn contract and otherwise does as the test says.

    fake_worker.py run --spec FILE --ready-fd 3    (export, for an exporter)

Order of the start: spec, lock (else exit 125), stats file, control socket, ready. What it does
besides is read from `<runtime_dir>/../../behaviour/<worker>.json`, when that exists:

- `exit_code`, `exit_signal`: end so before it is ready;
- `never_ready`: stay STARTING; `late_lock_s`: wait that long before taking the lock;
- `is_held`: do not take it before that is told no more;
- `ignore_drain`, `ignore_term`: stay when asked to go; `refuse_drain`: answer WRONG_STATE;
- `drain_s`: how long a drain takes;
- `no_stats`: no stats file; `layout`: its major version; `no_progress`: the hot loop stands.

Each start and each end is a line of `<runtime_dir>/../../fake.log`.
"""

import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

STARTING, READY, DRAINING = 1, 2, 3


class FakeStats:
    """The header of a stats file: identity, state, heartbeat, progress, last words."""

    def __init__(self, spec: dict[str, Any], *, major: int) -> None:
        directory = Path(spec["runtime_dir"])
        path = directory / f"stats.{spec['incarnation']}.dat"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(bytes(4096))
        with temporary.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        boot = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        header = (major, 0, 4096, 0x0102030405060708, 4096, 0)
        struct.pack_into("<HHIQQQ", self.map, 8, *header)
        identity = (boot.bytes, uuid.UUID(spec["incarnation"]).bytes, ticks, os.getpid(), 0)
        struct.pack_into("<16s16sQII", self.map, 40, *identity)
        struct.pack_into("<64s", self.map, 96, spec["worker"].encode())
        temporary.rename(path)
        struct.pack_into("<Q", self.map, 0, int.from_bytes(b"TDSTATS1", "little"))
        self.state(STARTING)

    def state(self, state: int) -> None:
        struct.pack_into("<Q", self.map, 640, state)

    def beat(self, *, progress: bool = True) -> None:
        struct.pack_into("<Q", self.map, 512, time.monotonic_ns())
        if not progress:
            return
        (passes,) = struct.unpack_from("<Q", self.map, 576)
        struct.pack_into("<Q", self.map, 576, passes + 1)

    def last_words(self, code: int, text: str) -> None:
        struct.pack_into("<IiIQ256s", self.map, 1028, 7, code, 0, 0, text.encode())
        struct.pack_into("<I", self.map, 1024, 1)


class FakeWorker:
    """One incarnation."""

    def __init__(self, spec: dict[str, Any], ready_fd: int) -> None:
        self.spec, self.ready_fd = spec, ready_fd
        self.directory = Path(spec["runtime_dir"])
        self.plant = self.directory.parent.parent
        self.behaviour = self.told()
        self.stats: FakeStats | None = None
        self.beating = True
        self.answers: dict[str, bytes] = {}

    def told(self) -> dict[str, Any]:
        path = self.plant / "behaviour" / f"{self.spec['worker']}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def run(self) -> NoReturn:
        signal.signal(signal.SIGTERM, self.term)
        while self.told().get("is_held"):
            time.sleep(0.01)
        time.sleep(self.behaviour.get("late_lock_s", 0))
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(125)
        self.log("start")
        if not self.behaviour.get("no_stats"):
            self.stats = FakeStats(self.spec, major=self.behaviour.get("layout", 1))
            self.stats.beat()
        server = self.listen()
        if "exit_signal" in self.behaviour:
            os.kill(os.getpid(), self.behaviour["exit_signal"])
        if "exit_code" in self.behaviour:
            self.leave(self.behaviour["exit_code"], "as the test said")
        if not self.behaviour.get("never_ready"):
            if self.stats:
                self.stats.state(READY)
            os.write(self.ready_fd, b"\n")
        threading.Thread(target=self.serve, args=(server,), daemon=True).start()
        while True:
            if self.beating and self.stats:
                self.stats.beat(progress=not self.behaviour.get("no_progress"))
            time.sleep(0.05)

    def listen(self) -> socket.socket:
        path = self.directory / "control.sock"
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        return server

    def serve(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        worker, incarnation = self.spec["worker"], self.spec["incarnation"]
        hello = {"hello": 1, "worker": worker, "incarnation": incarnation, "build_id": "fake"}
        connection.sendall(json.dumps({**hello, "ops": ["status", "drain"]}).encode() + b"\n")
        for line in connection.makefile("rb"):
            request = json.loads(line)
            answer = {"id": request["id"], **self.answer(request["op"], request["args"])}
            connection.sendall(json.dumps(answer).encode() + b"\n")
            if request["op"] == "drain" and answer["ok"] and not self.behaviour.get("ignore_drain"):
                time.sleep(self.behaviour.get("drain_s", 0))
                self.leave(0, "drained")

    def answer(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        if op == "drain" and self.behaviour.get("refuse_drain"):
            return {"ok": False, "error": {"code": "WRONG_STATE", "message": "not now"}}
        if op == "exit":
            self.leave(args["code"], "exit ordered")
        if op == "freeze":
            self.beating = False
        if op == "silence":
            self.log("silence")
            time.sleep(3600)
        if op in ("drain", "status", "freeze", "echo"):
            return {"ok": True, "generation": 1, "result": {"args": args}}
        return {"ok": False, "error": {"code": "UNKNOWN_OP", "message": op}}

    def term(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.log("term")
        if not self.behaviour.get("ignore_term"):
            self.leave(0, "terminated")

    def leave(self, code: int, why: str) -> NoReturn:
        self.log(f"end {code}")
        if self.stats:
            self.stats.last_words(code, why)
        sys.stdout.flush()
        os._exit(code)

    def log(self, what: str) -> None:
        line = f"{self.spec['worker']} {os.getpid()} {what}\n".encode()
        log = os.open(self.plant / "fake.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(log, line)
        os.close(log)


def main() -> None:
    command, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    spec = json.loads(Path(options["--spec"]).read_text())
    assert command == ("export" if spec["kind"] == "export" else "run"), command
    print(json.dumps({"message": "started", "argv": sys.argv[1:]}), flush=True)
    FakeWorker(spec, int(options["--ready-fd"])).run()


if __name__ == "__main__":
    main()
