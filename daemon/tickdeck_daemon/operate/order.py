"""Who wants a command, how, and how its reason is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants a command, and how."""

    actor: str
    reason: str = ""
    validate_only: bool = False


def with_reason(text: str, order: Order) -> str:
    """A sentence of the event log, with the reason behind it where there is one."""
    return f"{text}: {order.reason.strip()}" if order.reason.strip() else text
