"""One call to the tier: deadline, repeats, breaker, bound of calls in flight; waited for by a thread or by an event loop.

Both ways use the same kind of connection: gRPC's own asyncio channels belong to one event loop, and Django makes a new loop for nearly
every `async_to_sync`. For a loop a call is a future that a gRPC thread completes, so threads, loops and forks may come and go.

Invariant: a call ends by its deadline, with an answer or with one of our errors, and what is repeated carries the same ids.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

import grpc

from . import measure
from .connection import Connection, gate, on_fork
from .errors import CircuitOpen, Overloaded, RealtimeError, code_of, from_rpc_error
from .options import Options
from .retry import ABSENT, RETRIED, CircuitBreaker

#: Fields that name a call, so that a repeat is the same one: filled in with a UUID when the caller leaves them out.
NAMES: dict[str, str] = {
    "EventsService/Publish": "event.event_id",
    "OrdersService/PublishOrder": "update.event_id",
    "TrackingService/PutDelivery": "event_id",
    "TrackingService/EndDelivery": "event_id",
    "TrackingService/OfferJob": "offer.offer_id",
    "ChatService/SendMessage": "client_id",
    "NotificationsService/Notify": "dedupe_key",
    "MenusService/UpdateMenu": "event_id",
}
#: The same in each item of a list: the list's field, and the path in its items.
NAMES_IN_LISTS: dict[str, tuple[str, str]] = {
    "EventsService/PublishBatch": ("events", "event.event_id"),
    "NotificationsService/NotifyMany": ("notifications", "dedupe_key"),
}
#: Calls of which a repeat is not harmless: made once.
MADE_ONCE = frozenset({"ChatService/AssignAgent", "ChatService/DecideMessage"})

_ITEM = TypeVar("_ITEM")


@dataclass(frozen=True)
class Method:
    """A method of a service, as its descriptor says."""

    service: str
    name: str
    request: type[Any]
    response: type[Any]
    client_streams: bool
    server_streams: bool

    @property
    def path(self) -> str:
        return f"/platepal.realtime.v1.{self.service}/{self.name}"

    @property
    def title(self) -> str:
        return f"{self.service}/{self.name}"


def name_it(method: Method, request: Any) -> None:
    """Fills in what names the call, if the caller did not."""
    path = NAMES.get(method.title)
    if path is not None:
        _fill(request, path)
    listed = NAMES_IN_LISTS.get(method.title)
    if listed is not None:
        for item in getattr(request, listed[0]):
            _fill(item, listed[1])


def _fill(message: Any, path: str) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        if not message.HasField(parent):
            # The tier says that it lacks; an empty one made here would hide that.
            return
        message = getattr(message, parent)
    if not getattr(message, last):
        setattr(message, last, str(uuid.uuid4()))


class Caller:
    """Makes calls over one connection. May be shared by threads, event loops and forked processes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.connection = Connection(options)
        self._fresh()
        on_fork(self._fresh)

    def _fresh(self) -> None:
        # After a fork, too: a parent's failures and calls in flight are not the child's, nor are its held locks.
        self.breaker = CircuitBreaker(
            self.options.breaker_failures, self.options.breaker_open_seconds, self.options.breaker_open_seconds_max
        )
        self._room = threading.BoundedSemaphore(self.options.in_flight_max)

    def unary(self, method: Method, request: Any, timeout: Optional[float]) -> Any:
        """The answer to one request."""
        attempts = _Attempts(self, method, request, timeout)
        with attempts:
            while True:
                try:
                    answer = attempts.wait()
                except grpc.RpcError as why:
                    time.sleep(attempts.failed(why))
                else:
                    attempts.succeeded()
                    return answer

    async def unary_async(self, method: Method, request: Any, timeout: Optional[float]) -> Any:
        """The same for an event loop; cancelling the task cancels the call."""
        attempts = _Attempts(self, method, request, timeout)
        with attempts:
            while True:
                future = attempts.start()
                try:
                    answer = await _bridge(future)
                except grpc.FutureCancelledError as why:
                    raise attempts.cancelled() from why
                except grpc.RpcError as why:
                    await asyncio.sleep(attempts.failed(why))
                else:
                    attempts.succeeded()
                    return answer

    def stream(self, method: Method, request: Any, timeout: Optional[float]) -> Stream[Any]:
        """The answers of a stream, as they come. A stream is not repeated: its reader knows from where to go on.

        `request` is an iterator of requests where the method takes a stream of them, e.g. `StreamFixes`.
        Without `timeout` it lasts until the tier ends it, or the iterator is closed.
        """
        self._admit(method)
        call = self.prepare(method)(request, timeout=timeout, metadata=self.connection.metadata)
        return Stream(self, method, call)

    def prepare(self, method: Method) -> Any:
        """A method on this process's connection, without policies."""
        channel = self.connection.channel()
        streams = (method.client_streams, method.server_streams)
        make = {(False, False): channel.unary_unary, (False, True): channel.unary_stream, (True, True): channel.stream_stream}[streams]
        return make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    def _admit(self, method: Method) -> None:
        wait = self.breaker.admit()
        if wait > 0:
            measure.count("platepal_realtime_calls_total", method=method.title, result="circuit_open")
            raise CircuitOpen(
                f"{method.title} was not sent: the tier at {self.options.target} did not answer "
                f"{self.options.breaker_failures} times in a row; the next attempt is in {wait:.1f} s. Nothing was kept. "
                "What is in the outbox is sent later by itself; anything else: repeat it then."
            )


