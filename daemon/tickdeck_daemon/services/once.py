"""Runs a command once for each request id."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from tickdeck_daemon.operate.idempotency import check_request_id
from tickdeck_daemon.plant import Plant


class Mutation(Protocol):
    """A request that carries a request id."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802
        """The wire form."""
        ...


_Response = TypeVar("_Response", bound=Message)


async def once(
    plant: Plant,
    method: str,
    request: Mutation,
    response_type: type[_Response],
    action: Callable[[], Awaitable[_Response]],
) -> _Response:
    """Do `action`, or return what it returned the first time for this request id.

    Nothing is kept of a request that only asks for the effects.

    Raises:
        InvalidError: the request id is no UUID, or was used for another request.
    """
    check_request_id(request.request_id)
    if getattr(request, "validate_only", False):
        return await action()

    async def serialized() -> bytes:
        return (await action()).SerializeToString()

    data = await plant.idempotency.run(
        request.request_id, method, request.SerializeToString(deterministic=True), serialized
    )
    return response_type.FromString(data)
