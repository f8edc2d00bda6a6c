"""JournalService: the write-ahead journal of an exchange."""

from typing_extensions import override

from tickdeck.v1 import journal_service_pb2 as pb
from tickdeck.v1 import journal_service_pb2_grpc
from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.observe.facts import JournalFacts
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.journal_orders import JournalOrders
from tickdeck_daemon.operate.journals import SegmentInfo, list_segments
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.operate.recovery_report import look_at_report
from tickdeck_daemon.operate.subscribers import list_subscribers
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert, convert_journal
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once


class JournalService(journal_service_pb2_grpc.JournalServiceServicer):
    """Shows and verifies journals and who reads them; seals, prunes, takes note."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._orders = JournalOrders(plant)
        self._commands = commands
        self._actor = actor

    @override
    async def GetJournal(
        self, request: pb.GetJournalRequest, context: Context
    ) -> pb.GetJournalResponse:
        name = parse(request.exchange, "exchanges", field="exchange")
        record = self._plant.store.get(name)
        directory = self._plant.collector.journal_directory(record)
        report = await look_at_report(directory)
        exchange = self._plant.facts(name)
        facts = exchange.journal
        lacks = self._plant.losses.see(name)
        # A journal that its writer refused, or one damaged since, may not be listed: the numbers,
        # the report and what waits of its losses are told all the same.
        segments: list[SegmentInfo] = []
        unavailable = ""
        try:
            segments = await list_segments(directory)
        except TickdeckError as error:
            if not (report or facts or lacks.rows.losses or lacks.unbounded):
                raise
            unavailable = error.message
        # Without an rx worker's statistics only the files can be told.
        settings = record.config.journal
        facts = facts or JournalFacts(
            state="",
            directory=directory,
            segments=len(segments),
            bytes=sum(segment.bytes for segment in segments),
            sync_policy=settings.sync_policy,
            fsync_interval_ms=settings.fsync_interval_ms,
            recovery_mode=settings.recovery_mode,
            on_failure=settings.on_failure,
            recovery_problems=report.waiting if report else 0,
            acked_loss_new=lacks.acked_loss,
            holes_new=lacks.holes,
        )
        return pb.GetJournalResponse(
            journal=convert_journal.journal(facts),
            segments=map(convert_journal.segment, segments),
            recovery=convert_journal.recovery_report(report) if report else None,
            losses=[
                *map(convert_journal.loss, lacks.rows.losses),
                *map(convert_journal.unbounded_loss, lacks.unbounded),
            ],
            export=convert_journal.export(exchange),
            segments_unavailable=unavailable,
        )

    @override
    async def VerifyJournal(
        self, request: pb.VerifyJournalRequest, context: Context
    ) -> pb.VerifyJournalResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def verify() -> pb.VerifyJournalResponse:
            operation = await self._commands.verify_journal(name, Order(self._actor))
            return pb.VerifyJournalResponse(operation=convert.operation(operation))

        return await once(self._plant, "VerifyJournal", request, pb.VerifyJournalResponse, verify)

    @override
    async def ListSubscribers(
        self, request: pb.ListSubscribersRequest, context: Context
    ) -> pb.ListSubscribersResponse:
        name = parse(request.exchange, "exchanges", field="exchange")
        found = await list_subscribers(self._plant, name)
        return pb.ListSubscribersResponse(
            subscribers=map(convert_journal.subscriber, found.rows),
            unavailable=found.unavailable,
            durable_seq=found.durable_seq,
        )

    @override
    async def SealSegment(
        self, request: pb.SealSegmentRequest, context: Context
    ) -> pb.SealSegmentResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def seal() -> pb.SealSegmentResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            sealed, effects = await self._orders.seal(name, order)
            return pb.SealSegmentResponse(
                segments=sealed.segments, durable_seq=sealed.durable_seq, effects=effects
            )

        return await once(self._plant, "SealSegment", request, pb.SealSegmentResponse, seal)

    @override
    async def PruneJournal(
        self, request: pb.PruneJournalRequest, context: Context
    ) -> pb.PruneJournalResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def prune() -> pb.PruneJournalResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            pruned, effects = await self._orders.prune(name, order)
            return pb.PruneJournalResponse(
                segments=pruned.segments,
                bytes=pruned.bytes,
                oldest_seq=pruned.oldest_seq,
                effects=effects,
            )

        return await once(self._plant, "PruneJournal", request, pb.PruneJournalResponse, prune)

    @override
    async def AcknowledgeRecovery(
        self, request: pb.AcknowledgeRecoveryRequest, context: Context
    ) -> pb.AcknowledgeRecoveryResponse:
        name = parse(request.exchange, "exchanges", field="exchange")

        async def acknowledge() -> pb.AcknowledgeRecoveryResponse:
            order = Order(self._actor, request.reason, request.validate_only)
            problems, effects = await self._orders.acknowledge(name, order)
            return pb.AcknowledgeRecoveryResponse(problems=problems, effects=effects)

        response = pb.AcknowledgeRecoveryResponse
        return await once(self._plant, "AcknowledgeRecovery", request, response, acknowledge)
