"""The outbox: what a transaction leaves, in which order it is sent, what becomes of outages, kills and refusals."""

import random
import threading

import pytest
from servers import Tier, free_port, post, until


def waiting():
    from platepal_realtime.django.models import OutboxEvent

    return OutboxEvent.objects.filter(state=OutboxEvent.State.WAITING)


def test_a_rollback_publishes_nothing_and_a_commit_everything(realtime, tier, fresh):
    from django.db import transaction

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    channel = f"customer:{fresh()}"
    with pytest.raises(RuntimeError), transaction.atomic():
        publish_on_commit("menu.updated", {"n": "ghost"}, channel)
        raise RuntimeError
    with transaction.atomic():
        publish_on_commit("menu.updated", {"n": 1}, channel)
        with pytest.raises(RuntimeError), transaction.atomic():
            publish_on_commit("menu.updated", {"n": "ghost of a savepoint"}, channel)
            raise RuntimeError
    publish_on_commit("menu.updated", {"n": 2}, channel)
    assert Relay().drain().sent == 2
    assert tier.payloads(channel) == [{"n": 1}, {"n": 2}]


def test_the_time_of_an_event_is_when_it_happened_and_not_when_it_was_sent(realtime, tier, fresh):
    from django.utils import timezone

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    channel, before = f"customer:{fresh()}", timezone.now()
    publish_on_commit("menu.updated", {}, channel)
    written = timezone.now()
    Relay().drain()
    (entry,) = tier.log(channel)
    assert before.timestamp() - 0.001 <= entry.event.timestamp.ToNanoseconds() / 1e9 <= written.timestamp() + 0.001


def test_an_outage_keeps_everything_and_its_end_brings_it_in_order_once(settings_of, own_tier, fresh):
    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    settings_of(TARGET=own_tier.target, OUTBOX_TIMEOUT=10.0)
    channels = [f"customer:{fresh()}" for _ in range(3)]
    own_tier.start()
    publish_on_commit("menu.updated", {"n": -1}, channels)
    assert Relay().drain().sent == 1
    own_tier.kill()
    for n in range(30):
        publish_on_commit("menu.updated", {"n": n}, random.sample(channels, 2) if n % 3 else channels)
    done = Relay().drain()
    assert done.sent == 0 and done.error is not None and waiting().count() == 30
    own_tier.start()
    assert Relay().drain().sent == 30
    for channel in channels:
        numbers = [payload["n"] for payload in own_tier.payloads(channel)]
        assert numbers == sorted(set(numbers)) and numbers[0] == -1


def test_a_relay_that_dies_after_the_tier_kept_an_event_sends_it_again_and_it_is_told_once(realtime, tier, fresh, monkeypatch):
    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    channel = f"customer:{fresh()}"
    publish_on_commit("menu.updated", {"n": 1}, channel)

    class Killed(BaseException):
        pass

    def die(self, ids):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "_note_sent", die)
        with pytest.raises(Killed):
            Relay().once()
    assert len(tier.log(channel)) == 1 and waiting().count() == 1
    assert Relay().drain().sent == 1
    assert len(tier.log(channel)) == 1 and waiting().count() == 0


