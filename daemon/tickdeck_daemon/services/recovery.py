"""RecoveryService: gaps and their recovery."""

import time

from typing_extensions import override

from tickdeck.v1 import recovery_service_pb2 as pb
from tickdeck.v1 import recovery_service_pb2_grpc
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.observe.gaps import Gap
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.operate.recoveries import Recoveries
from tickdeck_daemon.operate.sources import list_sources
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse, parse_optional
from tickdeck_daemon.services.once import once
from tickdeck_daemon.services.times import timestamp

PAGE_SIZE = 200
PAGE_SIZE_MAX = 1000


class RecoveryService(recovery_service_pb2_grpc.RecoveryServiceServicer):
    """Shows gaps and sources, starts recoveries and gives losses up."""

    def __init__(self, plant: Plant, recoveries: Recoveries, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._recoveries = recoveries
        self._actor = actor

    @override
    async def ListGaps(self, request: pb.ListGapsRequest, context: Context) -> pb.ListGapsResponse:
        name = parse_optional(request.exchange, "exchanges", field="exchange")
        if request.page_size > PAGE_SIZE_MAX:
            text = f"page_size is {request.page_size}; the most is {PAGE_SIZE_MAX}"
            raise InvalidError(violations=[("page_size", text)], reason="PAGE_TOO_LARGE")
        if name:
            self._plant.store.get(name)
        names = [name] if name else [record.name for record in self._plant.store.list()]
        gaps = [gap for one in names for gap in self._plant.ledger.gaps(one)]
        if request.open_only:
            gaps = [gap for gap in gaps if gap.is_open]
        gaps.sort(key=_open_then_newest)
        return pb.ListGapsResponse(
            gaps=[convert.gap(gap) for gap in gaps[: request.page_size or PAGE_SIZE]],
            overflowed=self._plant.overflowed_gaps(name),
        )

    @override
    async def StartRecovery(
        self, request: pb.StartRecoveryRequest, context: Context
    ) -> pb.StartRecoveryResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def start() -> pb.StartRecoveryResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            operation, effects = await self._recoveries.start(name, request.gap_id, order)
            message = convert.operation(operation) if operation else None
            return pb.StartRecoveryResponse(operation=message, effects=effects)

        return await once(self._plant, "StartRecovery", request, pb.StartRecoveryResponse, start)

    @override
    async def RecoverBySnapshot(
        self, request: pb.RecoverBySnapshotRequest, context: Context
    ) -> pb.RecoverBySnapshotResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def start() -> pb.RecoverBySnapshotResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            operation, effects = await self._recoveries.snapshot(name, request.gap_id, order)
            message = convert.operation(operation) if operation else None
            return pb.RecoverBySnapshotResponse(operation=message, effects=effects)

        response = pb.RecoverBySnapshotResponse
        return await once(self._plant, "RecoverBySnapshot", request, response, start)

    @override
    async def AcceptLoss(
        self, request: pb.AcceptLossRequest, context: Context
    ) -> pb.AcceptLossResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def accept() -> pb.AcceptLossResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            lost, effects = await self._recoveries.accept_loss(name, request.gap_id, order)
            return pb.AcceptLossResponse(messages_lost=lost, effects=effects)

        return await once(self._plant, "AcceptLoss", request, pb.AcceptLossResponse, accept)

    @override
    async def AnnotateGap(
        self, request: pb.AnnotateGapRequest, context: Context
    ) -> pb.AnnotateGapResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def annotate() -> pb.AnnotateGapResponse:
            order = Order(self._actor, validate_only=request.validate_only)
            gap, effects = await self._recoveries.annotate(
                name, request.gap_id, request.note, order
            )
            return pb.AnnotateGapResponse(gap=convert.gap(gap), effects=effects)

        return await once(self._plant, "AnnotateGap", request, pb.AnnotateGapResponse, annotate)

    @override
    async def ListRecoverySources(
        self, request: pb.ListRecoverySourcesRequest, context: Context
    ) -> pb.ListRecoverySourcesResponse:
        name = parse(request.exchange, "exchanges", field="exchange")
        sources = await list_sources(self._plant, name)
        return pb.ListRecoverySourcesResponse(
            sources=map(convert.recovery_source, sources), time=timestamp(time.time_ns())
        )


def _open_then_newest(gap: Gap) -> tuple[bool, int]:
    return (False, gap.detected_ns) if gap.is_open else (True, -gap.detected_ns)
