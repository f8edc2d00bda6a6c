"""What the console and the command line report when something cannot be done.

Free of grpc and textual, so that every part may raise and catch it.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `tickdeck` command, fit for scripts."""

    OK = 0
    """Done; a verdict, where one was asked for, is good."""
    FAILED = 1
    """The work failed, or the verdict is bad: unhealthy, damaged, not recovered."""
    USAGE = 2
    """The command or its input is wrong; nothing was changed."""
    UNREACHABLE = 3
    """The daemon does not answer."""
    NOT_FOUND = 4
    """The named exchange, worker, gap or replay does not exist."""
    REFUSED = 5
    """The daemon refused: wrong state, changed meanwhile, name taken or not allowed."""


class CommandError(Exception):
    """A command that could not be done: what happened, what to do about it, and the exit code.

    Args:
        message: What happened, where.
        hint: What to do; empty when there is nothing to suggest.
        exit_code: For the shell.
        reason: The daemon's UPPER_SNAKE reason; empty when it gave none.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        exit_code: ExitCode = ExitCode.FAILED,
        reason: str = "",
    ) -> None:
        """Take the parts; see the class."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.reason = reason

    def __str__(self) -> str:
        """The message, with the hint in brackets."""
        return f"{self.message} ({self.hint})" if self.hint else self.message
