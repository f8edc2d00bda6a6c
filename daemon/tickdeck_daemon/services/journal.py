"""JournalService: the write-ahead journal of an exchange."""

from typing_extensions import override

from tickdeck.v1 import journal_service_pb2 as pb
from tickdeck.v1 import journal_service_pb2_grpc
from tickdeck_daemon.observe.facts import JournalFacts
from tickdeck_daemon.operate.commands import Commands
from tickdeck_daemon.operate.journals import list_segments
from tickdeck_daemon.operate.order import Order
from tickdeck_daemon.plant import Plant
from tickdeck_daemon.services import convert
from tickdeck_daemon.services.guard import Context
from tickdeck_daemon.services.names import parse
from tickdeck_daemon.services.once import once


class JournalService(journal_service_pb2_grpc.JournalServiceServicer):
    """Shows and verifies journals."""

    def __init__(self, plant: Plant, commands: Commands, actor: str) -> None:
        """Serve `plant`."""
        self._plant = plant
        self._commands = commands
        self._actor = actor

    @override
    async def GetJournal(
        self, request: pb.GetJournalRequest, context: Context
    ) -> pb.GetJournalResponse:
        name = parse(request.exchange, "exchanges", field="exchange")
        record = self._plant.store.get(name)
        directory = self._plant.collector.journal_directory(record)
        segments = await list_segments(directory)
        # Without an rx worker's statistics only the files can be told.
        facts = self._plant.facts(name).journal or JournalFacts(
            state="",
            directory=directory,
            segments=len(segments),
            bytes=sum(segment.bytes for segment in segments),
            sync_policy=record.config.journal.sync_policy,
        )
        return pb.GetJournalResponse(
            journal=convert.journal(facts),
            segments=[
                pb.Segment(
                    file=segment.file,
                    number=segment.number,
                    base_seq=segment.base_seq,
                    bytes=segment.bytes,
                    sealed=segment.sealed,
                )
                for segment in segments
            ],
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
