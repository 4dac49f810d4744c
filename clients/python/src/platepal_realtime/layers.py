"""A channel layer for Django Channels that publishes to the tier: existing `group_send` calls stay as they are.

    CHANNEL_LAYERS = {"default": {"BACKEND": "platepal_realtime.layers.RealtimeChannelLayer"}}

A group is a channel of the tier (`customer_7`, `restaurant_12`, `delivery_31`, `admin`, `chat_room_88`), a message an event: its `type`
is the event's, its `data` (or `message`, as chat sends it, or whatever else is in it) what clients get as `data`.

Invariant: what `group_send` has taken, clients get, or an exception says that they may not. In the mode `outbox`, which is the default
with the Django app, a message that is sent in a transaction is told when that is committed, and never when it is not.

What it does not do: consumers live in the tier, so nothing is received here. `send`, `receive`, `new_channel`, `group_add` and groups that
are no channels of the tier go to another layer if CONFIG names one (`"delegate": "old"`), and raise `NotHere` otherwise.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Optional

from asgiref.sync import AsyncToSync, sync_to_async
from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from .errors import InvalidEvent, Overloaded, did_you_mean
from .events import Event, channel_name
from .together import Together

#: How a message is sent: written to the outbox with the transaction; sent after the commit; sent at once.
MODES = ("outbox", "on_commit", "direct")
#: Messages of one process that may be on their way at once; one more raises `ChannelFull`.
CAPACITY = 1000
#: Keys of a message that are about the event and not in its data.
ENVELOPE = ("type", "event_id", "timestamp", "version", "key")
#: What CONFIG may say beside the keys that every layer knows.
CONFIG = ("mode", "delegate", "mirror", "capacity", "expiry", "channel_capacity", "timeout")


class NotHere(NotImplementedError):
    """Something that the tier does instead of this process."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} does nothing in RealtimeChannelLayer: {instead} Nothing was sent.")


_CONSUMERS = (
    "sockets are served by the tier, and a user reads the channels that it allows (grant others with "
    "platepal_realtime.django.revocation.grant). For consumers that still run in this process, name their layer in CONFIG: "
    "{'delegate': 'old'}."
)
_GROUPS = (
    "Groups of the tier are customer_{id}, restaurant_{id}, delivery_{id}, admin, chat_room_{id} and its own channel names with "
    "dots or underscores; for others name a layer in CONFIG: {'delegate': 'old'}."
)


def event_of(group: str, message: Mapping[str, Any]) -> Event:
    """The event that a group's message is.

    >>> event = event_of("delivery_31", {"type": "new_offer", "data": {"offer_id": "5"}, "event_id": "a-1"})
    >>> event.type, event.channels, event.payload, event.event_id
    ('job_offer', ('rider:31',), b'{"offer_id":"5"}', 'a-1')
    """
    if not isinstance(message, Mapping):
        raise TypeError(f"a message is a dict, not {type(message).__name__}")
    if not isinstance(message.get("type"), str):
        raise InvalidEvent("a message needs a type, e.g. {'type': 'order_updated', 'data': {…}}. Nothing was sent.", field="event.type")
    if "data" in message:
        data = message["data"]
    elif "message" in message:
        data = message["message"]
    else:
        data = {name: value for name, value in message.items() if name not in ENVELOPE}
    inside = data if isinstance(data, Mapping) else {}
    return Event.make(
        message["type"],
        data,
        group,
        # The broadcaster has it in its envelope as well: a repeat of its task must stay the same event.
        event_id=message.get("event_id") or inside.get("event_id"),
        timestamp=message.get("timestamp") or inside.get("timestamp"),
        version=_version(message.get("version") or inside.get("version")),
        key=message.get("key"),
    )


def _version(given: Any) -> str:
    # Of the payload's shape; a number in an order is the order's own.
    return given if isinstance(given, str) else ""


def channel_of(group: str) -> Optional[str]:
    """The tier's channel of a group; `None` when it is none. Channels allows no colon: `customer.7` is `customer:7`."""
    word, dot, identity = group.partition(".")
    try:
        return channel_name(f"{word}:{identity}" if dot else group)
    except InvalidEvent:
        return None


