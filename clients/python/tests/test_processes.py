"""Whole processes: gunicorn, Uvicorn, Celery, relays; killed, restarted, and without a tier."""

import itertools
import sys
import threading
import time

import pytest
from servers import post, until


def numbers(tier, channel):
    return [payload["n"] for payload in tier.payloads(channel)]


def test_a_view_that_rolls_back_leaves_no_ghost_and_one_that_commits_is_told_at_once(make_site, tier, fresh):
    site = make_site(tier.target)
    _, url = site.gunicorn(workers=2)
    site.relay()
    customer, restaurant = fresh(), fresh()
    with tier.socket(f"/ws/customer/{customer}", tier.token(customer)) as socket:
        status, _ = post(f"{url}/accept", {"customer": customer, "restaurant": restaurant, "n": 0, "fail": True})
        assert status == 200
        started = time.monotonic()
        assert post(f"{url}/accept", {"customer": customer, "restaurant": restaurant, "n": 1})[0] == 200
        frame = socket.recv(timeout=20)
        took = time.monotonic() - started
    assert '"type":"order_accepted"' in frame and '"n":1' in frame
    assert took < 5, "a relay that hears of a commit does not wait for its next look"
    (payload,) = tier.payloads(f"restaurant:{restaurant}")
    assert payload["payload"]["n"] == 1 and payload["aggregate_type"] == "order"


def test_django_killed_between_commit_and_relay_loses_nothing(make_site, tier, fresh):
    site = make_site(tier.target)
    server, url = site.gunicorn(workers=2)
    customer = fresh()
    for n in range(5):
        assert post(f"{url}/keep", {"customer": customer, "n": n})[0] == 200
    server.kill()
    assert tier.log(f"customer:{customer}") == []
    assert "sent 5" in site.manage("realtime_relay", "--once").stdout
    assert numbers(tier, f"customer:{customer}") == list(range(5))


def test_relays_that_are_killed_again_and_again_neither_lose_nor_repeat_nor_reorder(make_site, tier, fresh):
    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent

    site = make_site(tier.target)
    channels, total, stop = [f"customer:{fresh()}" for _ in range(4)], 300, threading.Event()

    def kill():
        while not stop.is_set():
            relays = [site.relay(), site.relay()]
            # Whatever they are doing then: how long they live is how far the first of them got.
            seen = sum(len(tier.log(channel)) for channel in channels)
            until(lambda seen=seen: stop.is_set() or sum(len(tier.log(channel)) for channel in channels) > seen, "something was told")
            for relay in relays:
                relay.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for n in range(total):
            publish_on_commit("menu.updated", {"n": n}, [channels[n % 4], channels[(n + 1) % 4]])
        waiting = OutboxEvent.objects.filter(state=OutboxEvent.State.WAITING)
        until(lambda: waiting.count() == 0, "everything is sent", patience=100)
    finally:
        stop.set()
        killer.join()
    for place, channel in enumerate(channels):
        assert numbers(tier, channel) == [n for n in range(total) if place in (n % 4, (n + 1) % 4)]


def test_without_a_tier_requests_go_on_and_later_everything_comes_in_order_once(make_site, own_tier, fresh):
    site = make_site(own_tier.target, TIMEOUT=0.5)
    _, url = site.gunicorn(workers=2)
    relay = site.relay()
    customer = fresh()
    for n in range(20):
        assert post(f"{url}/keep", {"customer": customer, "n": n})[0] == 200
    assert post(f"{url}/publish", {"customer": customer, "n": -1})[0] == 500, "a direct publish is told"
    own_tier.start()
    channel = f"customer:{customer}"
    until(lambda: len(own_tier.log(channel)) >= 10, "some of it comes")
    own_tier.kill()
    for n in range(20, 30):
        assert post(f"{url}/keep", {"customer": customer, "n": n})[0] == 200
    own_tier.start()
    until(lambda: len(own_tier.log(channel)) >= 30, "all of it comes")
    assert numbers(own_tier, channel) == list(range(30))
    assert relay.terminate() == 0, relay.output
    assert "nothing is lost" in relay.output and "the tier answers again" in relay.output


def test_every_worker_of_gunicorn_publishes_over_a_connection_of_its_own(make_site, tier, fresh):
    site = make_site(tier.target, TIMEOUT=10.0)
    _, url = site.gunicorn(workers=4)
    customer, pids, sent, errors = fresh(), set(), itertools.count(), []

    def ask():
        # Which worker takes a connection is the kernel's choice: on until all were asked.
        while len(pids) < 4 and not errors:
            n = next(sent)
            status, body = post(f"{url}/publish", {"customer": customer, "n": n})
            pids.add(body["pid"]) if status == 200 else errors.append(body)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(numbers(tier, f"customer:{customer}")) == list(range(next(sent)))


