"""Times of the daemon as those of messages."""

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(time_ns: int) -> Timestamp | None:
    """A time; None, which leaves the field absent, for never."""
    if not time_ns:
        return None
    return Timestamp(seconds=time_ns // 1_000_000_000, nanos=time_ns % 1_000_000_000)
