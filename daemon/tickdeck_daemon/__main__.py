"""Command line of the daemon: `tickdeckd [run]` and `tickdeckd stat DIR`."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# gRPC must know before it is imported that this process starts others.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import structlog

from tickdeck_daemon import stats
from tickdeck_daemon.errors import InvalidError, TickdeckError
from tickdeck_daemon.settings import Settings

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_ALREADY_RUNNING = 125

DESCRIPTION = """\
Supervises the workers of the plant and serves gRPC on a Unix socket.

  tickdeckd [run]        serve until SIGTERM; the workers keep running
  tickdeckd stat DIR     show the workers' stats files, without a daemon

Exit status: 0 done, 1 failed, 2 wrong usage or settings, 125 a daemon runs there already."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["stat"]:
        return stats.main(words[1:])
    options = _parse(words[1:] if words[:1] == ["run"] else words)
    _configure_log(options.log_level)
    try:
        settings = Settings.load(
            runtime_dir=options.runtime_dir,
            state_dir=options.state_dir,
            config_dir=options.config_dir,
            log_dir=options.log_dir,
            socket_path=options.socket,
        )
    except InvalidError as error:
        print(f"tickdeckd: {error.message}", file=sys.stderr)
        return EXIT_USAGE
    return asyncio.run(_run(settings, options.ready_fd))


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tickdeckd",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runtime-dir", type=Path, help="sockets, locks, statistics (tmpfs)")
    parser.add_argument("--state-dir", type=Path, help="desired state, journals, event log")
    parser.add_argument("--config-dir", type=Path, help="holds exchanges.d/*.toml")
    parser.add_argument("--log-dir", type=Path, help="logs of the workers")
    parser.add_argument("--socket", type=Path, help="gRPC socket")
    parser.add_argument("--ready-fd", type=int, help="write a newline here once it serves")
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, default="info", help="default: info")
    return parser.parse_args(words)


async def _run(settings: Settings, ready_fd: int | None) -> int:
    # Imported here so that `stat` and `--help` do not pay for gRPC.
    from tickdeck_daemon.server import AlreadyRunningError, Server

    log = structlog.stdlib.get_logger(__name__)
    server = Server(settings)
    try:
        await server.start()
        if ready_fd is not None:
            os.write(ready_fd, b"\n")
            os.close(ready_fd)
        await server.run_until_stopped()
    except AlreadyRunningError as error:
        log.error("not started", error=error.message)
        return EXIT_ALREADY_RUNNING
    except (OSError, TickdeckError) as error:
        log.error("failed", error=str(error))
        return EXIT_FAILED
    except Exception:
        log.exception("failed")
        return EXIT_FAILED
    finally:
        await server.stop()
    return 0


def _configure_log(level: str) -> None:
    """JSON lines on standard error, ours and those of libraries alike."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=level.upper())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