def problems_of_layer(alias: str, config: Any, layers: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with the CONFIG of a layer, a sentence each."""
    if not isinstance(config, dict):
        return [f"CONFIG must be a dict of {', '.join(CONFIG)}"]
    found = []
    for name in config:
        if name not in CONFIG:
            found.append(f"CONFIG: {name} is not known{did_you_mean(str(name), CONFIG)}")
    mode = config.get("mode")
    if mode is not None and mode not in MODES:
        found.append(f"CONFIG: mode {mode!r} must be one of {', '.join(MODES)}")
    delegate = config.get("delegate")
    if delegate is not None and (delegate not in layers or delegate == alias):
        found.append(f"CONFIG: delegate {delegate!r} must be the name of another layer in CHANNEL_LAYERS")
    if config.get("mirror") and delegate is None:
        found.append("CONFIG: mirror needs a delegate")
    capacity = config.get("capacity", CAPACITY)
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        found.append(f"CONFIG: capacity {capacity!r} must be a whole number of at least 1")
    return found


def _has_loop_to_itself() -> bool:
    """Whether this event loop was made by `async_to_sync` for the call that runs in it, and for nothing else.

    Then nobody minds that it stands still, and waiting as a thread does is twice as quick.
    """
    loop = asyncio.get_running_loop()
    return loop in AsyncToSync.loop_thread_executors and len(asyncio.all_tasks(loop)) == 1


class RealtimeChannelLayer(BaseChannelLayer):
    """See the module. CONFIG:

    - `mode`: `outbox` (default with the Django app and its outbox), `on_commit`, `direct`
    - `delegate`: another layer, for what the tier does not do; `mirror`: that layer gets messages of the tier's groups as well, for the
      time in which both serve sockets
    - `capacity`: messages on their way at once (1,000); one more raises `ChannelFull`
    - `timeout`: seconds for one message in the mode `direct`
    """

    extensions = ("groups",)

    def __init__(
        self,
        mode: Optional[str] = None,
        delegate: Optional[str] = None,
        mirror: bool = False,
        capacity: int = CAPACITY,
        timeout: Optional[float] = None,
        expiry: int = 60,
        channel_capacity: Optional[dict[Any, int]] = None,
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode {mode!r} must be one of {', '.join(MODES)}")
        self._mode, self._delegate, self._mirror, self._timeout = mode, delegate, mirror, timeout
        self._in_flight = 0
        self._of_thread = threading.local()

    @property
    def mode(self) -> str:
        """How messages are sent."""
        from .django.settings import current

        return self._mode or ("outbox" if current().outbox else "on_commit")

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Tells a group's readers; returns when the message is kept: by the tier, or by the outbox."""
        self._check_group(group)
        channel = channel_of(group)
        other = self._other()
        if channel is None:
            if other is None:
                raise NotHere(f"group_send to {group!r}", _GROUPS)
            await other.group_send(group, message)
            return
        event = event_of(channel, message)
        if self._in_flight >= self.capacity:
            raise ChannelFull(f"{self.capacity} messages are on their way (capacity); nothing was sent")
        self._in_flight += 1
        try:
            await self._publish(event)
        except Overloaded as why:
            raise ChannelFull(str(why)) from why
        finally:
            self._in_flight -= 1
        if self._mirror and other is not None:
            await other.group_send(group, message)

    async def _publish(self, event: Event) -> None:
        from .django import publishing
        from .django.settings import current

        if not current().enabled:
            return
        if self.mode == "direct":
            if _has_loop_to_itself():
                publishing.client().publish_event(event, timeout=self._timeout)
            else:
                await self._together().publish(event)
            return
        # In the thread that has the caller's transaction.
        await sync_to_async(publishing.keep, thread_sensitive=True)(event, outbox=self.mode == "outbox")

    def _together(self) -> Together:
        """The one of the event loop that runs here; a thread runs one at a time."""
        from .django.publishing import async_client

        mine: Optional[Together] = getattr(self._of_thread, "together", None)
        if mine is None or mine.loop is not asyncio.get_running_loop():
            mine = self._of_thread.together = Together(async_client, self._timeout)
        return mine

    def _check_group(self, group: Any) -> None:
        # Channels 4.1 renamed it.
        check = getattr(self, "require_valid_group_name", None) or self.valid_group_name
        # The tier's own names have a colon, which Channels does not allow.
        check(group.replace(":", ".", 1) if isinstance(group, str) else group)

    def _other(self) -> Any:
        if self._delegate is None:
            return None
        from channels.layers import channel_layers

        return channel_layers[self._delegate]

    def _consumers(self, what: str) -> Any:
        other = self._other()
        if other is None:
            raise NotHere(what, _CONSUMERS)
        return other

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        await self._consumers("send").send(channel, message)

    async def receive(self, channel: str) -> Any:
        return await self._consumers("receive").receive(channel)

    async def new_channel(self, prefix: str = "specific") -> Any:
        other = self._consumers("new_channel")
        return await other.new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        await self._consumers("group_add").group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._consumers("group_discard").group_discard(group, channel)

    async def flush(self) -> None:
        """Nothing is held here; the delegate's messages go."""
        other = self._other()
        if other is not None and "flush" in getattr(other, "extensions", ()):
            await other.flush()

    async def close(self) -> None:
        other = self._other()
        if other is not None and hasattr(other, "close"):
            await other.close()
