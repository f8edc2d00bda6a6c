"""Repeated requests: the first response to a request id answers every later one.

A response is stored only after its effect, in SQLite with full sync, for 24 hours. Requests
that failed are not stored: they changed nothing and are judged anew. A second request that
comes while the first is under way waits for it.
"""

import asyncio
import hashlib
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from tickdeck_daemon.errors import InvalidError

KEEP_NS = 24 * 3600 * 1_000_000_000
"""How long a response is kept."""


def check_request_id(request_id: str) -> str:
    """Return the id in canonical form; empty stays empty.

    Raises:
        InvalidError: it is not a UUID.
    """
    if not request_id:
        return ""
    try:
        return str(uuid.UUID(request_id))
    except ValueError as error:
        text = f"request_id {request_id!r} is not a UUID, such as {uuid.UUID(int=0)}"
        raise InvalidError(
            violations=[("request_id", text)], reason="INVALID_REQUEST_ID"
        ) from error


class IdempotencyStore:
    """First responses by request id."""

    def __init__(self, path: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Open the database, and make it when there is none.

        Raises:
            sqlite3.Error: the file is no database, or cannot be opened.
        """
        self._clock_ns = clock_ns
        self._running: dict[str, tuple[str, asyncio.Future[bytes]]] = {}
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS responses (request_id TEXT PRIMARY KEY,"
            " fingerprint TEXT NOT NULL, response BLOB NOT NULL, time_ns INTEGER NOT NULL)"
        )
        self._lock = asyncio.Lock()

    async def run(
        self, request_id: str, method: str, request: bytes, action: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the first response to `request_id`, or do `action` and keep its response.

        Without a request id the action is simply done.

        Args:
            request_id: A UUID or empty.
            method: Full name of the method.
            request: The request in a form that is equal for equal requests.
            action: Does the work and returns the response.

        Raises:
            InvalidError: not a UUID, or used before for another request.
        """
        key = check_request_id(request_id)
        if not key:
            return await action()
        fingerprint = hashlib.sha256(method.encode() + b"\0" + request).hexdigest()
        if key in self._running:
            first, future = self._running[key]
            _check_same(key, first, fingerprint)
            return await asyncio.shield(future)
        future = asyncio.get_running_loop().create_future()
        self._running[key] = (fingerprint, future)
        try:
            response = await self._find_or_do(key, fingerprint, action)
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # a lone caller is told by the raise below
            raise
        finally:
            del self._running[key]
        future.set_result(response)
        return response

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    async def _find_or_do(
        self, key: str, fingerprint: str, action: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        async with self._lock:
            known = await asyncio.to_thread(self._find, key)
        if known is not None:
            _check_same(key, known[0], fingerprint)
            return known[1]
        response = await action()
        async with self._lock:
            await asyncio.to_thread(self._keep, key, fingerprint, response)
        return response

    def _find(self, key: str) -> tuple[str, bytes] | None:
        row = self._database.execute(
            "SELECT fingerprint, response FROM responses WHERE request_id = ? AND time_ns > ?",
            (key, self._clock_ns() - KEEP_NS),
        ).fetchone()
        return (str(row[0]), bytes(row[1])) if row else None

    def _keep(self, key: str, fingerprint: str, response: bytes) -> None:
        now = self._clock_ns()
        self._database.execute("DELETE FROM responses WHERE time_ns <= ?", (now - KEEP_NS,))
        self._database.execute(
            "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)",
            (key, fingerprint, response, now),
        )


def _check_same(key: str, first: str, second: str) -> None:
    if first != second:
        text = f"request_id {key} was used before for another request; choose a new one"
        raise InvalidError(violations=[("request_id", text)], reason="REQUEST_ID_REUSED")
