"""The exchanges that are wanted: their files, their desired state, their generations."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from tickdeck_daemon.config import ExchangeConfig

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
    etag: str
    """Quoted; differs whenever the file or the desired state does."""
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


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """An exchange file that could not be taken as it is."""

    path: Path
    message: str
    """All faults, one line each."""
    loaded: bool
    """The exchange is there all the same; only this host does not suit it now."""
    exchange: str | None
    """Name of the exchange, when it could be read."""
