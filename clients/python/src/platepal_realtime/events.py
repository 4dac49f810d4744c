"""An event as Django has it, checked as the tier will check it.

Invariant: pure. What passes here passes the tier, so that a mistake shows in the code that made it and not in a relay later.
The rules are those of the tier's `events` crate: names of channels, types, sizes.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Optional, Union

from .errors import InvalidEvent
from .v1 import event_pb2, events_pb2

#: Bytes of one payload, as JSON.
PAYLOAD_BYTES_MAX = 64 * 1024
#: Channels of one event.
CHANNELS_MAX = 100
#: Events of one batch.
BATCH_EVENTS_MAX = 500

_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_TYPE = re.compile(r"^(?=.{1,64}$)[a-z0-9_]+(\.[a-z0-9_]+)*$")
_VERSION = re.compile(r"^[A-Za-z0-9._-]{1,16}$")
_GEOHASH = re.compile(r"^[0-9b-hjkmnp-z]{1,12}$")
_TRACEPARENT = re.compile(r"^[0-9a-fA-F-]{55}$")

#: Kinds of channels with an id after the colon, and those without.
WITH_ID = frozenset({"customer", "restaurant", "rider", "chat", "menu", "order", "track", "area", "inbox"})
WITHOUT_ID = frozenset({"admin", "all"})
#: Names under which the old server took an event, and the name under which clients know it.
ALIASES = {"new_offer": "job_offer", "order_assigned": "delivery.assigned", "rider_assigned": "delivery.assigned"}
#: Types of which only the newest value of a key counts, and the fields that are looked at for the key.
KEYS_OF_LATEST: dict[str, tuple[str, ...]] = {
    "rider_location": ("rider_id", "delivery_id"),
    "rider_left": ("rider_id", "delivery_id"),
    "chat_read": ("user_id",),
    "typing": ("user_id",),
}


def channel_name(name: str) -> str:
    """The tier's name of a channel, from it or from a group of Django Channels.

    >>> [channel_name(name) for name in ("customer:7", "delivery_31", "chat_room_88", "admin")]
    ['customer:7', 'rider:31', 'chat:88', 'admin']
    """
    if not isinstance(name, str):
        raise InvalidEvent(f"channels: {name!r} is not text", field="channels")
    if ":" in name:
        word, _, identity = name.partition(":")
    elif name.startswith("chat_room_"):
        word, identity = "chat", name[len("chat_room_") :]
    else:
        word, _, identity = name.partition("_")
    # `delivery` is what Django calls a rider's feed.
    word = "rider" if word == "delivery" else word
    shown = name[:80]
    if word in WITHOUT_ID:
        if word != name:
            raise InvalidEvent(f"channels: {shown!r}: {word} has no id", field="channels")
        return word
    if word not in WITH_ID:
        kinds = ", ".join(sorted(WITH_ID | WITHOUT_ID))
        raise InvalidEvent(f"channels: {shown!r} is not a channel: it starts with none of {kinds}", field="channels")
    if word == "area" and not _GEOHASH.match(identity):
        raise InvalidEvent(f"channels: {shown!r}: an area is a geohash of 1-12 characters", field="channels")
    if not _ID.match(identity):
        raise InvalidEvent(f"channels: {shown!r}: an id is 1-64 characters of A-Z a-z 0-9 _ -", field="channels")
    return f"{word}:{identity}"


def _plain(value: Any) -> Any:
    """What JSON does not know, as Django REST framework writes it."""
    if isinstance(value, datetime.datetime):
        text = value.isoformat()
        return text[:-6] + "Z" if text.endswith("+00:00") else text
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value.total_seconds())
    if isinstance(value, (Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    # Django's lazy translations.
    if hasattr(value, "__html__") or type(value).__name__ == "__proxy__":
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be JSON")


_JSON = json.JSONEncoder(default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def to_json(data: Any) -> bytes:
    """Data as compact JSON; raises `InvalidEvent` for what can't be."""
    try:
        return _JSON.encode(data).encode()
    except (TypeError, ValueError, RecursionError) as why:
        raise InvalidEvent(f"payload: not JSON: {why}. Nothing was sent: pass plain data.", field="event.payload") from why


