"""Where the daemon keeps its files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tickdeck_daemon.errors import InvalidError

SOCKET_PATH_LENGTH_MAX = 104
"""Longest path of a Unix socket; the kernel takes 107 bytes, clients add none of their own."""
EXCHANGE_NAME_LENGTH_MAX = 16
"""Longest name of an exchange; it becomes part of socket paths."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Directories of one daemon; two daemons never share a runtime directory."""

    runtime_dir: Path
    """Sockets, locks, stats files and rings; on tmpfs, lost on reboot."""
    state_dir: Path
    """Desired state, journals, snapshots, event log; survives a reboot."""
    config_dir: Path
    """Holds `exchanges.d/*.toml`."""
    log_dir: Path
    """One JSON-lines file for each worker."""
    socket_path: Path
    """Public gRPC socket."""

    @classmethod
    def load(
        cls,
        *,
        runtime_dir: Path | None = None,
        state_dir: Path | None = None,
        config_dir: Path | None = None,
        log_dir: Path | None = None,
        socket_path: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Choose each directory: argument, else `TICKDECK_*` variable, else the default.

        Defaults are the system directories for root and the XDG directories for a user.

        Raises:
            InvalidError: a worker's control socket below `runtime_dir` would have a path
                that is too long for the kernel.
        """
        environ = os.environ if environ is None else environ
        defaults = _system_defaults() if os.geteuid() == 0 else _user_defaults(environ)

        def choose(given: Path | None, variable: str, default: Path) -> Path:
            text = environ.get(variable)
            return (given or (Path(text) if text else default)).absolute()

        runtime = choose(runtime_dir, "TICKDECK_RUNTIME_DIR", defaults[0])
        settings = cls(
            runtime_dir=runtime,
            state_dir=choose(state_dir, "TICKDECK_STATE_DIR", defaults[1]),
            config_dir=choose(config_dir, "TICKDECK_CONFIG_DIR", defaults[2]),
            log_dir=choose(log_dir, "TICKDECK_LOG_DIR", defaults[3]),
            socket_path=choose(socket_path, "TICKDECK_SOCKET", runtime / "tickdeckd.sock"),
        )
        settings.check()
        return settings

    @property
    def exchanges_dir(self) -> Path:
        """Exchange files."""
        return self.config_dir / "exchanges.d"

    @property
    def workers_dir(self) -> Path:
        """One directory for each worker."""
        return self.runtime_dir / "workers"

    @property
    def lock_path(self) -> Path:
        """Locked by the daemon, so that there is one for each runtime directory."""
        return self.runtime_dir / "tickdeckd.lock"

    def worker_dir(self, worker_id: str) -> Path:
        """Directory of a worker: spec, lock, state, stats files, control socket, ring."""
        return self.workers_dir / worker_id

    def log_path(self, worker_id: str) -> Path:
        """Log file of a worker."""
        return self.log_dir / f"{worker_id}.jsonl"

    def journal_dir(self, exchange: str) -> Path:
        """Journal of an exchange whose file names no other directory."""
        return self.state_dir / "journal" / exchange

    def capture_dir(self, exchange: str) -> Path:
        """Captures of an exchange whose file names no other directory."""
        return self.state_dir / "captures" / exchange

    def snapshot_dir(self, exchange: str) -> Path:
        """Book snapshots of an exchange."""
        return self.state_dir / "snapshots" / exchange

    def check(self) -> None:
        """Refuse directories in which the sockets cannot be bound.

        Raises:
            InvalidError: a socket path is longer than `SOCKET_PATH_LENGTH_MAX` bytes.
        """
        longest = self.worker_dir("X" * EXCHANGE_NAME_LENGTH_MAX + "-book") / "control.sock"
        for name, path in (("runtime_dir", longest), ("socket_path", self.socket_path)):
            if len(os.fsencode(path)) > SOCKET_PATH_LENGTH_MAX:
                text = (
                    f"{name} gives the socket path {path}, longer than "
                    f"{SOCKET_PATH_LENGTH_MAX} bytes; choose a shorter directory"
                )
                raise InvalidError(violations=[(name, text)], reason="PATH_TOO_LONG")


def _system_defaults() -> tuple[Path, Path, Path, Path]:
    return (
        Path("/run/tickdeck"),
        Path("/var/lib/tickdeck"),
        Path("/etc/tickdeck"),
        Path("/var/log/tickdeck"),
    )


def _user_defaults(environ: Mapping[str, str]) -> tuple[Path, Path, Path, Path]:
    home = Path(environ.get("HOME") or Path.home())

    def base(variable: str, fallback: Path) -> Path:
        return Path(environ.get(variable) or fallback) / "tickdeck"

    state = base("XDG_STATE_HOME", home / ".local/state")
    runtime = base("XDG_RUNTIME_DIR", Path(f"/tmp/tickdeck-{os.getuid()}"))
    return runtime, state, base("XDG_CONFIG_HOME", home / ".config"), state / "log"
