"""The channel layer: call sites of the time of Channels reach real sockets, and what Channels says of layers holds where it is claimed."""

import asyncio
import datetime
import decimal
import json
import uuid

import pytest
from servers import until


@pytest.fixture
def layer(db, tier):
    from platepal_realtime.layers import RealtimeChannelLayer

    return RealtimeChannelLayer(mode="direct", timeout=10)


def frame(socket):
    return json.loads(socket.recv(timeout=20))


def send(layer, group, message):
    from asgiref.sync import async_to_sync

    async_to_sync(layer.group_send)(group, message)


def test_sync_and_async_sends_reach_a_socket_in_the_shape_that_frontends_read(layer, tier, fresh):
    customer = fresh()
    with tier.socket(f"/ws/customer/{customer}", tier.token(customer)) as socket:
        send(
            layer,
            f"customer_{customer}",
            {"type": "order_updated", "data": {"note": "sync"}, "event_id": "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11"},
        )
        first = frame(socket)
        asyncio.run(layer.group_send(f"customer_{customer}", {"type": "order.updated", "data": {"note": "async"}}))
        second = frame(socket)
    assert list(first) == ["type", "data", "event_id", "timestamp", "version"]
    assert (first["type"], first["data"], first["version"]) == ("order_updated", {"note": "sync"}, "1.0")
    assert first["event_id"] == "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11"
    assert datetime.datetime.fromisoformat(first["timestamp"]).tzinfo
    assert (second["type"], second["data"]) == ("order_updated", {"note": "async"})
    assert uuid.UUID(second["event_id"]), "an id was made"


@pytest.mark.parametrize(
    ("sent", "reaches"),
    [
        ("new_offer", "job_offer"),
        ("order_assigned", "delivery_assigned"),
        ("rider_assigned", "delivery_assigned"),
        ("offer.declined", "offer_declined"),
        ("offer_accepted", "offer_accepted"),
        ("loyalty.points_earned", "loyalty_points_earned"),
    ],
)
def test_types_reach_a_rider_under_the_names_that_clients_know(layer, tier, fresh, sent, reaches):
    rider = fresh()
    with tier.socket(f"/ws/delivery/{rider}", tier.token(rider, role="DELIVERY")) as socket:
        send(layer, f"delivery_{rider}", {"type": sent, "data": {"offer_id": "5"}})
        got = frame(socket)
    assert (got["type"], got["data"]) == (reaches, {"offer_id": "5"})


def test_every_group_of_the_old_server_is_a_feed(layer, tier, fresh):
    restaurant, room = fresh(), fresh()
    tier.client.chat.PutRoom(
        room={
            "room_id": str(room),
            "type": "ROOM_TYPE_SUPPORT",
            "members": [{"user_id": "7", "role": "MEMBER_ROLE_CUSTOMER", "name": "Ada"}],
        }
    )
    for path, group, token in (
        (f"/ws/orders/{restaurant}", f"restaurant_{restaurant}", tier.token(8, role="RESTAURANT", restaurant_ids=[restaurant])),
        ("/ws/admin/", "admin", tier.token(9, role="ADMIN")),
        (f"/ws/chat/{room}/", f"chat_room_{room}", tier.token(7)),
    ):
        mark = fresh()
        with tier.socket(path, token) as socket:
            send(layer, group, {"type": "system_alert", "data": {"mark": mark}})
            got = until(lambda socket=socket, mark=mark: (f := frame(socket))["data"].get("mark") == mark and f, "the alert comes")
        assert got["type"] == "system_alert"


def test_a_chat_message_reaches_the_room_under_data(layer, tier, fresh):
    room = fresh()
    tier.client.chat.PutRoom(
        room={
            "room_id": str(room),
            "type": "ROOM_TYPE_SUPPORT",
            "members": [{"user_id": "7", "role": "MEMBER_ROLE_CUSTOMER", "name": "Ada"}],
        }
    )
    message = {"id": 5, "room": room, "sender": 7, "content": "hello", "image_url": None, "is_read": False}
    with tier.socket(f"/ws/chat/{room}", tier.token(7)) as socket:
        send(layer, f"chat_room_{room}", {"type": "chat_message", "message": message})
        got = until(lambda: (f := frame(socket))["type"] == "chat_message" and f, "the message comes")
    assert got["data"] == message


