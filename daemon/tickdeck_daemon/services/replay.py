"""ReplayService: replays of a journal or a capture."""

from collections.abc import AsyncGenerator

from typing_extensions import override

from tickdeck.v1 import replay_service_pb2 as pb
from tickdeck.v1 import replay_service_pb2_grpc
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.operate.replays import ReplayRequest, ReplayState
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once
from tickdeck_daemon.services.pacing import HEARTBEAT_S

LOOPBACK = "127.0.0.1"
"""Where a replay goes when no interface is named: never onto a network by oversight."""


class ReplayService(replay_service_pb2_grpc.ReplayServiceServicer):
    """Plays what was recorded to a named target."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor

    @override
    async def StartReplay(
        self, request: pb.StartReplayRequest, context: Context
    ) -> pb.StartReplayResponse:
        async def start() -> pb.StartReplayResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            wanted = self._wanted(request)
            replay, operation, effects = await self._commands.start_replay(wanted, order)
            return pb.StartReplayResponse(
                replay=convert.replay(replay) if replay else None,
                operation=convert.operation(operation) if operation else None,
                effects=effects,
            )

        return await once(self._plant, "StartReplay", request, pb.StartReplayResponse, start)

    @override
    async def GetReplay(
        self, request: pb.GetReplayRequest, context: Context
    ) -> pb.GetReplayResponse:
        replay = self._plant.replays.get(parse(request.name, "replays"))
        return pb.GetReplayResponse(replay=convert.replay(replay))

    @override
    async def ListReplays(
        self, request: pb.ListReplaysRequest, context: Context
    ) -> pb.ListReplaysResponse:
        replays = [convert.replay(replay) for replay in self._plant.replays.list()]
        return pb.ListReplaysResponse(replays=replays)

    @override
    async def WatchReplay(
        self, request: pb.WatchReplayRequest, context: Context
    ) -> AsyncGenerator[pb.WatchReplayResponse, None]:
        replays = self._plant.replays
        replay = replays.get(parse(request.name, "replays"))
        while True:
            yield pb.WatchReplayResponse(replay=convert.replay(replay))
            if replay.state is not ReplayState.RUNNING:
                return
            replay = await replays.wait(replay.id, replay.revision, HEARTBEAT_S)

    @override
    async def StopReplay(
        self, request: pb.StopReplayRequest, context: Context
    ) -> pb.StopReplayResponse:
        replay_id = parse(request.name, "replays")

        async def stop() -> pb.StopReplayResponse:
            order = Order(self._actor, request.reason)
            replay = await self._commands.stop_replay(replay_id, order)
            return pb.StopReplayResponse(replay=convert.replay(replay))

        return await once(self._plant, "StopReplay", request, pb.StopReplayResponse, stop)

    def _wanted(self, request: pb.StartReplayRequest) -> ReplayRequest:
        """The request in the plant's terms; an exchange means its journal."""
        kind = request.WhichOneof("source")
        if kind == "exchange":
            name = parse(request.exchange, "exchanges", field="exchange")
            record = self._plant.store.get(name)
            source, path = name, self._plant.collector.journal_directory(record)
        elif kind == "capture":
            source = path = request.capture
        else:
            text = "name a source: the exchange whose journal is played, or a capture file"
            raise InvalidError(violations=[("source", text)], reason="NO_SOURCE")
        return ReplayRequest(
            source_kind="journal" if kind == "exchange" else "capture",
            source=source,
            path=path,
            target=request.target,
            interface=request.interface or LOOPBACK,
            speed=request.speed,
            from_seq=request.from_seq,
            to_seq=request.to_seq,
        )
