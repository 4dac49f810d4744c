"""Events that an event loop publishes at once go to the tier together: a call costs several times what an event in it does.

An event alone does not wait for others; while calls are in flight, what comes in the meantime makes up the next one.

Invariant: each event is answered by itself, and as kept only when it is. Events of one kind and channel leave in the order in which they
were given: none while an earlier one is on its way, but in the same call behind it. The tier goes on after one of a call has failed, so
what was behind it may be kept before it is tried again. How many wait is bounded by whoever publishes (the layer's `capacity`).
"""

from __future__ import annotations

import asyncio
import math
from typing import Callable, Optional

import grpc

from .client import AsyncClient, Published
from .errors import from_status
from .events import Event
from .retry import RETRIED

#: Calls of one kind of events in flight at once: while the tier works on one, the next is made.
CALLS_MAX = 2
#: Channels that are not worth two calls.
CHANNELS_MIN = 10
#: Events of one call, and bytes of their payloads: an answer waits for the slowest of its call.
EVENTS_MAX = 100
BYTES_MAX = 1024 * 1024


class _Waiting:
    """An event, and what its publisher waits for."""

    def __init__(self, event: Event, answer: asyncio.Future[None], deadline: float) -> None:
        self.event, self.answer, self.deadline = event, answer, deadline

    def fail(self, why: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(why)

    def is_late(self, timeout: float) -> None:
        said = f"no answer to {self.event.event_id} in {timeout} s"
        self.fail(from_status("EventsService/PublishBatch", grpc.StatusCode.DEADLINE_EXCEEDED, said))

    def settle(self, outcome: Published, last: bool) -> bool:
        """Answers as the tier did. False: it is to be sent again."""
        if outcome.kept is None:
            assert outcome.error is not None
            if outcome.error.code in RETRIED and not last:
                # Nobody waits any more for what was given up.
                return self.answer.done()
            self.fail(outcome.error)
            return True
        if not self.answer.done():
            self.answer.set_result(None)
        return True


class Together:
    """What one event loop publishes, in a lane for each kind of events (`order…`, `delivery…`, `chat…`).

    Other kinds are other domains': when one of those hangs, calls with its events do, and nothing else may wait for them.
    """

    def __init__(self, client: Callable[[], AsyncClient], timeout: Optional[float] = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._client, self._timeout = client, timeout
        self._lanes: dict[str, _Lane] = {}

    async def publish(self, event: Event) -> None:
        """Returns when every channel has kept the event."""
        kind = event.type.replace("_", ".").partition(".")[0]
        lane = self._lanes.get(kind)
        if lane is None:
            lane = self._lanes[kind] = _Lane(self.loop, self._client)
        client = self._client()
        await lane.publish(event, client.options.timeout if self._timeout is None else self._timeout)


class _Lane:
    def __init__(self, loop: asyncio.AbstractEventLoop, client: Callable[[], AsyncClient]) -> None:
        self._loop, self._client = loop, client
        #: In the order in which they were given.
        self._waiting: list[_Waiting] = []
        self._calls: set[asyncio.Task[None]] = set()
        #: Channels of events that are on their way.
        self._busy: set[str] = set()
        self._due = False

    async def publish(self, event: Event, timeout: float) -> None:
        waiting = _Waiting(event, self._loop.create_future(), self._loop.time() + timeout)
        timer = self._loop.call_later(timeout, waiting.is_late, timeout)
        self._waiting.append(waiting)
        self._soon()
        try:
            await waiting.answer
        except BaseException:
            # Given up, or too late: what has not left stays here no longer than its publisher.
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            raise
        finally:
            timer.cancel()

    def _soon(self) -> None:
        # After everything else that runs in this turn of the loop: it may have more to send.
        if self._waiting and not self._due and len(self._calls) < CALLS_MAX:
            self._due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._due = False
        batch = self._take()
        if not batch:
            return
        channels = {channel for waiting in batch for channel in waiting.event.channels}
        self._busy |= channels
        call = self._loop.create_task(self._call(batch))
        self._calls.add(call)

        def ended(_: object) -> None:
            self._calls.discard(call)
            self._busy.difference_update(channels)
            self._soon()

        call.add_done_callback(ended)
        self._soon()

    def _take(self) -> list[_Waiting]:
        """Those that go now; the others stay, in their order. Calls that may be made share what waits, channel by channel."""
        waiting_channels = {channel for waiting in self._waiting for channel in waiting.event.channels}
        share = max(CHANNELS_MIN, math.ceil(len(waiting_channels - self._busy) / (CALLS_MAX - len(self._calls))))
        held, going, size = set(self._busy), set[str](), 0
        taken: list[_Waiting] = []
        left: list[_Waiting] = []
        for waiting in self._waiting:
            channels, payload = waiting.event.channels, len(waiting.event.payload)
            if waiting.answer.done():
                continue
            fits = not taken or (len(taken) < EVENTS_MAX and size + payload <= BYTES_MAX and len(going.union(channels)) <= share)
            if held.isdisjoint(channels) and fits:
                going.update(channels)
                size += payload
                taken.append(waiting)
            else:
                held.update(channels)
                left.append(waiting)
        self._waiting = left
        return taken

    async def _call(self, batch: list[_Waiting]) -> None:
        """One call, and again for those that the tier could not take just then."""
        client, attempt = self._client(), 0
        # Who waits for less is told before.
        deadline = max(waiting.deadline for waiting in batch)
        try:
            while batch:
                attempt += 1
                left = max(0.001, deadline - self._loop.time())
                outcomes = await client.publish_batch([waiting.event for waiting in batch], timeout=left)
                last = attempt >= client.options.attempts_max
                batch = [waiting for waiting, outcome in zip(batch, outcomes) if not waiting.settle(outcome, last)]
                if batch:
                    await asyncio.sleep(client.options.backoff.wait(attempt))
        except Exception as why:
            for waiting in batch:
                waiting.fail(why)
