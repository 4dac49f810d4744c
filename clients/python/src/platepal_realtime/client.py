"""The clients: `Client` for threads, `AsyncClient` for event loops; the same services, policies and errors.

Invariant: no more than a face. What a call is, when it is repeated and when not is in `calls`; what an event is, in `events`.
"""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from .calls import Caller, Method, Stream, in_thread
from .errors import InvalidEvent, RealtimeError, from_status
from .events import BATCH_EVENTS_MAX, Event
from .options import Options
from .v1 import events_pb2
from .v1.services import SERVICES, AsyncServices, Services

_STUB = TypeVar("_STUB")


@functools.cache
def _methods(module: Any, service: str) -> dict[str, Method]:
    """A service's methods, from the descriptor in a generated module."""
    descriptor = module.DESCRIPTOR.services_by_name[service]
    return {
        method.name: Method(
            service,
            method.name,
            method.input_type._concrete_class,
            method.output_type._concrete_class,
            method.client_streaming,
            method.server_streaming,
        )
        for method in descriptor.methods
    }


class Service:
    """A service of the tier. Each method takes a request message, or its fields by name; and `timeout` in seconds.

    >>> client.chat.GetRoom(room_id="88")                            # doctest: +SKIP
    >>> client.chat.GetRoom(GetRoomRequest(room_id="88"), timeout=1)  # doctest: +SKIP
    """

    def __init__(self, caller: Caller, module: Any, service: str) -> None:
        self._caller = caller
        self._name = service
        self._methods = _methods(module, service)

    def __dir__(self) -> list[str]:
        return sorted(self._methods)

    def __getattr__(self, name: str) -> Any:
        method = self._methods.get(name) if not name.startswith("_") else None
        if method is None:
            raise AttributeError(f"{self._name} has no method {name}; it has {', '.join(sorted(self._methods))}")
        bound = functools.partial(self._call, method)
        # The next look-up finds it without this function.
        self.__dict__[name] = bound
        return bound

    def _call(self, method: Method, request: Any = None, /, *, timeout: Optional[float] = None, **fields: Any) -> Any:
        request = _request(method, request, fields)
        if method.server_streams:
            return self._caller.stream(method, request, timeout)
        return self._caller.unary(method, request, timeout)


class AsyncService(Service):
    """The same for event loops: methods are awaited, streams read with `async for`."""

    def _call(self, method: Method, request: Any = None, /, *, timeout: Optional[float] = None, **fields: Any) -> Any:
        request = _request(method, request, fields)
        if method.server_streams:
            return in_thread(self._caller.stream(method, request, timeout))
        return self._caller.unary_async(method, request, timeout)


def _request(method: Method, request: Any, fields: dict[str, Any]) -> Any:
    if method.client_streams:
        return iter(request)
    if request is None:
        return method.request(**fields)
    if fields:
        raise TypeError(f"{method.title} takes a request, or its fields by name, not both")
    if not isinstance(request, method.request):
        raise TypeError(f"{method.title} takes a {method.request.__name__}, not a {type(request).__name__}")
    return request


@dataclass(frozen=True)
class Published:
    """What became of one event of a batch."""

    event: Event
    #: What the tier says it has kept; `None` when it has not.
    kept: Optional[events_pb2.PublishResponse]
    #: Why it has not; `None` when it has.
    error: Optional[RealtimeError]


def _outcomes(events: Sequence[Event], response: events_pb2.PublishBatchResponse) -> list[Published]:
    outcomes = []
    for event, result in zip(events, response.results):
        if result.HasField("kept"):
            outcomes.append(Published(event, result.kept, None))
            continue
        problem = result.problem
        said = f"{problem.field}: {problem.reason}" if problem.field else problem.reason
        outcomes.append(Published(event, None, from_status("EventsService/PublishBatch", _code(problem.code), said, problem.field)))
    return outcomes


def _code(number: int) -> Any:
    import grpc

    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def _batch(events: Iterable[Event], ordered: bool) -> tuple[list[Event], events_pb2.PublishBatchRequest]:
    batch = list(events)
    if len(batch) > BATCH_EVENTS_MAX:
        raise InvalidEvent(f"events: {len(batch)}, the limit is {BATCH_EVENTS_MAX}: send them in parts. Nothing was sent.")
    return batch, events_pb2.PublishBatchRequest(events=[event.request() for event in batch], ordered=ordered)


