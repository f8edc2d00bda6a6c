"""ExchangeService: the desired state of the exchanges."""

from typing_extensions import override

from tickdeck.v1 import exchange_service_pb2 as pb
from tickdeck.v1 import exchange_service_pb2_grpc
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once


class ExchangeService(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Adds, changes, removes, starts and stops exchanges."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor

    @override
    async def ListExchanges(
        self, request: pb.ListExchangesRequest, context: Context
    ) -> pb.ListExchangesResponse:
        records = self._plant.store.list()
        exchanges = [convert.exchange(self._plant, record) for record in records]
        return pb.ListExchangesResponse(exchanges=exchanges)

    @override
    async def GetExchange(
        self, request: pb.GetExchangeRequest, context: Context
    ) -> pb.GetExchangeResponse:
        record = self._plant.store.get(parse(request.name, "exchanges"))
        return pb.GetExchangeResponse(exchange=convert.exchange(self._plant, record))

    @override
    async def CreateExchange(
        self, request: pb.CreateExchangeRequest, context: Context
    ) -> pb.CreateExchangeResponse:
        async def create() -> pb.CreateExchangeResponse:
            order = self._order(request)
            record, effects = await self._commands.create(request.toml, order)
            exchange = convert.exchange(self._plant, record) if record else None
            return pb.CreateExchangeResponse(exchange=exchange, effects=effects)

        return await once(self._plant, "CreateExchange", request, pb.CreateExchangeResponse, create)

    @override
    async def UpdateExchange(
        self, request: pb.UpdateExchangeRequest, context: Context
    ) -> pb.UpdateExchangeResponse:
        name = parse(request.name, "exchanges")

        async def update() -> pb.UpdateExchangeResponse:
            order = self._order(request)
            record, effects = await self._commands.update(name, request.toml, request.etag, order)
            exchange = convert.exchange(self._plant, record)
            return pb.UpdateExchangeResponse(exchange=exchange, effects=effects)

        return await once(self._plant, "UpdateExchange", request, pb.UpdateExchangeResponse, update)

    @override
    async def DeleteExchange(
        self, request: pb.DeleteExchangeRequest, context: Context
    ) -> pb.DeleteExchangeResponse:
        name = parse(request.name, "exchanges")

        async def delete() -> pb.DeleteExchangeResponse:
            effects = await self._commands.delete(name, request.etag, self._order(request))
            return pb.DeleteExchangeResponse(effects=effects)

        return await once(self._plant, "DeleteExchange", request, pb.DeleteExchangeResponse, delete)

    @override
    async def StartCollection(
        self, request: pb.StartCollectionRequest, context: Context
    ) -> pb.StartCollectionResponse:
        name = parse(request.name, "exchanges")

        async def start() -> pb.StartCollectionResponse:
            record, effects = await self._commands.start(name, self._order(request))
            exchange = convert.exchange(self._plant, record)
            return pb.StartCollectionResponse(exchange=exchange, effects=effects)

        return await once(
            self._plant, "StartCollection", request, pb.StartCollectionResponse, start
        )

    @override
    async def StopCollection(
        self, request: pb.StopCollectionRequest, context: Context
    ) -> pb.StopCollectionResponse:
        name = parse(request.name, "exchanges")

        async def stop() -> pb.StopCollectionResponse:
            record, effects = await self._commands.stop(name, self._order(request))
            exchange = convert.exchange(self._plant, record)
            return pb.StopCollectionResponse(exchange=exchange, effects=effects)

        return await once(self._plant, "StopCollection", request, pb.StopCollectionResponse, stop)

    def _order(
        self,
        request: pb.CreateExchangeRequest
        | pb.UpdateExchangeRequest
        | pb.DeleteExchangeRequest
        | pb.StartCollectionRequest
        | pb.StopCollectionRequest,
    ) -> Order:
        return Order(self._actor, request.reason, request.validate_only)