def test_what_can_never_succeed_becomes_a_dead_letter_and_lets_others_pass(settings_of, tier, fresh):
    from django.core.management import call_command

    from platepal_realtime.django import publish_on_commit, signals
    from platepal_realtime.django.models import OutboxEvent
    from platepal_realtime.django.relay import Relay

    settings_of(OUTBOX_REFUSALS_MAX=2)
    channel, other = f"customer:{fresh()}", f"customer:{fresh()}"
    event = publish_on_commit("menu.updated", {"n": 1}, channel)
    # What no version of this package lets in; a newer tier may refuse what an older client takes for good.
    OutboxEvent.objects.filter(event_id=event.event_id).update(payload=b"{")
    publish_on_commit("menu.updated", {"n": 2}, channel)
    publish_on_commit("menu.updated", {"n": 3}, other)
    told = []
    signals.event_dead.connect(receiver := lambda outbox_event, error, **_: told.append((outbox_event.event_id, error.field)))
    try:
        first = Relay().once()
        assert (first.sent, first.refused, first.dead) == (1, 1, 0), "others pass, the same channel waits"
        assert tier.payloads(other) == [{"n": 3}] and tier.payloads(channel) == []
        until(lambda: Relay().drain() and waiting().count() == 0, "the refused one is dead and the next was sent")
    finally:
        signals.event_dead.disconnect(receiver)
    assert told == [(event.event_id, "event.payload")]
    assert tier.payloads(channel) == [{"n": 2}]
    row = OutboxEvent.objects.get(event_id=event.event_id)
    assert row.state == OutboxEvent.State.DEAD and "not JSON" in row.note
    OutboxEvent.objects.filter(pk=row.pk).update(payload=b'{"n":1}')
    call_command("realtime_dead", row.pk, replay=True)
    assert Relay().drain().sent == 1
    assert tier.payloads(channel) == [{"n": 2}, {"n": 1}]


def test_a_wrong_key_holds_everything_and_kills_nothing(settings_of, fresh):
    from platepal_realtime import PermissionDenied
    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    settings_of(API_KEY="another", OUTBOX_REFUSALS_MAX=1)
    publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
    for _ in range(3):
        assert isinstance(Relay().drain().error, PermissionDenied)
    assert waiting().count() == 1


def test_several_relays_share_the_work_and_no_event_overtakes_another_of_its_channel(realtime, tier, fresh):
    from django.db import connections

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay

    seed = random.randrange(10**6)
    dice = random.Random(seed)
    channels = [f"customer:{fresh()}" for _ in range(12)]
    total, done, sent = 400, threading.Event(), []

    def relay():
        try:
            mine = Relay()
            mine.settings = mine.settings.__class__(**{**mine.settings.__dict__, "outbox_batch": 7})
            while not done.is_set():
                sent.append(mine.once().sent)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(total):
        publish_on_commit("menu.updated", {"n": n}, dice.sample(channels, dice.randint(1, 3)))
    try:
        until(lambda: waiting().count() == 0, f"everything is sent (seed {seed})")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert sum(sent) == total
    for channel in channels:
        numbers = [payload["n"] for payload in tier.payloads(channel)]
        assert numbers == sorted(set(numbers)), f"{channel} (seed {seed})"


def test_rows_that_another_relay_holds_hold_what_shares_a_channel(realtime, tier, fresh):
    from django.db import connections, transaction

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent
    from platepal_realtime.django.relay import Relay

    one, two, three = (f"customer:{fresh()}" for _ in range(3))
    first = publish_on_commit("menu.updated", {"n": 1}, one)
    publish_on_commit("menu.updated", {"n": 2}, [one, two])
    publish_on_commit("menu.updated", {"n": 3}, two)
    publish_on_commit("menu.updated", {"n": 4}, three)
    held, go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(OutboxEvent.objects.select_for_update().filter(event_id=first.event_id))
            held.set()
            go.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        assert Relay().drain().sent == 1
        assert tier.payloads(three) == [{"n": 4}] and tier.payloads(two) == []
    finally:
        go.set()
        thread.join()
    assert Relay().drain().sent == 3
    assert tier.payloads(two) == [{"n": 2}, {"n": 3}]


def test_sent_rows_are_forgotten_when_their_time_is_over(settings_of, fresh):
    import datetime

    from django.utils import timezone

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent
    from platepal_realtime.django.relay import Relay, forget_sent

    settings_of(OUTBOX_RETENTION_HOURS=1.0)
    for _ in range(3):
        publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
    Relay().drain()
    assert forget_sent() == 0
    OutboxEvent.objects.update(sent_at=timezone.now() - datetime.timedelta(hours=2))
    publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
    assert forget_sent() == 3 and OutboxEvent.objects.count() == 1


