"""Durable feeds: each entry has its effect exactly once, whatever is killed."""

import threading

import pytest
from servers import until


def say(tier, room, count, first=0):
    tier.client.chat.PutRoom(
        room={
            "room_id": str(room),
            "type": "ROOM_TYPE_SUPPORT",
            "members": [{"user_id": "7", "role": "MEMBER_ROLE_CUSTOMER", "name": "Ada"}],
        }
    )
    for n in range(first, first + count):
        # As the platform: a user may say ten things in ten seconds.
        tier.client.chat.SendMessage(room_id=str(room), type="MESSAGE_TYPE_SYSTEM", content=f"{n}")


def texts(room):
    from shop.models import MirroredMessage

    rows = MirroredMessage.objects.filter(subject=str(room), kind="message").order_by("position", "id")
    return [row.data["content"] for row in rows]


@pytest.fixture
def chat_tier(own_tier):
    """A tier whose feed is this test's alone."""
    return own_tier.start()


def test_the_mirror_has_everything_once_over_kills_of_the_worker(make_site, chat_tier, fresh):
    from shop.models import MirroredMessage

    site, room = make_site(chat_tier.target), fresh()
    say(chat_tier, room, 30)
    for die_after in (3, 9, 10, 20):
        worker = site.feed("chat", SITE_DIE_AFTER=str(die_after))
        assert worker.child.wait(60) == -9, worker.output
        assert MirroredMessage.objects.count() == die_after - 1, "what was not committed had no effect"
    worker = site.feed("chat")
    until(lambda: len(texts(room)) >= 30, "the mirror has everything")
    say(chat_tier, room, 5, first=30)
    until(lambda: len(texts(room)) >= 35, "what comes later comes at once")
    assert texts(room) == [str(n) for n in range(35)]
    assert worker.terminate() == 0, worker.output


def test_a_worker_reads_on_after_a_restart_of_the_tier(make_site, chat_tier, fresh):
    site, room = make_site(chat_tier.target), fresh()
    worker = site.feed("chat")
    say(chat_tier, room, 5)
    until(lambda: len(texts(room)) == 5, "the first are here")
    chat_tier.kill()
    chat_tier.start()
    say(chat_tier, room, 5, first=5)
    until(lambda: len(texts(room)) == 10, "the others are here")
    assert texts(room) == [str(n) for n in range(10)]
    assert worker.terminate() == 0 and "Nothing is lost" in worker.output


def test_two_workers_of_one_feed_take_turns(settings_of, chat_tier, fresh):
    from django.db import connections

    from platepal_realtime.django.feeds import FeedWorker

    settings_of(TARGET=chat_tier.target, TIMEOUT=10.0)
    room, stop = fresh(), threading.Event()

    def take():
        FeedWorker("chat").run(stop)
        connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        say(chat_tier, room, 40)
        until(lambda: len(texts(room)) >= 40, "everything is here")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert sorted(texts(room), key=int) == [str(n) for n in range(40)]


def test_a_handler_that_fails_is_asked_again_and_nothing_of_it_stays(settings_of, chat_tier, fresh):
    from shop.handlers import mirror

    from platepal_realtime.django.feeds import FeedWorker

    settings_of(TARGET=chat_tier.target, TIMEOUT=10.0)
    room, failed = fresh(), []

    def fails_once(entry):
        mirror(entry)
        if entry.kind == "message" and entry.data["content"] == "2" and not failed:
            failed.append(entry.position)
            raise RuntimeError("no")

    say(chat_tier, room, 5)
    worker = FeedWorker("chat", fails_once)
    with pytest.raises(RuntimeError):
        worker.drain()
    assert texts(room) == ["0", "1"]
    assert worker.drain() >= 3
    assert texts(room) == [str(n) for n in range(5)] and failed


def test_what_the_tier_has_forgotten_or_never_had_is_a_gap_that_is_named(make_site, chat_tier, fresh):
    from platepal_realtime.django.models import FeedPosition

    site, room = make_site(chat_tier.target, TIMEOUT=10.0), fresh()
    say(chat_tier, room, 3)
    assert "took" in site.manage("realtime_feed", "chat", "--once").stdout
    FeedPosition.objects.update(position=10_000)
    refused = site.manage("realtime_feed", "chat", "--once", check=False)
    assert refused.returncode != 0 and "--accept-gap" in refused.stderr
    say(chat_tier, room, 2, first=3)
    site.manage("realtime_feed", "chat", "--once", "--accept-gap")
    assert texts(room) == [str(n) for n in range(5)]


def test_emails_and_text_messages_are_handed_over(make_site, chat_tier):
    from shop.models import MirroredMessage

    site = make_site(chat_tier.target, TIMEOUT=10.0)
    for n in range(3):
        chat_tier.client.notifications.Notify(
            user_id="7", type="REVIEW_REQUEST", title="How was it?", message=f"{n}", dedupe_key=f"review-{n}", ways=["WAY_EMAIL", "WAY_SMS"]
        )
    until(
        lambda: site.manage("realtime_feed", "notifications", "--once") and MirroredMessage.objects.count() >= 6, "all six were handed over"
    )
    kinds = sorted(row.kind for row in MirroredMessage.objects.all())
    assert kinds == ["email"] * 3 + ["sms"] * 3
