"""Views that publish in the ways in which the old application does, and in the new ones."""

import json
import os

from channels.layers import get_channel_layer
from django.db import transaction
from django.http import JsonResponse
from rest_framework import serializers, viewsets
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from platepal_realtime.django import apublish, publish, publish_on_commit
from platepal_realtime.django.polling import PollingMixin
from platepal_realtime.django.tokens import RealtimeRefreshMixin, RealtimeTokenMixin

from .broadcaster import broadcast
from .models import Order
from .tasks import accept_later


def _order(body):
    order = Order.objects.create(customer_id=body["customer"], restaurant_id=body["restaurant"], status=body.get("status", "ACCEPTED"))
    payload = {"id": order.pk, "status": order.status, "total": str(order.total), "n": body.get("n")}
    type = body.get("type", "order.accepted")
    broadcast(type, "order", order.pk, payload, customer_id=order.customer_id, restaurant_id=order.restaurant_id)
    return order


@transaction.atomic
def accept(request):
    """A sync view, in a transaction, with the old broadcaster."""
    body = json.loads(request.body)
    order = _order(body)
    if body.get("fail"):
        transaction.set_rollback(True)
    return JsonResponse({"order": order.pk, "pid": os.getpid()})


async def accept_async(request):
    """An async view with an async send, outside of any transaction."""
    body = json.loads(request.body)
    data = {"n": body.get("n"), "customer": body["customer"]}
    await get_channel_layer().group_send(f"customer_{body['customer']}", {"type": "menu_updated", "data": data})
    return JsonResponse({"pid": os.getpid()})


async def publish_async(request):
    body = json.loads(request.body)
    answer = await apublish("menu.updated", {"n": body.get("n")}, f"customer:{body['customer']}")
    return JsonResponse({"event_id": answer.event_id, "pid": os.getpid()})


def publish_now(request):
    """Publishes directly: what an outage costs a request is seen here."""
    body = json.loads(request.body)
    answer = publish("menu.updated", {"n": body.get("n")}, f"customer:{body['customer']}")
    return JsonResponse({"event_id": answer.event_id, "pid": os.getpid()})


def keep(request):
    body = json.loads(request.body)
    with transaction.atomic():
        event = publish_on_commit("menu.updated", {"n": body.get("n")}, f"customer:{body['customer']}")
        if body.get("fail"):
            transaction.set_rollback(True)
    return JsonResponse({"event_id": event.event_id, "pid": os.getpid()})


def place(request):
    """What most views do: a row in a transaction, and its news when the body says so."""
    body = json.loads(request.body)
    with transaction.atomic():
        order = Order.objects.create(customer_id=body["customer"], restaurant_id=body["restaurant"])
        data = OrderSerializer(order).data
        if body["publish"]:
            publish_on_commit("order.created", data, [f"customer:{order.customer_id}", f"restaurant:{order.restaurant_id}"])
    return JsonResponse(data)


def later(request):
    """Hands the work to Celery."""
    accept_later.delay(json.loads(request.body))
    return JsonResponse({"pid": os.getpid()})


class TokenSerializer(RealtimeTokenMixin, TokenObtainPairSerializer):
    pass


class RefreshSerializer(RealtimeRefreshMixin, TokenRefreshSerializer):
    pass


class TokenView(TokenObtainPairView):
    serializer_class = TokenSerializer


class RefreshView(TokenRefreshView):
    serializer_class = RefreshSerializer


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ["id", "status", "updated_at"]


class OrderView(PollingMixin, viewsets.ReadOnlyModelViewSet):
    authentication_classes = ()
    permission_classes = ()
    queryset = Order.objects.all()
    serializer_class = OrderSerializer
