"""The central broadcaster and the direct call sites of the old application, as they were written for Channels and Redis."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from .models import Event


def broadcast(type, aggregate_type, aggregate_id, payload, *, customer_id=None, restaurant_id=None, rider_id=None, admin=False):
    """Stores an event, then sends it to several groups."""
    event = Event.objects.create(type=type, aggregate_type=aggregate_type, aggregate_id=str(aggregate_id), payload=payload)
    message = {
        "type": type.replace(".", "_"),
        "data": {
            "event_id": str(event.event_id),
            "type": event.type,
            "version": event.version,
            "timestamp": event.timestamp.isoformat(),
            "aggregate_type": event.aggregate_type,
            "aggregate_id": event.aggregate_id,
            "payload": event.payload,
        },
        "event_id": str(event.event_id),
        "timestamp": event.timestamp.isoformat(),
    }
    groups = []
    if customer_id:
        groups.append(f"customer_{customer_id}")
    if restaurant_id:
        groups.append(f"restaurant_{restaurant_id}")
    if rider_id:
        groups.append(f"delivery_{rider_id}")
    if admin:
        groups.append("admin")
    layer = get_channel_layer()
    for group in groups:
        async_to_sync(layer.group_send)(group, message)
    return event


def tell_room(room_id, message):
    """As the chat's consumer and its REST view sent."""
    async_to_sync(get_channel_layer().group_send)(f"chat_room_{room_id}", {"type": "chat_message", "message": message})


def tell_order(order):
    """A direct send of a view, with the serialiser's data."""
    async_to_sync(get_channel_layer().group_send)(
        f"customer_{order.customer_id}",
        {"type": "order_updated", "data": {"id": order.pk, "status": order.status, "total": order.total, "updated_at": order.updated_at}},
    )