def test_a_parent_that_has_published_forks_workers_that_publish(make_site, tier, fresh):
    """gunicorn with --preload and a publish while the application is loaded, as a ready() that announces itself would do."""
    site = make_site(tier.target, TIMEOUT=10.0)
    customer = fresh()
    code = (
        "import django, os; django.setup()\n"
        "from platepal_realtime.django import publish\n"
        f"publish('menu.updated', {{'n': 0}}, 'customer:{customer}')\n"
        "children = []\n"
        "for n in range(1, 5):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        f"        publish('menu.updated', {{'n': n}}, 'customer:{customer}'); os._exit(0)\n"
        "    children.append(pid)\n"
        "print([os.waitpid(pid, 0)[1] for pid in children])\n"
        f"publish('menu.updated', {{'n': 5}}, 'customer:{customer}')\n"
    )
    process = site.start("forks", sys.executable, "-c", code)
    assert process.child.wait(60) == 0, process.output
    assert "[0, 0, 0, 0]" in process.output
    assert sorted(numbers(tier, f"customer:{customer}")) == [0, 1, 2, 3, 4, 5]


def test_async_views_under_uvicorn(make_site, tier, fresh):
    site = make_site(tier.target, TIMEOUT=10.0, layer={"mode": "direct"})
    _, url = site.uvicorn()
    one, two = fresh(), fresh()
    with tier.socket(f"/ws/customer/{one}", tier.token(one)) as socket:
        for n in range(5):
            assert post(f"{url}/accept-async", {"customer": one, "n": n})[0] == 200
        assert '"type":"menu_updated"' in socket.recv(timeout=20)
    assert numbers(tier, f"customer:{one}") == list(range(5))
    threads = [threading.Thread(target=post, args=(f"{url}/publish-async", {"customer": two, "n": n})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(tier, f"customer:{two}")) == list(range(20))


def test_an_async_view_may_write_to_the_outbox(make_site, tier, fresh):
    site = make_site(tier.target)
    _, url = site.uvicorn()
    customer = fresh()
    assert post(f"{url}/accept-async", {"customer": customer, "n": 1})[0] == 200
    assert tier.log(f"customer:{customer}") == []
    assert "sent 1" in site.manage("realtime_relay", "--once").stdout
    assert numbers(tier, f"customer:{customer}") == [1]


def test_celerys_prefork_workers_publish_and_relay(make_site, tier, fresh):
    site = make_site(tier.target, RELAY="celery", TIMEOUT=10.0)
    _, url = site.gunicorn(workers=1)
    site.celery(concurrency=2)
    customer, restaurant = fresh(), fresh()
    for n in range(12):
        assert post(f"{url}/later", {"customer": customer, "restaurant": restaurant, "n": n})[0] == 200
    own, told = f"customer:{customer}", f"restaurant:{restaurant}"
    until(lambda: len(tier.log(told)) == 12 and len(tier.log(own)) == 24, "tasks ran and relays sent what they wrote")
    pids = {payload["pid"] for payload in tier.payloads(own) if "pid" in payload}
    assert len(pids) == 2, "both children published"
    assert sorted(payload["payload"]["n"] for payload in tier.payloads(told)) == list(range(12))


def test_a_relay_ends_when_it_is_told_to_and_names_what_is_off(make_site, tier):
    relay = make_site(tier.target).relay()
    assert relay.terminate() == 0
    off = make_site(tier.target, ENABLED=False).manage("realtime_relay", "--once", check=False)
    assert off.returncode != 0 and "realtime is off" in off.stderr


@pytest.mark.slow
def test_a_relay_survives_a_database_that_goes_away(make_site, tier, fresh):
    from django.db import connection

    from platepal_realtime.django import publish_on_commit

    relay = make_site(tier.target).relay()
    customer = fresh()
    publish_on_commit("menu.updated", {"n": 1}, f"customer:{customer}")
    until(lambda: len(tier.log(f"customer:{customer}")) == 1, "the first is told")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'")
    publish_on_commit("menu.updated", {"n": 2}, f"customer:{customer}")
    until(lambda: len(tier.log(f"customer:{customer}")) == 2, "the second is told")
    assert relay.terminate() == 0, relay.output