def test_a_place_of_a_rider_is_a_value_and_its_key_is_found(layer, tier, fresh):
    customer = fresh()
    place = {"delivery_id": 5, "order_id": 6, "rider_id": 31, "location": {"latitude": 60.1, "longitude": 24.9}, "eta_minutes": 7}
    with tier.socket(f"/ws/customer/{customer}", tier.token(customer)) as socket:
        send(layer, f"customer_{customer}", {"type": "rider_location", "data": {"type": "rider_location", "payload": place}})
        assert frame(socket)["data"]["payload"] == place
        send(layer, f"customer_{customer}", {"type": "rider_location", **place})
        assert frame(socket)["data"] == place


def test_what_django_rest_framework_serialises_goes_as_it_writes_it(layer, tier, fresh):
    from django.utils.translation import gettext_lazy

    customer, identity = fresh(), uuid.uuid4()
    moment = datetime.datetime(2026, 11, 24, 11, 30, 0, 123456, tzinfo=datetime.timezone.utc)
    data = {
        "total": decimal.Decimal("12.50"),
        "id": identity,
        "at": moment,
        "day": moment.date(),
        "label": gettext_lazy("Yes"),
        "ids": (1, 2),
    }
    before = dict(data)
    send(layer, f"customer_{customer}", {"type": "order_updated", "data": data})
    (got,) = tier.payloads(f"customer:{customer}")
    assert got == {
        "total": "12.50", "id": str(identity), "at": "2026-11-24T11:30:00.123456Z", "day": "2026-11-24", "label": "Yes", "ids": [1, 2],
    }  # fmt: skip
    assert data == before, "a message is not changed by being sent"


def test_one_event_to_several_groups_by_several_sends_reaches_all_of_them(layer, tier, fresh):
    customer, restaurant, order = fresh(), fresh(), fresh()
    message = {
        "type": "order_accepted",
        "data": {"event_id": f"e-{order}", "type": "order.accepted", "version": "1.0", "aggregate_type": "order",
                 "aggregate_id": str(order),
                 "payload": {"id": order, "status": "ACCEPTED"}},
    }  # fmt: skip
    for group in (f"customer_{customer}", f"restaurant_{restaurant}", f"customer_{customer}"):
        send(layer, group, message)
    ((first,), (second,)) = tier.log(f"customer:{customer}"), tier.log(f"restaurant:{restaurant}")
    assert first.event.event_id == f"e-{order}", "the id in the envelope is the event's"
    assert json.loads(first.event.payload) == json.loads(second.event.payload) == message["data"]


# What Channels says of channel layers


@pytest.mark.parametrize("group", ["", "a b", "¯\\_(ツ)_/¯", "x" * 100, 7, None])
def test_a_bad_group_name_is_a_type_error(layer, group):
    with pytest.raises(TypeError):
        send(layer, group, {"type": "menu.updated"})


@pytest.mark.parametrize("message", ["text", ["type"], None, b"{}"])
def test_a_message_is_a_dict(layer, fresh, message):
    with pytest.raises(TypeError):
        send(layer, f"customer_{fresh()}", message)


def test_a_message_has_a_type_and_can_be_json(layer, fresh):
    from platepal_realtime import InvalidEvent

    for message in (
        {"data": {}},
        {"type": 5},
        {"type": "menu.updated", "data": {"file": object()}},
        {"type": "menu.updated", "data": b"\xff"},
    ):
        with pytest.raises((InvalidEvent, ValueError)):
            send(layer, f"customer_{fresh()}", message)


