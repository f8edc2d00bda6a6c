"""The daemon's one control connection to a worker process, opened when it is first needed."""

import asyncio
from pathlib import Path

from tickdeck_daemon.errors import UnavailableError
from tickdeck_daemon.workers.control import ControlClient
from tickdeck_daemon.workers.identity import WorkerIdentity


class ControlLink:
    """Connects to exactly one process; whoever else answers the socket is refused."""

    def __init__(self, path: Path, identity: WorkerIdentity) -> None:
        """Prepare; nothing is connected yet."""
        self._path = path
        self._identity = identity
        self._client: ControlClient | None = None
        self._connecting = asyncio.Lock()
        self._dropped = False

    async def client(self, *, timeout_s: float) -> ControlClient:
        """The connection; a new one when there is none or the last one failed.

        Raises:
            UnavailableError: nobody listens, somebody else does, or the process has ended.
            TimedOutError: no hello within `timeout_s`.
        """
        async with self._connecting:
            if self._client is not None and not self._client.closed:
                return self._client
            client = await ControlClient.connect(self._path, timeout_s=timeout_s)
            peer = (client.hello.incarnation, client.hello.pid)
            if peer != (self._identity.incarnation, self._identity.pid):
                await client.close()
                text = f"{self._path} is answered by process {peer[1]}, incarnation {peer[0]}"
                raise UnavailableError(text, reason="CONTROL_FOREIGN")
            if self._dropped:
                await client.close()
                raise UnavailableError("the worker has ended", reason="WORKER_NOT_RUNNING")
            self._client = client
            return client

    def drop(self) -> None:
        """Close for good; calls under way fail."""
        self._dropped = True
        if self._client is not None:
            self._client.abort()
            self._client = None
