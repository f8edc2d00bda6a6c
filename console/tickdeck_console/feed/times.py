"""Times of messages as the console's numbers."""

from google.protobuf.timestamp_pb2 import Timestamp


def nanoseconds(time: Timestamp) -> int:
    """UTC nanoseconds; 0 for a time that was never set."""
    return time.seconds * 1_000_000_000 + time.nanos
