"""What can go wrong, by cause. Knows no gRPC: `services/status.py` maps these to status codes."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple


class TickdeckError(Exception):
    """An error that is told to the caller: what happened, where, and what to do about it.

    Attributes:
        message: One or two sentences for a person.
        reason: The same cause for a program, UPPER_SNAKE and stable.
        metadata: Facts for a program, such as the name of the exchange.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the text and the facts; `reason` defaults to the one of the class."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})


class NotFoundError(TickdeckError):
    """There is no resource of that name."""

    default_reason = "NOT_FOUND"


class AlreadyExistsError(TickdeckError):
    """The name is taken; nothing was overwritten."""

    default_reason = "ALREADY_EXISTS"


class ConflictError(TickdeckError):
    """The resource changed since it was read (wrong etag): read it again, then retry."""

    default_reason = "ETAG_MISMATCH"


class WrongStateError(TickdeckError):
    """The request is valid but not in the present state; retrying alone does not help."""

    default_reason = "WRONG_STATE"


class UnavailableError(TickdeckError):
    """Whoever should answer is not there right now; a retry may help."""

    default_reason = "UNAVAILABLE"


class TimedOutError(UnavailableError):
    """No answer within the deadline; whether the effect happened is not known."""

    default_reason = "TIMED_OUT"


class CursorExpiredError(TickdeckError):
    """The position asked for is no longer (or not yet) kept; start from a snapshot."""

    default_reason = "CURSOR_EXPIRED"


class Violation(NamedTuple):
    """One fault of a request or a file."""

    field: str
    """Path of the key, such as `line[1].group`."""
    description: str
    """What is wrong, where, and what would be right."""


class InvalidError(TickdeckError):
    """The input is wrong whatever the state; every fault found is in `violations`."""

    default_reason = "INVALID"

    def __init__(
        self,
        message: str | None = None,
        *,
        violations: Iterable[tuple[str, str]] = (),
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the violations; without a message their descriptions become the text."""
        self.violations = [Violation(*violation) for violation in violations]
        text = message or "; ".join(v.description for v in self.violations) or "invalid input"
        super().__init__(text, reason=reason, metadata=metadata)
