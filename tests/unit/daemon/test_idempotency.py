"""Repeated requests get the first response, whatever happened in between."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickdeck_daemon.errors import InvalidError, WrongStateError
from tickdeck_daemon.operate.idempotency import KEEP_NS, IdempotencyStore, check_request_id

ID = str(uuid.UUID(int=7))


class Rig:
    """A store with a clock, and an action that counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 10 * KEEP_NS
        self.store = IdempotencyStore(path, clock_ns=lambda: self.now)
        self.done = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def reopen(self) -> None:
        self.store.close()
        self.store = IdempotencyStore(self.path, clock_ns=lambda: self.now)

    async def run(self, request_id: str = ID, *, method: str = "M", request: bytes = b"r") -> bytes:
        return await self.store.run(request_id, method, request, self.action)

    async def action(self) -> bytes:
        self.done += 1
        await self.gate.wait()
        return f"response {self.done}".encode()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "state.db")
    yield rig
    rig.store.close()


async def test_a_repeated_request_gets_the_first_response(rig: Rig) -> None:
    """The action is done once."""
    assert await rig.run() == b"response 1"
    assert await rig.run() == b"response 1"
    assert rig.done == 1


async def test_responses_survive_a_restart(rig: Rig) -> None:
    """A client that repeats after a restart of the daemon does nothing twice."""
    await rig.run()
    rig.reopen()
    assert await rig.run() == b"response 1"


async def test_without_an_id_every_request_acts(rig: Rig) -> None:
    """The id is optional."""
    assert await rig.run("") == b"response 1"
    assert await rig.run("") == b"response 2"


async def test_the_id_is_the_same_in_any_spelling(rig: Rig) -> None:
    """A UUID is a number: capitals and braces do not make another request of it."""
    spelled = str(uuid.UUID("abcdefab-cdef-abcd-efab-cdefabcdefab"))
    await rig.run(spelled)
    assert await rig.run(spelled.upper()) == b"response 1"


@pytest.mark.parametrize("request_id", ["x", "123", "g" * 32, " "])
async def test_an_id_that_is_no_uuid_is_refused(rig: Rig, request_id: str) -> None:
    """Nothing is done for it, and the fault names the field."""
    with pytest.raises(InvalidError) as caught:
        await rig.run(request_id)
    assert caught.value.violations[0].field == "request_id"
    assert rig.done == 0


@pytest.mark.parametrize(("method", "request_"), [("Other", b"r"), ("M", b"other")])
async def test_an_id_serves_one_request_only(rig: Rig, method: str, request_: bytes) -> None:
    """Another method or other content under the same id is a mistake of the caller."""
    await rig.run()
    with pytest.raises(InvalidError) as caught:
        await rig.run(method=method, request=request_)
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert rig.done == 1


async def test_a_second_request_waits_for_the_first(rig: Rig) -> None:
    """Two at the same time are one: both get the same response."""
    rig.gate.clear()
    first = asyncio.create_task(rig.run())
    await asyncio.sleep(0)
    second = asyncio.create_task(rig.run())
    await asyncio.sleep(0)
    rig.gate.set()
    assert await asyncio.gather(first, second) == [b"response 1", b"response 1"]
    assert rig.done == 1


async def test_an_error_is_not_kept(rig: Rig) -> None:
    """What failed changed nothing, so the same request may be tried again."""

    async def failing() -> bytes:
        raise WrongStateError("not now")

    with pytest.raises(WrongStateError):
        await rig.store.run(ID, "M", b"r", failing)
    assert await rig.run() == b"response 1"


async def test_who_waits_gets_the_error_too(rig: Rig) -> None:
    """A waiting repetition is not left hanging when the first fails."""
    gate = asyncio.Event()

    async def failing() -> bytes:
        await gate.wait()
        raise WrongStateError("not now")

    first = asyncio.create_task(rig.store.run(ID, "M", b"r", failing))
    await asyncio.sleep(0)
    second = asyncio.create_task(rig.run())
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [WrongStateError, WrongStateError]


async def test_responses_are_forgotten_after_a_day(rig: Rig) -> None:
    """Until then they are kept, and afterwards the table does not grow."""
    await rig.run()
    rig.now += KEEP_NS - 1
    assert await rig.run() == b"response 1"
    rig.now += 2
    assert await rig.run() == b"response 2"


async def test_the_database_is_for_its_owner_only(rig: Rig) -> None:
    """Responses may hold whole exchange files."""
    assert rig.path.stat().st_mode & 0o777 == 0o600


def test_empty_ids_pass() -> None:
    """An empty id means none."""
    assert check_request_id("") == ""
