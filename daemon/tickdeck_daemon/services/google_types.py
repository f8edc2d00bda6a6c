"""Google's standard messages, imported once: their package carries no mark that it is typed."""

import grpc
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    code_pb2,
    error_details_pb2,
    status_pb2,
)
from grpc_status import rpc_status

__all__ = ["code_pb2", "error_details_pb2", "operations_pb2", "status_pb2", "to_grpc_status"]


def to_grpc_status(status: "status_pb2.Status") -> grpc.Status:
    """The form that a server sends."""
    # The stub does not know the type of the parameter.
    return rpc_status.to_status(status)  # pyright: ignore[reportUnknownMemberType]
