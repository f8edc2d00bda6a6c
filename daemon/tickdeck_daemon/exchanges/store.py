"""The exchanges that are wanted: their files, their desired state, their generations.

`<config_dir>/exchanges.d/*.toml` says what an exchange is; one file each, written by hand or
through the API. `<state_dir>/exchanges/<NAME>.json` says what the operator wants of it, and
outlives the daemon: an exchange that was stopped stays stopped.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, cast

from tickdeck_daemon.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    Violation,
    WrongStateError,
)
from tickdeck_daemon.exchanges.config import ExchangeConfig, Host, host_faults, parse_exchange
from tickdeck_daemon.exchanges.text import peek_name
from tickdeck_daemon.files import sync_directory, write_atomic

ManagedBy = Literal["file", "api"]


class DesiredState(StrEnum):
    """What the operator wants of an exchange."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """One exchange as it is wanted; a change gives a new record."""

    config: ExchangeConfig
    toml: str
    """Text of the exchange file."""
    generation: int
    """Grows with each change of the file or of the desired state."""
    managed_by: ManagedBy
    """Who wrote the file last."""
    desired: DesiredState
    path: Path
    """The exchange file."""

    @property
    def name(self) -> str:
        """Name of the exchange."""
        return self.config.name

    @property
    def wanted(self) -> bool:
        """Workers should run: the operator wants it and the file does not disable it."""
        return self.config.enabled and self.desired is DesiredState.RUNNING

    @property
    def etag(self) -> str:
        """Quoted; differs whenever the file or the desired state does."""
        return f'"{_sha256(f"{self.generation}:{self.desired}:{self.toml}")[:20]}"'


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """An exchange file that could not be taken as it is."""

    path: Path
    message: str
    """All faults, one line each."""
    loaded: bool
    """The exchange is there all the same: only this host does not suit it now, or the
    version read before is kept."""
    exchange: str | None
    """Name of the exchange, when it could be read."""


class ExchangeStore:
    """Reads and writes the exchange files; the only one that does while the daemon runs."""

    def __init__(
        self, config_dir: Path, state_dir: Path, *, host: Callable[[], Host] = Host.here
    ) -> None:
        """Prepare an empty store; `load` reads the files.

        Args:
            config_dir: Holds `exchanges.d`.
            state_dir: Holds `exchanges`, the desired states.
            host: Tells what exchange files may name of this host.
        """
        self._files_dir = config_dir / "exchanges.d"
        self._state_dir = state_dir / "exchanges"
        self._host = host
        self._records: dict[str, ExchangeRecord] = {}
        self.problems: Sequence[LoadProblem] = ()
        """What the last `load` could not take."""

    def load(self) -> Sequence[LoadProblem]:
        """Read all files again; a broken one is reported and never hides the others.

        A file that was good before and is broken now keeps its last good version.

        Raises:
            OSError: the directories cannot be made or listed.
        """
        for directory in (self._files_dir, self._state_dir):
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        before = {record.path: record for record in self._records.values()}
        self._records = {}
        problems: list[LoadProblem] = []
        host = self._host()
        for path in sorted(self._files_dir.glob("*.toml")):
            if not path.name.startswith("."):
                problems.extend(self._load_file(path, before.get(path), host))
        self.problems = tuple(problems)
        self._forget_stale_states()
        return self.problems

    def get(self, name: str) -> ExchangeRecord:
        """One exchange.

        Raises:
            NotFoundError: no exchange of that name.
        """
        try:
            return self._records[name]
        except KeyError:
            text = f'no exchange "{name}"'
            broken = [p for p in self.problems if p.exchange == name]
            if broken:
                text += f"; its file {broken[0].path} is broken: {broken[0].message}"
            raise NotFoundError(
                text, reason="EXCHANGE_NOT_FOUND", metadata={"exchange": name}
            ) from None

    def validate(self, toml: str, *, replacing: str | None = None) -> ExchangeConfig:
        """Check a text as `create` does, or as `update` of `replacing` does; changes nothing.

        Raises:
            InvalidError: the text or what it names is wrong; every fault is in `violations`.
            AlreadyExistsError: `replacing` is None and the name is taken.
            NotFoundError: there is no exchange `replacing`.
        """
        config = parse_exchange(toml, host=self._host())
        if replacing is None:
            self._check_free(config.name)
        elif self.get(replacing).name != config.name:
            text = f'the name is "{config.name}" but the exchange is "{replacing}"; names stay'
            raise InvalidError(violations=[("name", text)], reason="NAME_CHANGED")
        if violations := _clashes(config, self._others(replacing)):
            raise InvalidError(violations=violations, reason="EXCHANGE_CLASH")
        return config

    def create(self, toml: str) -> ExchangeRecord:
        """Add an exchange that is wanted running, and its file.

        Raises:
            AlreadyExistsError: the name, or the file of that name, is taken.
            InvalidError: see `validate`.
            OSError: it could not be written; nothing was added.
        """
        config = self.validate(toml)
        path = self._files_dir / f"{config.name}.toml"
        record = ExchangeRecord(config, toml, 1, "api", DesiredState.RUNNING, path)
        # The state first: a file without it would come back as one written by hand.
        self._write_state(record)
        try:
            write_atomic(path, toml.encode(), mode=0o640, exclusive=True)
        except OSError as error:
            self._state_path(record.name).unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                raise self._taken(config.name, f"the file {path} exists") from error
            raise
        self._records[record.name] = record
        return record

    def update(self, name: str, toml: str, etag: str) -> ExchangeRecord:
        """Replace the file of an exchange; the same text changes nothing.

        Raises:
            NotFoundError: no exchange of that name.
            ConflictError: the exchange, or its file on disk, is not as it was read.
            InvalidError: no etag, or see `validate`.
            OSError: it could not be written.
        """
        record = self.check_etag(name, etag)
        config = self.validate(toml, replacing=name)
        if toml == record.toml:
            return record
        self._check_unchanged_on_disk(record)
        new = replace(
            record,
            config=config,
            toml=toml,
            generation=record.generation + 1,
            managed_by="api",
        )
        self._write_state(new)
        try:
            write_atomic(record.path, toml.encode(), mode=0o640)
        except OSError:
            self._write_state(record)
            raise
        self._records[name] = new
        return new

    def delete(self, name: str, etag: str) -> ExchangeRecord:
        """Forget an exchange; a copy of its file is kept as `<state_dir>/exchanges/removed`.

        The journal, the snapshots and the logs are kept as well.

        Raises:
            NotFoundError: no exchange of that name.
            ConflictError: the exchange, or its file on disk, is not as it was read.
            InvalidError: no etag.
            OSError: it could not be removed.
        """
        record = self.check_etag(name, etag)
        if record.path.exists():
            self._check_unchanged_on_disk(record)
        removed = self._state_dir / "removed"
        removed.mkdir(mode=0o750, exist_ok=True)
        write_atomic(removed / f"{name}.toml", record.toml.encode(), mode=0o640)
        record.path.unlink(missing_ok=True)
        sync_directory(record.path.parent)
        self._state_path(name).unlink(missing_ok=True)
        sync_directory(self._state_dir)
        return self._records.pop(name)

    def set_desired(self, name: str, desired: DesiredState) -> ExchangeRecord:
        """Write down what the operator wants; wanting it again changes nothing.

        Raises:
            NotFoundError: no exchange of that name.
            WrongStateError: RUNNING is wanted but the file says `enabled = false`.
            OSError: it could not be written; nothing changed.
        """
        record = self.get(name)
        if desired is DesiredState.RUNNING and not record.config.enabled:
            text = f'{name} is disabled; set "enabled = true" in {record.path}'
            raise WrongStateError(text, reason="EXCHANGE_DISABLED", metadata={"exchange": name})
        if desired is record.desired:
            return record
        record = replace(record, desired=desired, generation=record.generation + 1)
        self._write_state(record)
        self._records[name] = record
        return record

    def check_etag(self, name: str, etag: str) -> ExchangeRecord:
        """The exchange, if it still is the one the caller read.

        Raises:
            NotFoundError: no exchange of that name.
            InvalidError: no etag.
            ConflictError: the etag is not that of the exchange.
        """
        record = self.get(name)
        if not etag:
            text = "an etag is required; read the exchange and send the etag it has"
            raise InvalidError(violations=[("etag", text)], reason="ETAG_REQUIRED")
        if etag != record.etag:
            text = f"{name} changed since it was read; read it again, then repeat the change"
            raise ConflictError(text, metadata={"exchange": name, "etag": record.etag})
        return record

    def list(self) -> Sequence[ExchangeRecord]:
        """All exchanges in order of name."""
        return [self._records[name] for name in sorted(self._records)]

    def _load_file(
        self, path: Path, before: ExchangeRecord | None, host: Host
    ) -> Iterable[LoadProblem]:
        name: str | None = None
        try:
            toml = path.read_bytes().decode("utf-8")
            name = peek_name(toml)
            config = parse_exchange(toml, file=path.name)
            if config.name in self._records:
                other = self._records[config.name].path.name
                text = f'{path.name}: the name "{config.name}" is used by {other} already'
                raise InvalidError(violations=[("name", text)])
            if violations := _clashes(config, self._others(None)):
                raise InvalidError(violations=violations)
        except (InvalidError, OSError, UnicodeDecodeError) as error:
            kept = before is not None and before.name not in self._records
            if before is not None and kept:
                self._records[before.name] = before
            yield LoadProblem(path, _text_of(error, path), kept, name)
            return
        record, problem = self._with_state(config, toml, path)
        self._records[config.name] = record
        faults = [f"{path.name}: {fault.description}" for fault in host_faults(config, host)]
        faults += [problem] if problem else []
        if faults:
            yield LoadProblem(path, "\n".join(faults), loaded=True, exchange=config.name)

    def _with_state(
        self, config: ExchangeConfig, toml: str, path: Path
    ) -> tuple[ExchangeRecord, str | None]:
        """The record of a file, with what was written down about it before."""
        record = ExchangeRecord(config, toml, 1, "file", DesiredState.RUNNING, path)
        state_path = self._state_path(config.name)
        problem: str | None = None
        try:
            state = cast(dict[str, Any], json.loads(state_path.read_bytes()))
            desired = DesiredState(state["desired"])
            generation, managed_by = int(state["generation"]), state["managed_by"]
            same = state["sha256"] == _sha256(toml)
            if managed_by not in ("file", "api"):
                raise ValueError(f"managed_by is {managed_by!r}")
            record = replace(record, desired=desired, generation=generation)
            if same:
                return replace(record, managed_by=managed_by), None
            record = replace(record, generation=generation + 1)
        except FileNotFoundError:
            # An exchange seen for the first time is wanted.
            problem = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Running is the lesser evil: stopping would drain workers that may be alive.
            problem = f"{state_path}: unreadable desired state, taken as RUNNING: {error}"
        self._write_state(record)
        return record, problem

    def _write_state(self, record: ExchangeRecord) -> None:
        state = {
            "schema": "tickdeck.desired/v1",
            "name": record.name,
            "generation": record.generation,
            "desired": str(record.desired),
            "managed_by": record.managed_by,
            "sha256": _sha256(record.toml),
        }
        data = json.dumps(state, indent=1).encode() + b"\n"
        write_atomic(self._state_path(record.name), data, mode=0o640)

    def _forget_stale_states(self) -> None:
        """Remove desired states of exchanges whose files are gone.

        With a broken file about it may be its state, so nothing is removed then.
        """
        if any(not problem.loaded for problem in self.problems):
            return
        for path in self._state_dir.glob("*.json"):
            if path.stem not in self._records:
                path.unlink(missing_ok=True)

    def _check_free(self, name: str) -> None:
        if name in self._records:
            raise self._taken(name, f"exchange {name} exists")
        for problem in self.problems:
            if problem.exchange == name:
                raise self._taken(name, f"the file {problem.path} names it, though it is broken")

    def _taken(self, name: str, why: str) -> AlreadyExistsError:
        text = f"{why}; nothing was changed"
        return AlreadyExistsError(text, reason="EXCHANGE_EXISTS", metadata={"exchange": name})

    def _check_unchanged_on_disk(self, record: ExchangeRecord) -> None:
        try:
            on_disk = record.path.read_bytes()
        except FileNotFoundError:
            on_disk = b""
        if on_disk != record.toml.encode():
            text = f"{record.path} was edited by hand since it was read; let the daemon read it"
            metadata = {"exchange": record.name, "path": str(record.path)}
            raise ConflictError(text, reason="FILE_CHANGED", metadata=metadata)

    def _others(self, name: str | None) -> Iterable[ExchangeConfig]:
        return [record.config for record in self._records.values() if record.name != name]

    def _state_path(self, name: str) -> Path:
        return self._state_dir / f"{name}.json"


def _clashes(config: ExchangeConfig, others: Iterable[ExchangeConfig]) -> list[Violation]:
    """What two exchanges cannot share: a group and port, a journal directory."""
    violations: list[Violation] = []
    for other in others:
        used = {line.target: f"line {line.name}" for line in other.lines}
        channel, own = other.recovery.snapshot.target, config.recovery.snapshot.target
        for index, line in enumerate(config.line):
            word = used.get(line.target) or ("the snapshot" if line.target == channel else "")
            if word:
                text = f"{line.target} is used by {word} of {other.name}"
                violations.append(Violation(f"line[{index}].group", text))
        if own in used:
            text = f"{own} is used by {used[own]} of {other.name}"
            violations.append(Violation("recovery.snapshot.group", text))
        data_dir = config.journal.data_dir
        if data_dir is not None and data_dir == other.journal.data_dir:
            text = f"{data_dir} is the journal directory of {other.name}"
            violations.append(Violation("journal.data_dir", text))
    return violations


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text_of(error: Exception, path: Path) -> str:
    match error:
        case InvalidError():
            return "\n".join(violation.description for violation in error.violations)
        case UnicodeDecodeError():
            return f"{path.name}: not UTF-8: byte {error.start} is {error.object[error.start]:#x}"
        case _:
            return f"{path.name}: {error}"