class _Attempts:
    """The attempts of one call, without the waiting."""

    def __init__(self, caller: Caller, method: Method, request: Any, timeout: Optional[float]) -> None:
        name_it(method, request)
        self.caller, self.method, self.request = caller, method, request
        self.started = time.monotonic()
        self.deadline = self.started + (caller.options.timeout if timeout is None else timeout)
        self.count = 0
        self._room = caller._room

    def __enter__(self) -> _Attempts:
        if not self._room.acquire(blocking=False):
            measure.count("platepal_realtime_calls_total", method=self.method.title, result="overloaded")
            raise Overloaded(
                f"{self.method.title} was not sent: {self.caller.options.in_flight_max} calls are in flight in this process "
                "(in_flight_max). Nothing was kept; wait for some of them, or send in batches."
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._room.release()

    def wait(self) -> Any:
        """The answer to one attempt, for a thread. A future would cost twice as much: gRPC starts a thread that completes it.

        Whatever interrupts this (Ctrl-C, a worker's time limit) ends the call as well.
        """
        call, terms = self._begin()
        try:
            return call(self.request, **terms)
        finally:
            gate.leave()

    def start(self) -> Any:
        """The same as a future."""
        call, terms = self._begin()
        try:
            future = call.future(self.request, **terms)
        except BaseException:
            gate.leave()
            raise
        future.add_done_callback(gate.leave)
        return future

    def _begin(self) -> tuple[Any, dict[str, Any]]:
        self.caller._admit(self.method)
        self.count += 1
        call = self.caller.prepare(self.method)
        left = max(0.001, self.deadline - time.monotonic())
        gate.enter()
        return call, {"timeout": left, "metadata": self.caller.connection.metadata}

    def succeeded(self) -> None:
        self.caller.breaker.succeeded()
        self._measure("ok")

    def failed(self, why: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises when there is none."""
        code = code_of(why)
        if code in ABSENT:
            self.caller.breaker.failed()
        else:
            self.caller.breaker.succeeded()
        options = self.caller.options
        wait = options.backoff.wait(self.count)
        last = self.count >= options.attempts_max or self.method.title in MADE_ONCE
        if code not in RETRIED or last or time.monotonic() + wait >= self.deadline or self.caller.breaker.is_open:
            self._measure(code.name.lower())
            raise from_rpc_error(self.method.title, why, self.count) from why
        return wait

    def cancelled(self) -> RealtimeError:
        self._measure("cancelled")
        return Overloaded(f"{self.method.title} was given up because its client was closed. It may or may not have been kept.")

    def _measure(self, result: str) -> None:
        measure.count("platepal_realtime_calls_total", method=self.method.title, result=result)
        measure.observe("platepal_realtime_call_seconds", time.monotonic() - self.started, method=self.method.title)


async def _bridge(future: Any) -> Any:
    """Waits in this event loop for what a gRPC thread completes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def completed(_: Any) -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass

    future.add_done_callback(completed)
    try:
        await done
    except asyncio.CancelledError:
        future.cancel()
        raise
    return future.result()


class Stream(Iterator[_ITEM]):
    """Answers of a stream, with our errors."""

    def __init__(self, caller: Caller, method: Method, call: Any) -> None:
        self._caller, self._method, self._call = caller, method, call

    def __next__(self) -> _ITEM:
        try:
            item: _ITEM = next(self._call)
        except StopIteration:
            self._caller.breaker.succeeded()
            raise
        except grpc.RpcError as why:
            code = code_of(why)
            (self._caller.breaker.failed if code is grpc.StatusCode.UNAVAILABLE else self._caller.breaker.succeeded)()
            raise from_rpc_error(self._method.title, why) from why
        self._caller.breaker.succeeded()
        return item

    def close(self) -> None:
        """Ends the stream; a `next` that waits in another thread raises `Cancelled`."""
        self._call.cancel()


async def in_thread(stream: Stream[_ITEM]) -> AsyncGenerator[_ITEM, None]:
    """A stream's answers for an event loop, read one at a time: the reader sets the pace and nothing piles up."""
    end = object()
    loop = asyncio.get_running_loop()
    try:
        while True:
            item: Any = await loop.run_in_executor(None, next, stream, end)
            if item is end:
                return
            yield item
    finally:
        stream.close()
