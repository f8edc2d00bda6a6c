"""Runs a preflight: reads the host in a thread, tries the paths, judges. Changes nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace

from tickdeck_daemon.errors import TimedOutError, UnavailableError
from tickdeck_daemon.exchanges.config import ExchangeConfig, Host, Settings, worker_id
from tickdeck_daemon.preflight.export_files import CHECK_TIMEOUT_S, check_export_files
from tickdeck_daemon.preflight.facts import ExportFile, HostFacts, LineRungs, Unread
from tickdeck_daemon.preflight.finding import Report
from tickdeck_daemon.preflight.read_host import Places, Sources, read_host
from tickdeck_daemon.preflight.rules import Case, Other, judge
from tickdeck_daemon.preflight.rules.case import steered
from tickdeck_daemon.preflight.rungs import PROBE_TIMEOUT_S, probe_rungs

READ_TIMEOUT_S = 15.0
"""How long reading the host may take; only a dead disk or driver takes longer."""
CHECK_AND_PROBE_S = max(CHECK_TIMEOUT_S, PROBE_TIMEOUT_S)
"""How long the tries may take, which are made at the same time."""
HARMLESS_DRIVERS = frozenset({"loopback", "veth", "dummy"})
"""Trying a path there disturbs nobody; some cards restart their queues."""

Check = Callable[[ExchangeConfig, Settings], Awaitable[tuple[ExportFile, ...] | Unread]]
Probe = Callable[[ExchangeConfig, Settings], Awaitable[tuple[LineRungs, ...] | Unread]]


class Preflight:
    """Preflights of one daemon, one at a time."""

    def __init__(
        self,
        settings: Settings,
        *,
        sources: Sources | None = None,
        probe: Probe = probe_rungs,
        check: Check = check_export_files,
    ) -> None:
        """Prepare.

        Args:
            settings: Directories of the daemon.
            sources: Where facts come from; this host when absent.
            probe: Tries the receive paths.
            check: Looks at keys and certificates of the exporter.
        """
        self._settings = settings
        self._sources = sources
        self._probe = probe
        self._check = check
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[HostFacts] | None = None

    async def run(
        self, config: ExchangeConfig, others: Iterable[ExchangeConfig], running: Collection[str]
    ) -> Report:
        """What this host can do for an exchange.

        Args:
            config: The exchange; it need not be one of the daemon.
            others: Exchanges that are enabled, `config` perhaps among them.
            running: Names of those that are wanted running.

        Raises:
            TimedOutError: the host could not be read in time.
            UnavailableError: a former reading still hangs.
        """
        others = tuple(others)
        receiving = tuple(other for other in others if other.name in running)
        async with self._lock:
            time_ns = time.time_ns()
            host = await self._read(config, receiving)
            own = next((other for other in receiving if other.name == config.name), None)
            rivals = tuple(
                Other(
                    other.name,
                    other.receive.cpu,
                    steered(other, host) if other in receiving else frozenset(),
                )
                for other in others
                if other.name != config.name
            )
            case = Case(config, host, rivals, Unread("not tried"), own)
            in_use = _in_use(case, receiving)
            rungs, files = await asyncio.gather(
                _told(in_use) if in_use else self._probe(config, self._settings),
                self._check(config, self._settings),
            )
        findings = judge(replace(case, rungs=rungs, export_files=files))
        return Report(config.name, host.name, time_ns, findings)

    async def settled(self) -> None:
        """Wait for a reading that hangs; returns at once when there is none."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def _read(self, config: ExchangeConfig, running: tuple[ExchangeConfig, ...]) -> HostFacts:
        if self._reading is not None and not self._reading.done():
            # A thread cannot be ended; a second one would hang beside it.
            text = "a former preflight still waits for a disk or a driver of this host"
            raise UnavailableError(text, reason="PREFLIGHT_HANGS")
        work = asyncio.to_thread(self._read_now, config, running)
        self._reading = asyncio.get_running_loop().create_task(work, name="preflight")
        done, _ = await asyncio.wait({self._reading}, timeout=READ_TIMEOUT_S)
        if not done:
            text = f"the host could not be read within {READ_TIMEOUT_S:.0f} s; a disk may be dead"
            raise TimedOutError(text, reason="PREFLIGHT_TIMED_OUT")
        return self._reading.result()

    def _read_now(self, config: ExchangeConfig, running: tuple[ExchangeConfig, ...]) -> HostFacts:
        sources = self._sources or replace(Sources(), addresses=Host.here().interfaces)
        settings = self._settings
        directory = settings.worker_dir(worker_id(config.name, "rx"))
        journal = config.journal.data_dir or str(settings.journal_dir(config.name))
        own_files = (directory / "ring", directory / "capture.ring")
        password = config.recovery.password_file
        places = Places(journal, str(settings.runtime_dir), own_files, password)
        wanted = {line.interface for one in (config, *running) for line in one.lines}
        return read_host(wanted, places, sources)


async def _told(reason: Unread) -> Unread:
    return reason


def _in_use(case: Case, running: Iterable[ExchangeConfig]) -> Unread | None:
    """Why the paths are not tried; None when that disturbs nobody and tells something."""
    wanted = {facts.name for facts in case.interfaces()}
    for facts in case.held():
        if facts.name in wanted:
            reason = (
                f"not tried: this exchange's own worker has AF_XDP on {facts.name}, which takes "
                "one program"
            )
            return Unread(reason, f"tickdeck drops {case.config.name} shows what it got")
    cards = {facts.name for facts in case.interfaces() if facts.driver not in HARMLESS_DRIVERS}
    for other in running:
        for line in other.lines:
            card = case.host.interfaces.get(line.interface)
            if card is not None and card.name in cards:
                own = other.name == case.config.name
                who = "this exchange's own worker" if own else other.name
                reason = (
                    f"not tried: {who} receives on {card.name}, and some cards restart "
                    "their queues for it"
                )
                return Unread(reason, f"tickdeck drops {other.name} shows what it got")
    return None