def test_without_the_outbox_it_is_sent_after_the_commit_and_a_failure_is_told(settings_of, tier, nowhere, fresh):
    from django.db import transaction

    from platepal_realtime.django import publish_on_commit, signals

    settings_of(OUTBOX=False, TIMEOUT=5.0)
    channel = f"customer:{fresh()}"
    with transaction.atomic():
        publish_on_commit("menu.updated", {"n": 1}, channel)
        assert tier.log(channel) == []
    assert tier.payloads(channel) == [{"n": 1}]
    settings_of(OUTBOX=False, TARGET=nowhere, TIMEOUT=0.3)
    failed = []
    signals.publish_failed.connect(receiver := lambda event, error, **_: failed.append(event.event_id))
    with transaction.atomic():
        event = publish_on_commit("menu.updated", {"n": 2}, channel)
    signals.publish_failed.disconnect(receiver)
    assert failed == [event.event_id]


def test_the_relay_may_be_the_request_itself(settings_of, tier, fresh):
    from django.db import transaction

    from platepal_realtime.django import publish_on_commit

    settings_of(RELAY="inline", TIMEOUT=5.0)
    channel = f"customer:{fresh()}"
    with transaction.atomic():
        publish_on_commit("menu.updated", {"n": 1}, channel)
    assert tier.payloads(channel) == [{"n": 1}] and waiting().count() == 0


def test_off_means_that_nothing_is_sent_and_nothing_written(settings_of, nowhere, fresh):
    from platepal_realtime.django import publish, publish_on_commit
    from platepal_realtime.django.models import OutboxEvent

    settings_of(ENABLED=False, TARGET=nowhere)
    assert publish("menu.updated", {}, f"customer:{fresh()}") is None
    publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
    assert OutboxEvent.objects.count() == 0


def test_what_could_never_be_published_is_refused_where_it_is_made(realtime):
    from platepal_realtime import InvalidEvent
    from platepal_realtime.django import publish_on_commit

    with pytest.raises(InvalidEvent, match="Nothing was sent or kept"):
        publish_on_commit("menu.updated", {"file": object()}, "kitchen_1")
    assert waiting().count() == 0


def test_counters_are_there_for_prometheus(realtime, tier, fresh):
    import prometheus_client

    from platepal_realtime import measure
    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.relay import Relay, measure_outbox

    before = measure.value("platepal_realtime_outbox_relayed_total", result="sent")
    publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
    assert measure_outbox()["waiting"] == 1
    Relay().drain()
    assert measure.value("platepal_realtime_outbox_relayed_total", result="sent") == before + 1
    text = prometheus_client.generate_latest().decode()
    assert 'platepal_realtime_calls_total{method="EventsService/PublishBatch",result="ok"}' in text
    assert "platepal_realtime_outbox_waiting 1.0" in text


def test_operators_see_what_the_outbox_holds(realtime, settings_of, fresh):
    import httpx

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent
    from platepal_realtime.django.relay import Relay

    address, password = f"127.0.0.1:{free_port()}", "a password of operators"
    tier = Tier(REALTIME_CONSOLE_ADDR=address, REALTIME_CONSOLE_PASSWORD=password)
    try:
        tier.start()
        settings_of(TARGET=tier.target)
        publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
        OutboxEvent.objects.update(state=OutboxEvent.State.DEAD)
        publish_on_commit("menu.updated", {}, f"customer:{fresh()}")
        operator = httpx.Client(base_url=f"http://{address}")
        assert operator.post("/api/login", json={"password": password}).status_code == 204
        assert operator.get("/api/outboxes").json()["outboxes"] == []
        stop, relay = threading.Event(), Relay()
        working = threading.Thread(target=relay.run, args=(stop,))
        working.start()
        try:
            until(lambda: operator.get("/api/outboxes").json()["outboxes"], "the relay reports")
        finally:
            stop.set()
            working.join()
        (report,) = operator.get("/api/outboxes").json()["outboxes"]
        assert (report["name"], report["dead"]) == (relay.using, 1)
        assert (report["waiting"], report["relayed"]) in [(0, 1), (1, 0)]
    finally:
        tier.close()


