"""Frontends without sockets: polls that cost little and miss nothing, and whether they are needed."""

from urllib.parse import quote

import pytest


@pytest.fixture
def browser(realtime):
    from django.test import Client

    return Client()


def test_a_poll_without_news_is_a_304_and_news_are_not(browser):
    from shop.models import Order

    order = Order.objects.create(customer_id=1, restaurant_id=2)
    first = browser.get("/orders")
    assert [row["id"] for row in first.json()] == [order.pk]
    tag = first.headers["ETag"]
    second = browser.get("/orders", headers={"If-None-Match": tag})
    assert second.status_code == 304 and second.headers["ETag"] == tag and not second.content
    order.status = "READY"
    order.save()
    third = browser.get("/orders", headers={"If-None-Match": tag})
    assert third.json()[0]["status"] == "READY" and third.headers["ETag"] != tag
    order.delete()
    assert browser.get("/orders", headers={"If-None-Match": third.headers["ETag"]}).json() == []


def test_since_gives_what_changed_at_that_moment_or_later(browser):
    from shop.models import Order

    orders = [Order.objects.create(customer_id=1, restaurant_id=2) for _ in range(3)]
    since = orders[1].updated_at.isoformat()
    assert [row["id"] for row in browser.get(f"/orders?since={quote(since)}").json()] == [order.pk for order in orders[1:]]
    assert len(browser.get(f"/orders?since={since}").json()) == 2, "a plus that was not escaped"
    refused = browser.get("/orders?since=yesterday")
    assert refused.status_code == 400 and "RFC 3339" in refused.json()["since"]


def test_frontends_are_told_whether_realtime_is_on(settings_of, nowhere):
    from django.test import Client

    from platepal_realtime import Unavailable
    from platepal_realtime.django import publish

    browser = Client()
    settings_of(PUBLIC_URL="wss://realtime.example/ws")
    assert browser.get("/realtime/health").json() == {
        "enabled": True, "available": True, "url": "wss://realtime.example/ws", "poll_seconds": 60.0,
    }  # fmt: skip
    settings_of(TARGET=nowhere, TIMEOUT=0.2, BREAKER_FAILURES=1, BREAKER_OPEN_SECONDS=30.0)
    with pytest.raises(Unavailable):
        publish("menu.updated", {}, "admin")
    away = browser.get("/realtime/health").json()
    assert (away["enabled"], away["available"], away["poll_seconds"]) == (True, False, 10.0)
    settings_of(ENABLED=False)
    off = browser.get("/realtime/health")
    assert off.json()["enabled"] is False and off.json()["url"] == "" and off.headers["Cache-Control"] == "no-store"
