"""`state.json` of a worker: what the next daemon must know to take the process over."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.files import write_atomic
from tickdeck_daemon.workers.identity import WorkerIdentity

SCHEMA = "tickdeck.worker-state/v1"
INCARNATIONS_MAX = 4
"""Incarnations remembered; each may still be alive if a daemon died while starting it."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """Written before and after each start and with each change of state."""

    worker: str
    state: str
    """For people; adoption looks at the process itself."""
    state_since_ns: int
    """UTC."""
    identity: WorkerIdentity | None
    """The process; None when there is none, or while it is being started."""
    incarnations: tuple[str, ...]
    """The last ones given out, newest first."""
    generation: int
    spec_sha256: str
    """What the process was started with."""
    ready_since_ns: int | None
    """CLOCK_MONOTONIC of this boot; None when it is not ready."""
    last_exit: str
    last_exit_ns: int | None
    """UTC."""
    last_exit_clean: bool
    """It drained: the journal holds all that the ring held."""
    removing: bool
    """Its exchange is being removed: go on with that."""

    def write(self, path: Path) -> None:
        """Replace the file at once.

        Raises:
            OSError: it could not be written; the old one is untouched.
        """
        document = {
            "schema": SCHEMA,
            "worker": self.worker,
            "state": self.state,
            "state_since_ns": self.state_since_ns,
            "identity": self.identity.to_json() if self.identity else None,
            "incarnations": list(self.incarnations),
            "generation": self.generation,
            "spec_sha256": self.spec_sha256,
            "ready_since_ns": self.ready_since_ns,
            "last_exit": self.last_exit,
            "last_exit_ns": self.last_exit_ns,
            "last_exit_clean": self.last_exit_clean,
            "removing": self.removing,
        }
        write_atomic(path, json.dumps(document, indent=1).encode() + b"\n", mode=0o640)

    @classmethod
    def read(cls, path: Path) -> "StateFile":
        """Read it.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read.
            ValueError: it is not what `write` writes.
        """
        value: object = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError(f"{path} is no JSON object")
        document = cast(dict[str, Any], value)
        if document.get("schema") != SCHEMA:
            raise ValueError(f"{path} has schema {document.get('schema')!r}, not {SCHEMA}")
        try:
            identity = document["identity"]
            ready_since, last_exit_ns = document["ready_since_ns"], document["last_exit_ns"]
            return cls(
                worker=str(document["worker"]),
                state=str(document["state"]),
                state_since_ns=int(document["state_since_ns"]),
                identity=None if identity is None else WorkerIdentity.from_json(identity),
                incarnations=tuple(str(i) for i in document["incarnations"])[:INCARNATIONS_MAX],
                generation=int(document["generation"]),
                spec_sha256=str(document["spec_sha256"]),
                ready_since_ns=None if ready_since is None else int(ready_since),
                last_exit=str(document["last_exit"]),
                last_exit_ns=None if last_exit_ns is None else int(last_exit_ns),
                last_exit_clean=document["last_exit_clean"] is True,
                removing=document["removing"] is True,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is incomplete: {error!r}") from error