def test_the_admin_shows_dead_letters_and_sends_them_again(realtime, fresh):
    from django.test import Client
    from shop.models import User

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent

    User.objects.create_superuser("ada", password="secret")
    browser = Client()
    assert browser.login(username="ada", password="secret")
    publish_on_commit("menu.updated", {"dish": "soup"}, f"customer:{fresh()}")
    row = OutboxEvent.objects.get()
    OutboxEvent.objects.update(state=OutboxEvent.State.DEAD, note="not JSON")
    page = browser.get("/admin/platepal_realtime/outboxevent/").content.decode()
    assert "not JSON" in page and "menu.updated" in page
    assert "soup" in browser.get(f"/admin/platepal_realtime/outboxevent/{row.pk}/change/").content.decode()
    browser.post("/admin/platepal_realtime/outboxevent/", {"action": "send_again", "_selected_action": [row.pk]})
    assert waiting().count() == 1


def test_order_in_the_old_world_survives_the_new_one_on_sqlite(make_sqlite_site, tier, fresh):
    """SQLite: a lease lets one relay work; two that run at once neither repeat nor reorder."""
    site = make_sqlite_site(tier.target)
    channel = fresh()
    _, url = site.gunicorn(workers=2)
    relays = [site.relay() for _ in range(2)]
    for n in range(20):
        assert post(f"{url}/keep", {"customer": channel, "n": n})[0] == 200
        post(f"{url}/keep", {"customer": channel, "n": "ghost", "fail": True})
    until(lambda: len(tier.log(f"customer:{channel}")) == 20, "everything is told")
    assert [payload["n"] for payload in tier.payloads(f"customer:{channel}")] == list(range(20))
    for relay in relays:
        assert relay.terminate() == 0, relay.output
    assert "sent 0" in site.manage("realtime_relay", "--once").stdout


def test_what_is_chosen_leaves_nothing_behind_that_comes_before_it(django):
    from django.utils import timezone

    from platepal_realtime.django.models import OutboxEvent
    from platepal_realtime.django.relay import choose

    for seed in range(200):
        dice = random.Random(seed)
        rows = [OutboxEvent(id=n, channels=dice.sample("abcdef", dice.randint(1, 3))) for n in range(dice.randint(0, 30))]
        mine = {row.id for row in rows if dice.random() < 0.8}
        chosen = choose(rows, mine, timezone.now(), 20)
        assert [row.id for row in chosen] == sorted(row.id for row in chosen) and {row.id for row in chosen} <= mine
        for row in chosen:
            earlier = [other for other in rows if other.id < row.id and set(other.channels) & set(row.channels)]
            assert all(other in chosen for other in earlier), (seed, row.id)


def test_one_event_for_several_groups_is_one_row_while_its_transaction_is_open(realtime, tier, fresh):
    from django.db import transaction

    from platepal_realtime.django import publish_on_commit
    from platepal_realtime.django.models import OutboxEvent

    one, two, three = (f"customer:{fresh()}" for _ in range(3))

    def send(channel, n=1, event_id="same"):
        publish_on_commit("menu.updated", {"n": n}, channel, event_id=f"{event_id}-{one[9:]}")

    with transaction.atomic():
        send(one)
        with pytest.raises(RuntimeError), transaction.atomic():
            send(two)
            raise RuntimeError
        send(three)
        send(one, n=2, event_id="other")
        send(two)
    send(three, event_id="third")
    send(one, event_id="third")
    assert [row.channels for row in OutboxEvent.objects.order_by("id")] == [[one, three], [one], [two], [three], [one]]


def test_on_sqlite_another_relay_takes_over_from_one_that_was_killed(make_sqlite_site, tier, fresh):
    site = make_sqlite_site(tier.target, OUTBOX_TIMEOUT=0.5)
    _, url = site.gunicorn(workers=1)
    killed = site.relay()
    customer = fresh()
    post(f"{url}/keep", {"customer": customer, "n": 0})
    until(lambda: len(tier.log(f"customer:{customer}")) == 1, "the first relay works")
    killed.kill()
    heir = site.relay()
    post(f"{url}/keep", {"customer": customer, "n": 1})
    until(lambda: len(tier.log(f"customer:{customer}")) == 2, "the other took over")
    assert heir.terminate() == 0, heir.output