def test_a_full_layer_says_so(db, nowhere):
    import socket

    from channels.exceptions import ChannelFull
    from django.conf import settings
    from django.test import override_settings

    from platepal_realtime.layers import RealtimeChannelLayer

    layer = RealtimeChannelLayer(mode="direct", capacity=2, timeout=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with override_settings(PLATEPAL_REALTIME={**settings.PLATEPAL_REALTIME, "TARGET": target}):

            async def many():
                sends = [layer.group_send("admin", {"type": "system_alert", "data": {}}) for _ in range(5)]
                return await asyncio.gather(*sends, return_exceptions=True)

            kinds = [type(result) for result in asyncio.run(many())]
    assert kinds.count(ChannelFull) == 3


def test_what_the_tier_does_instead_raises_and_says_what_to_use(layer):
    from platepal_realtime.layers import NotHere

    for call in (
        lambda: layer.group_add("customer_7", "specific.x!y"),
        lambda: layer.group_discard("customer_7", "specific.x!y"),
        lambda: layer.new_channel(),
        lambda: layer.receive("specific.x!y"),
        lambda: layer.send("worker", {"type": "x"}),
        lambda: layer.group_send("kitchen_5", {"type": "x"}),
    ):
        with pytest.raises(NotHere, match="'delegate': 'old'"):
            asyncio.run(call())
    assert "groups" in layer.extensions


def test_a_delegate_serves_what_the_tier_does_not_and_a_mirror_both(db, tier, fresh):
    from channels.layers import channel_layers

    from platepal_realtime.layers import RealtimeChannelLayer

    layer = RealtimeChannelLayer(mode="direct", delegate="memory", mirror=True, timeout=10)
    customer = fresh()

    async def story():
        channel = await layer.new_channel()
        await layer.group_add("kitchen_5", channel)
        await layer.group_add(f"customer_{customer}", channel)
        await layer.group_send("kitchen_5", {"type": "bell"})
        assert await layer.receive(channel) == {"type": "bell"}
        await layer.group_send(f"customer_{customer}", {"type": "order_updated", "data": {"n": 1}})
        assert await layer.receive(channel) == {"type": "order_updated", "data": {"n": 1}}
        await layer.send(channel, {"type": "own"})
        assert (await layer.receive(channel))["type"] == "own"

    asyncio.run(story())
    assert tier.payloads(f"customer:{customer}") == [{"n": 1}]
    assert channel_layers["memory"]


def test_in_a_transaction_a_message_waits_in_the_outbox_and_a_rollback_leaves_none(realtime, tier, fresh):
    from channels.layers import get_channel_layer
    from django.db import transaction
    from shop.broadcaster import broadcast
    from shop.models import Event

    from platepal_realtime.django.relay import Relay

    layer, customer, restaurant = get_channel_layer(), fresh(), fresh()
    assert layer.mode == "outbox"
    with pytest.raises(RuntimeError), transaction.atomic():
        broadcast("order.accepted", "order", fresh(), {"status": "ACCEPTED"}, customer_id=customer, restaurant_id=restaurant)
        raise RuntimeError
    with transaction.atomic():
        event = broadcast("order.accepted", "order", fresh(), {"status": "ACCEPTED"}, customer_id=customer, restaurant_id=restaurant)
        assert tier.log(f"customer:{customer}") == []
    assert Event.objects.count() == 1
    Relay().drain()
    for channel in (f"customer:{customer}", f"restaurant:{restaurant}"):
        (entry,) = tier.log(channel)
        assert entry.event.event_id == str(event.event_id)


def test_a_tier_that_is_away_raises_where_a_message_is_sent_at_once(db, nowhere):
    from django.conf import settings
    from django.test import override_settings

    from platepal_realtime import Unavailable
    from platepal_realtime.layers import RealtimeChannelLayer

    away = override_settings(PLATEPAL_REALTIME={**settings.PLATEPAL_REALTIME, "TARGET": nowhere, "TIMEOUT": 0.3})
    with away, pytest.raises(Unavailable):
        send(RealtimeChannelLayer(mode="direct"), "admin", {"type": "system_alert", "data": {}})
