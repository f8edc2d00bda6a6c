"""Asks `tickdeck-rx probe` which receive paths this host has for the lines of an exchange."""

import asyncio
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.exchanges.config import ExchangeConfig, Settings, to_spec
from tickdeck_daemon.preflight.facts import LineRungs, RungFact, Unread
from tickdeck_daemon.workers import binaries

PROBE_TIMEOUT_S = 12.0
"""With the reading of the host before it, within the limit of a call."""


async def probe_rungs(config: ExchangeConfig, settings: Settings) -> tuple[LineRungs, ...] | Unread:
    """Try the paths; `Unread` when they could not be tried, with the reason."""
    try:
        binary = binaries.find("tickdeck-rx")
    except TickdeckError as error:
        return Unread(error.message)
    spec = to_spec(config, "rx", settings, incarnation=str(uuid.uuid4()), generation=0)
    try:
        with tempfile.TemporaryDirectory(prefix="tickdeck-probe-") as directory:
            path = Path(directory) / "spec.json"
            path.write_text(json.dumps(spec))
            code, output, errors = await _run(binary, path)
    except TimeoutError:
        return Unread(f"{binary} probe did not end within {PROBE_TIMEOUT_S:.0f} s")
    except OSError as error:
        return Unread(f"{binary} probe: {error.strerror}")
    if code != 0:
        return Unread(f"{binary} probe ended with {code}: {_told(errors)}")
    try:
        return parse_rungs(json.loads(output))
    except (ValueError, KeyError, TypeError) as error:
        return Unread(f"{binary} probe answered what is not understood: {error!r}")


def parse_rungs(answer: Any) -> tuple[LineRungs, ...]:  # noqa: ANN401 - JSON
    """The probe's answer; its form is written down in `native/crates/worker/src/rx/probe.rs`.

    Raises:
        KeyError, TypeError, ValueError: it is of another form.
    """
    return tuple(
        LineRungs(
            line=str(line["line"]),
            wish=str(line["wish"]),
            chosen=None if line["chosen"] is None else str(line["chosen"]),
            rungs=tuple(
                RungFact(
                    path=str(rung["path"]),
                    ok=bool(rung["ok"]),
                    errno=None if rung["errno"] is None else int(rung["errno"]),
                    error=str(rung["error"] or ""),
                )
                for rung in line["rungs"]
            ),
        )
        for line in answer["lines"]
    )


def _told(errors: bytes) -> str:
    """What went wrong, in the words of the worker: a line of its log, or of its usage."""
    lines = errors.decode(errors="replace").strip().splitlines() or ["no message"]
    usage = next((line for line in lines if line.startswith("error:")), None)
    try:
        return usage or str(json.loads(lines[-1])["message"])
    except (ValueError, KeyError, TypeError):
        return lines[-1]


async def _run(binary: Path, spec: Path) -> tuple[int, bytes, bytes]:
    """Exit code and outputs; a process that is not waited for to its end is killed."""
    process = await asyncio.create_subprocess_exec(
        binary,
        "probe",
        "--spec",
        spec,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output, errors
