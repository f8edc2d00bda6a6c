"""The rx worker's answer to `receive.report` as a message.

The form of the answer is written down in `native/crates/worker/src/rx/ladder/report.rs`.
"""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from tickdeck.v1 import worker_service_pb2 as pb
from tickdeck_daemon.errors import UnavailableError


def receive_report(worker: str, answer: dict[str, Any]) -> pb.GetReceiveReportResponse:
    """Translate an answer.

    Raises:
        UnavailableError: it is not of the agreed form.
    """
    try:
        last = answer["last_verdict"]
        return pb.GetReceiveReportResponse(
            lines=[_line(line) for line in answer["lines"]],
            layers=[_counter(row) for row in answer["layers"]],
            last_verdict=_verdict(last) if last is not None else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"{worker} answered receive.report in a form that is not understood: {error!r}"
        raise UnavailableError(text, reason="CONTROL_PROTOCOL") from error


def _line(line: dict[str, Any]) -> pb.ReceiveLine:
    return pb.ReceiveLine(
        line=line["line"],
        receiver=line["receiver"],
        path=line["path"],
        rungs=[
            pb.ReceiveRung(
                path=rung["path"], ok=rung["ok"], errno=rung["errno"] or 0, error=rung["error"]
            )
            for rung in line["rungs"]
        ],
    )


def _counter(row: dict[str, Any]) -> pb.LayerCounter:
    # A counter that could not be read has null for each number.
    return pb.LayerCounter(
        layer=row["layer"],
        counter=row["counter"],
        unit=row["unit"],
        loss=row["loss"],
        readable=row["readable"],
        value=row["value"] or 0,
        since_start=row["since_start"] or 0,
        last_minute=row["last_minute"],
        error=row["error"],
    )


def _verdict(verdict: dict[str, Any]) -> pb.DropVerdict:
    return pb.DropVerdict(
        gap_id=verdict["gap_id"],
        layer=verdict["layer"],
        lost=verdict["lost"],
        text=verdict["text"],
        grown=[pb.LayerLoss(layer=one["layer"], lost=one["lost"]) for one in verdict["grown"]],
        age=_duration(verdict["age_ns"]),
        span=_duration(verdict["span_ns"]),
    )


def _duration(ns: int) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(ns)
    return duration
