"""What every call passes through: access, deadline, errors, slow readers, the log.

Services are written as if nothing could go wrong: they return messages, yield messages, and
raise `TickdeckError`. This interceptor turns errors into status, gives unary calls a deadline,
lets commands finish when their caller has gone, and writes the messages of streams itself,
so that a reader that takes nothing for `WRITE_LIMIT_S` is cut off.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc import aio

from tickdeck.v1 import options_pb2
from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.services.access import Rule, rules
from tickdeck_daemon.services.status import code_of, simple_status, to_status

_log = structlog.stdlib.get_logger(__name__)

UNARY_LIMIT_S = 30.0
"""Longest time for a unary call whose caller set no deadline."""
WRITE_LIMIT_S = 10.0
"""Longest time that a stream waits for its reader to take a message."""
STREAMS_MAX = 512

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Context = aio.ServicerContext
    Handler = grpc.RpcMethodHandler


class Guard(aio.ServerInterceptor):
    """Wraps every handler of our services; the standard services pass as they are."""

    def __init__(self, *, actor: str, write_limit_s: float = WRITE_LIMIT_S) -> None:
        """Serve `actor`, the only user who can reach the socket."""
        self._actor = actor
        self._write_limit_s = write_limit_s
        self._rules = rules()
        self._wrapped: dict[str, Handler] = {}
        self._commands: set[asyncio.Task[Message]] = set()
        self.streams = 0
        """Streams that are open."""
        self.streams_cut = 0
        """Streams that were ended because their reader was slow."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails],
            Awaitable["grpc.RpcMethodHandler[_Request, _Response] | None"],
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[_Request, _Response] | None":
        """Return the wrapped handler of a method."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        rule = self._rules.get(method)
        if handler is None or rule is None:
            return handler
        if method not in self._wrapped:
            self._wrapped[method] = self._wrap(method, rule, handler)
        return self._wrapped[method]

    async def finish_commands(self, timeout_s: float) -> None:
        """Wait for commands whose callers have gone."""
        if self._commands:
            await asyncio.wait(self._commands, timeout=timeout_s)

    def _wrap(self, method: str, rule: Rule, handler: Handler) -> Handler:
        # The stubs describe handlers of the synchronous server; those of aio are coroutines
        # and asynchronous generators.
        behaviour: Any = handler.unary_stream if handler.response_streaming else handler.unary_unary

        async def unary(request: Message | DecodeError, context: Context) -> Message:
            if isinstance(request, DecodeError):
                await _refuse_malformed(method, context)
                raise request
            return await self._call(method, rule, behaviour, request, context)

        async def stream(request: Message | DecodeError, context: Context) -> None:
            if isinstance(request, DecodeError):
                await _refuse_malformed(method, context)
                raise request
            await self._stream(method, rule, behaviour, request, context)

        make: Any = grpc.unary_unary_rpc_method_handler
        if handler.response_streaming:
            make = grpc.unary_stream_rpc_method_handler
        return cast(
            "Handler",
            make(
                stream if handler.response_streaming else unary,
                request_deserializer=_tolerant(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            ),
        )

    async def _call(
        self,
        method: str,
        rule: Rule,
        behaviour: Callable[[Message, Context], Awaitable[Message]],
        request: Message,
        context: Context,
    ) -> Message:
        await self._check(method, rule, context)
        began = time.monotonic()
        outcome = "OK"
        try:
            # The caller's own deadline cancels the call; this is for callers without one.
            async with asyncio.timeout(UNARY_LIMIT_S if not _has_deadline(context) else None):
                if not rule.audit:
                    return await behaviour(request, context)
                return await self._shielded(behaviour(request, context))
        except TickdeckError as error:
            outcome = code_of(error).name
            await context.abort_with_status(to_status(error))
        except TimeoutError:
            outcome = "DEADLINE_EXCEEDED"
            text = f"no answer within {UNARY_LIMIT_S:.0f} s; the command may still finish"
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            await context.abort_with_status(simple_status(code, "TIMED_OUT", text))
        except (asyncio.CancelledError, aio.AbortError):
            outcome = "CANCELLED"
            raise
        except Exception:
            outcome = "INTERNAL"
            _log.exception("call failed", method=method)
            text = f"{method} failed in a way that was not foreseen; see the log of the daemon"
            code = grpc.StatusCode.INTERNAL
            await context.abort_with_status(simple_status(code, "INTERNAL", text))
        finally:
            if rule.audit:
                self._record(method, request, outcome, time.monotonic() - began)

    async def _stream(
        self,
        method: str,
        rule: Rule,
        behaviour: Callable[[Message, Context], AsyncGenerator[Message, None]],
        request: Message,
        context: Context,
    ) -> None:
        await self._check(method, rule, context)
        if self.streams >= STREAMS_MAX:
            text = f"{STREAMS_MAX} streams are open already; end one first"
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            await context.abort_with_status(simple_status(code, "TOO_MANY_STREAMS", text))
        try:
            await self._pump(behaviour(request, context), context)
        except _SlowConsumerError:
            self.streams_cut += 1
            _log.warning("slow reader cut off", method=method)
            text = f"nothing was read for {self._write_limit_s:.0f} s; connect again"
            # The status stands behind what the reader has not taken yet, so this may wait for
            # the reader, with what fits into the stream's window and no more.
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            await context.abort_with_status(simple_status(code, "SLOW_CONSUMER", text))
        except TickdeckError as error:
            await context.abort_with_status(to_status(error))
        except (asyncio.CancelledError, aio.AbortError):
            raise
        except Exception:
            _log.exception("stream failed", method=method)
            text = f"{method} failed in a way that was not foreseen; see the log of the daemon"
            code = grpc.StatusCode.INTERNAL
            await context.abort_with_status(simple_status(code, "INTERNAL", text))

    async def _pump(self, responses: AsyncGenerator[Message, None], context: Context) -> None:
        """Send the messages of a stream until it ends or its reader has gone."""
        self.streams += 1
        try:
            async for response in responses:
                if not await self._write(context, response):
                    return
        finally:
            self.streams -= 1
            await responses.aclose()

    async def _write(self, context: Context, response: Message) -> bool:
        """Send one message of a stream; False when the reader has gone."""
        try:
            async with asyncio.timeout(self._write_limit_s):
                await context.write(response)
        except TimeoutError as error:
            raise _SlowConsumerError from error
        except aio.InternalError:
            # So ends the write to a stream that was cancelled (ExecuteBatchError).
            return False
        return True

    async def _check(self, method: str, rule: Rule, context: Context) -> None:
        """The socket lets in its owner only, who has every role; a method without one is shut."""
        if rule.role == options_pb2.ROLE_UNSPECIFIED:
            text = f"{method} declares no role, so nobody may call it"
            code = grpc.StatusCode.PERMISSION_DENIED
            await context.abort_with_status(simple_status(code, "NO_ROLE_DECLARED", text))

    async def _shielded(self, work: Awaitable[Message]) -> Message:
        """Finish a command even when its caller leaves: nothing is left half done."""
        task = asyncio.ensure_future(work)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    def _record(self, method: str, request: Message, outcome: str, seconds: float) -> None:
        _log.info(
            "command",
            method=method,
            actor=self._actor,
            outcome=outcome,
            request_id=getattr(request, "request_id", ""),
            resource=getattr(request, "name", "") or getattr(request, "exchange", ""),
            validate_only=getattr(request, "validate_only", False),
            reason=getattr(request, "reason", ""),
            took_ms=round(seconds * 1000, 1),
        )


class _SlowConsumerError(Exception):
    """A write took longer than its limit."""


def _tolerant(
    deserialize: Callable[[bytes], Message] | None,
) -> Callable[[bytes], Message | DecodeError] | None:
    """Make bytes that are no message a value: what a deserializer raises, nobody could answer."""
    if deserialize is None:
        return None

    def read(request: bytes) -> Message | DecodeError:
        try:
            return deserialize(request)
        except DecodeError as error:
            return error

    return read


async def _refuse_malformed(method: str, context: Context) -> None:
    text = f"the bytes are no request of {method}; compare the versions of caller and daemon"
    code = grpc.StatusCode.INVALID_ARGUMENT
    await context.abort_with_status(simple_status(code, "MALFORMED_REQUEST", text))


def _has_deadline(context: Context) -> bool:
    remaining = cast("float | None", context.time_remaining())
    return remaining is not None


def _retrieve(task: "asyncio.Future[Message]") -> None:
    """Look at the result of a command whose caller may have gone."""
    if not task.cancelled() and task.exception() is not None:
        _log.debug("command failed", error=str(task.exception()))
