"""Access rules, names, and the one map from errors to status."""

import grpc
import pytest
from google.rpc import error_details_pb2  # pyright: ignore[reportMissingTypeStubs]

from tickdeck.v1 import options_pb2
from tickdeck_daemon import errors
from tickdeck_daemon.errors import (
    AlreadyExistsError,
    ConflictError,
    CursorExpiredError,
    InvalidError,
    NotFoundError,
    TickdeckError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)
from tickdeck_daemon.services import (
    book,
    exchange,
    journal,
    observe,
    operation,
    recovery,
    replay,
    system,
    worker,
)
from tickdeck_daemon.services.access import rules, services
from tickdeck_daemon.services.names import parse, parse_optional
from tickdeck_daemon.services.status import code_of, to_rpc_status

MUTATING = (
    "Create",
    "Update",
    "Delete",
    "Cut",
    "Start",
    "Stop",
    "Restart",
    "Drain",
    "Run",
    "Verify",
    "Recover",
    "Accept",
    "Annotate",
    "Seal",
    "Prune",
    "Acknowledge",
)


def test_every_rpc_has_a_role() -> None:
    """A new RPC without an access rule would be open to nobody, so it fails here first."""
    methods = [f"/{s.full_name}/{m.name}" for s in services() for m in s.methods]
    assert len(methods) == len(rules()) >= 30
    for method, rule in rules().items():
        assert rule.role != options_pb2.ROLE_UNSPECIFIED, method


def test_every_rpc_is_served() -> None:
    """The generated servicers answer UNIMPLEMENTED; the daemon's own leave none of that."""
    served: dict[str, tuple[type, type]] = {}
    for module in (book, exchange, journal, observe, operation, recovery, replay, system, worker):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                served |= {base.__name__: (kind, base) for base in kind.__bases__}
    for service in services():
        kind, base = served[f"{service.name}Servicer"]
        for method in service.methods:
            assert getattr(kind, method.name) is not getattr(base, method.name), method.name


def test_every_change_is_audited_and_no_look_is() -> None:
    """Whoever changes something leaves a trace; viewers change nothing."""
    for method, rule in rules().items():
        changes = method.rsplit("/", 1)[1].startswith(MUTATING)
        assert rule.audit is changes, method
        assert (rule.role == options_pb2.ROLE_VIEWER) is not changes, method


def test_every_change_carries_a_request_id() -> None:
    """Without one a repeated request could act twice."""
    for service in services():
        for method in service.methods:
            if method.name.startswith(MUTATING):
                assert "request_id" in method.input_type.fields_by_name, method.full_name


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x", metadata={"exchange": "X"}), grpc.StatusCode.NOT_FOUND),
        (AlreadyExistsError("x"), grpc.StatusCode.ALREADY_EXISTS),
        (InvalidError(violations=[("f", "bad")]), grpc.StatusCode.INVALID_ARGUMENT),
        (ConflictError("x"), grpc.StatusCode.ABORTED),
        (WrongStateError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (UnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (TimedOutError("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (CursorExpiredError("x"), grpc.StatusCode.OUT_OF_RANGE),
        (TickdeckError("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_each_error_has_its_code_and_exactly_one_error_info(
    error: TickdeckError, code: grpc.StatusCode
) -> None:
    """A program reads reason, domain and metadata, whatever went wrong."""
    assert code_of(error) is code
    status = to_rpc_status(error)
    assert (status.code, status.message) == (code.value[0], error.message)
    info = error_details_pb2.ErrorInfo()
    assert sum(1 for detail in status.details if detail.Unpack(info)) == 1
    assert (info.reason, info.domain) == (error.reason, "tickdeck")
    assert dict(info.metadata) == error.metadata


def test_every_error_class_is_mapped_to_more_than_internal() -> None:
    """A new kind of error does not fall through to INTERNAL by oversight."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, TickdeckError):
            internal = code_of(value("x")) is grpc.StatusCode.INTERNAL
            assert internal is (value is TickdeckError), value


def test_violations_become_a_bad_request() -> None:
    """Each fault is a field violation with its field."""
    status = to_rpc_status(InvalidError(violations=[("a.b", "wrong"), ("c", "worse")]))
    found = error_details_pb2.BadRequest()
    assert any(detail.Unpack(found) for detail in status.details)
    assert [(v.field, v.description) for v in found.field_violations] == [
        ("a.b", "wrong"),
        ("c", "worse"),
    ]


def test_unavailable_tells_when_to_try_again() -> None:
    """A retry is worth while after a moment."""
    found = error_details_pb2.RetryInfo()
    status = to_rpc_status(UnavailableError("x"))
    assert any(detail.Unpack(found) for detail in status.details)
    assert found.retry_delay.seconds == 1


@pytest.mark.parametrize("name", ["exchanges/XNAS", "exchanges/A-1_b.c"])
def test_names_are_parsed(name: str) -> None:
    """The id is what follows the collection."""
    assert parse(name, "exchanges") == name.split("/")[1]


@pytest.mark.parametrize(
    "name",
    ["", "XNAS", "exchanges/", "workers/XNAS", "exchanges/a/b", "exchanges/../x", "exchanges/ä"],
)
def test_other_names_are_refused_with_their_field(name: str) -> None:
    """A wrong form is the caller's mistake, not a missing resource."""
    with pytest.raises(InvalidError) as caught:
        parse(name, "exchanges", field="exchange")
    assert caught.value.violations[0].field == "exchange"


def test_an_empty_name_may_mean_all() -> None:
    """Where a method allows it."""
    assert parse_optional("", "exchanges") == ""