def make_id() -> str:
    """Names a new event; a retry must carry the same name."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Event:
    """One event and the channels that are told of it.

    >>> event = Event.make("order.accepted", {"order_id": 5012}, ["customer:7", "restaurant_12"])
    >>> event.channels, event.payload
    (('customer:7', 'restaurant:12'), b'{"order_id":5012}')
    """

    type: str
    payload: bytes
    channels: tuple[str, ...]
    event_id: str = field(default_factory=make_id)
    timestamp: Optional[datetime.datetime] = None
    version: str = ""
    key: str = ""
    traceparent: str = ""

    @classmethod
    def make(
        cls,
        type: str,
        data: Any,
        channels: Union[str, Iterable[str]],
        *,
        event_id: Union[str, uuid.UUID, None] = None,
        timestamp: Union[datetime.datetime, str, None] = None,
        version: str = "",
        key: Optional[str] = None,
        traceparent: str = "",
    ) -> Event:
        """An event of plain data; raises `InvalidEvent` with everything that is wrong with it.

        `data` reaches clients as `data`; bytes are taken as JSON already. `timestamp` without a zone is taken as UTC. `key` is
        for types of which only the newest value counts; without one it is looked for in the data.
        """
        problems: list[InvalidEvent] = []

        def check(ok: object, where: str, why: str) -> None:
            if not ok:
                problems.append(InvalidEvent(f"{where}: {why}", field=f"event.{where}"))

        type = ALIASES.get(type, type)
        check(
            isinstance(type, str) and _TYPE.match(type),
            "type",
            f"{type!r} is not 1-64 characters of a-z 0-9 _ and dots between",
        )
        identity = make_id() if event_id in (None, "") else str(event_id)
        check(_ID.match(identity), "event_id", f"{identity[:80]!r} is not 1-64 characters of A-Z a-z 0-9 _ -")
        check(
            not version or _VERSION.match(version),
            "version",
            f"{version!r} is not 1-16 characters of A-Z a-z 0-9 . _ -",
        )
        check(not traceparent or _TRACEPARENT.match(traceparent), "traceparent", "must be as W3C Trace Context says")
        payload = b""
        try:
            payload = data if isinstance(data, bytes) else to_json(data)
        except InvalidEvent as why:
            problems.append(why)
        size = len(payload)
        check(
            size <= PAYLOAD_BYTES_MAX,
            "payload",
            f"{size} bytes, the limit is {PAYLOAD_BYTES_MAX}: send an id, and let clients fetch the rest",
        )
        if isinstance(key, (int, uuid.UUID)) and not isinstance(key, bool):
            key = str(key)
        if type in KEYS_OF_LATEST:
            key = key or _key(KEYS_OF_LATEST[type], data)
            check(
                key and _ID.match(key),
                "key",
                f"{type} needs one of {' or '.join(KEYS_OF_LATEST[type])} in its data, or key=",
            )
        else:
            check(not key, "key", f"events of type {type!r} are kept one by one and have none")
        moment = None
        try:
            moment = _moment(timestamp)
        except ValueError as why:
            check(False, "timestamp", str(why))
        names: list[str] = []
        given = [channels] if isinstance(channels, str) else list(channels)
        for name in given:
            try:
                names.append(channel_name(name))
            except InvalidEvent as why:
                problems.append(why)
        # `customer:7` and `customer_7` are one channel, told once.
        unique = tuple(dict.fromkeys(names))
        if not given or len(given) > CHANNELS_MAX:
            problems.append(InvalidEvent(f"channels: {len(given)}, must be 1 to {CHANNELS_MAX}", field="channels"))
        if problems:
            said = "; ".join(str(problem) for problem in problems)
            raise InvalidEvent(f"this event can't be published: {said}. Nothing was sent or kept.", field=problems[0].field)
        return cls(type, payload, unique, identity, moment, version, key or "", traceparent)

    def request(self) -> events_pb2.PublishRequest:
        """As the tier takes it."""
        message = event_pb2.Event(
            event_id=self.event_id,
            type=self.type,
            payload=self.payload,
            version=self.version,
            key=self.key,
            traceparent=self.traceparent,
        )
        if self.timestamp is not None:
            message.timestamp.FromDatetime(self.timestamp)
        return events_pb2.PublishRequest(event=message, channels=self.channels)


def _key(fields: tuple[str, ...], data: Any) -> str:
    """The key of a value, from its data or, in the broadcaster's envelope, from the payload in it."""
    if not isinstance(data, Mapping):
        return ""
    inner = data.get("payload")
    places = [data, inner] if isinstance(inner, Mapping) else [data]
    for name in fields:
        for place in places:
            if place.get(name) not in (None, ""):
                return str(place[name])
    return ""


def _moment(value: Union[datetime.datetime, str, None]) -> Optional[datetime.datetime]:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
    if not isinstance(value, datetime.datetime):
        raise ValueError(f"{value!r} is not a datetime")
    if value.tzinfo is None:
        return value.replace(tzinfo=datetime.timezone.utc)
    return value.astimezone(datetime.timezone.utc)