class _Base:
    _service: type[Service] = Service

    def __init__(self, options: Optional[Options] = None, **settings: Any) -> None:
        if options is not None and settings:
            raise TypeError("give options, or settings by name, not both")
        self.options = options or Options(**settings)
        self._caller = Caller(self.options)

    if not TYPE_CHECKING:
        # Type checkers know the services by their names, and that there are no others.
        def __getattr__(self, name: str) -> Any:
            if name not in SERVICES:
                raise AttributeError(f"{type(self).__name__} has no {name}; its services are {', '.join(SERVICES)}")
            service = self._service(self._caller, *SERVICES[name])
            self.__dict__[name] = service
            return service

    def service(self, module: Any, name: str) -> Any:
        """Any other service of a generated module: `client.service(chat_pb2, "MessageCheckService")`."""
        return self._service(self._caller, module, name)

    @property
    def is_answering(self) -> bool:
        """False while calls fail at once because the tier did not answer."""
        return not self._caller.breaker.is_open

    def close(self) -> None:
        """Ends calls in flight and closes the connection; the next call makes a new one."""
        self._caller.connection.close()


class Client(_Base, Services):
    """Calls the tier from threads. Make one per process and share it; it may be made before a fork.

    >>> client = Client(target="realtime:50051", api_key="KEY")
    >>> client.publish("order.accepted", {"order_id": 5012}, ["customer:7", "restaurant:12"])  # doctest: +SKIP
    """

    def publish(
        self,
        type: str,
        data: Any,
        channels: Union[str, Iterable[str]],
        *,
        event_id: Union[str, uuid.UUID, None] = None,
        timestamp: Union[datetime.datetime, str, None] = None,
        version: str = "",
        key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> events_pb2.PublishResponse:
        """Publishes an event; returns when every channel has kept it."""
        event = Event.make(type, data, channels, event_id=event_id, timestamp=timestamp, version=version, key=key)
        return self.publish_event(event, timeout=timeout)

    def publish_event(self, event: Event, *, timeout: Optional[float] = None) -> events_pb2.PublishResponse:
        """The same with an event that is made already."""
        return self.events.Publish(event.request(), timeout=timeout)

    def publish_batch(self, events: Iterable[Event], *, ordered: bool = False, timeout: Optional[float] = None) -> list[Published]:
        """Up to 500 events, in their order. One that is refused costs the others nothing, unless `ordered`: then it keeps back those
        after it that share a channel with it (`Unavailable`, `ABORTED`), for whoever repeats what failed.
        """
        batch, request = _batch(events, ordered)
        return _outcomes(batch, self.events.PublishBatch(request, timeout=timeout)) if batch else []

    def tail(self, channel: str, *, retained: bool = False) -> Stream[events_pb2.TailResponse]:
        """A channel, live and healed."""
        return self.events.Tail(channel=channel, retained=retained)

    def stub(self, stub: type[_STUB]) -> _STUB:
        """A generated stub on this client's connection, without its policies: `client.stub(ChatServiceStub)`.

        The API key goes along as `metadata=client.metadata`.
        """
        return stub(self._caller.connection.channel())  # type: ignore[call-arg]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call must carry."""
        return self._caller.connection.metadata

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Base, AsyncServices):
    """Calls the tier from event loops; one may serve several of them, in several threads."""

    _service = AsyncService

    async def publish(
        self,
        type: str,
        data: Any,
        channels: Union[str, Iterable[str]],
        *,
        event_id: Union[str, uuid.UUID, None] = None,
        timestamp: Union[datetime.datetime, str, None] = None,
        version: str = "",
        key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> events_pb2.PublishResponse:
        """Publishes an event; returns when every channel has kept it."""
        event = Event.make(type, data, channels, event_id=event_id, timestamp=timestamp, version=version, key=key)
        return await self.publish_event(event, timeout=timeout)

    async def publish_event(self, event: Event, *, timeout: Optional[float] = None) -> events_pb2.PublishResponse:
        """The same with an event that is made already."""
        return await self.events.Publish(event.request(), timeout=timeout)

    async def publish_batch(self, events: Iterable[Event], *, ordered: bool = False, timeout: Optional[float] = None) -> list[Published]:
        """Up to 500 events, in their order. One that is refused costs the others nothing, unless `ordered`: then it keeps back those
        after it that share a channel with it (`Unavailable`, `ABORTED`), for whoever repeats what failed.
        """
        batch, request = _batch(events, ordered)
        return _outcomes(batch, await self.events.PublishBatch(request, timeout=timeout)) if batch else []

    def tail(self, channel: str, *, retained: bool = False) -> AsyncGenerator[events_pb2.TailResponse, None]:
        """A channel, live and healed."""
        return self.events.Tail(channel=channel, retained=retained)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
