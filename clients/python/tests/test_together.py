"""Events that are published at once go together: each is answered by itself, and the order of a channel holds."""

import asyncio
import json
import threading

import grpc
import pytest
from asgiref.sync import async_to_sync
from servers import API_KEY, Tier

from platepal_realtime import AsyncClient, Event, InvalidRequest, Unavailable, measure
from platepal_realtime.client import Published
from platepal_realtime.together import Together, _Waiting


@pytest.fixture
def layer(db, tier):
    from platepal_realtime.layers import RealtimeChannelLayer

    return RealtimeChannelLayer(mode="direct", timeout=30)


def message(n, **more):
    return {"type": "menu.updated", "data": {"n": n, **more}}


def numbers(tier: Tier, channel):
    return [payload["n"] for payload in tier.payloads(channel)]


def calls():
    return measure.value("platepal_realtime_calls_total", method="EventsService/PublishBatch")


@pytest.mark.parametrize("run", [lambda many: asyncio.run(many()), lambda many: async_to_sync(many)()], ids=["loop", "async_to_sync"])
def test_messages_sent_at_once_take_few_calls_and_keep_the_order_of_each_channel(layer, tier, fresh, run):
    customers = [fresh() for _ in range(15)]

    async def many():
        await asyncio.gather(*(layer.group_send(f"customer_{customer}", message(n)) for n in range(20) for customer in customers))

    before = calls()
    run(many)
    assert 0 < calls() - before < 20
    for customer in customers:
        assert numbers(tier, f"customer:{customer}") == list(range(20))


def test_a_message_that_is_refused_costs_the_others_nothing(layer, tier, fresh):
    group = f"customer_{fresh()}"
    bad = {"type": "menu.updated", "data": b"{"}

    async def three():
        sends = [layer.group_send(group, sent) for sent in (message(1), bad, message(2))]
        return await asyncio.gather(*sends, return_exceptions=True)

    first, second, third = asyncio.run(three())
    assert first is None and third is None
    assert isinstance(second, InvalidRequest) and second.field == "event.payload"
    assert numbers(tier, group.replace("_", ":")) == [1, 2]


def test_large_messages_go_in_several_calls_in_order(layer, tier, fresh):
    group = f"customer_{fresh()}"

    async def many():
        await asyncio.gather(*(layer.group_send(group, message(n, text="x" * 50_000)) for n in range(30)))

    before = calls()
    asyncio.run(many())
    assert calls() - before > 1
    assert numbers(tier, group.replace("_", ":")) == list(range(30))


def test_a_message_that_is_given_up_before_it_left_is_not_sent(layer, tier, fresh):
    group = f"customer_{fresh()}"

    async def story():
        given_up = asyncio.ensure_future(layer.group_send(group, message(1)))
        kept = asyncio.ensure_future(layer.group_send(group, message(2)))
        await asyncio.sleep(0)
        given_up.cancel()
        await kept

    asyncio.run(story())
    assert numbers(tier, group.replace("_", ":")) == [2]


def test_one_event_to_two_groups_at_once_reaches_both(layer, tier, fresh):
    customer, restaurant, order = fresh(), fresh(), str(fresh())
    data = {"id": order, "status": "ACCEPTED"}
    sent = {"type": "order.accepted", "data": data, "event_id": f"e-{order}"}

    async def two():
        await asyncio.gather(*(layer.group_send(group, sent) for group in (f"customer_{customer}", f"restaurant_{restaurant}")))

    asyncio.run(two())
    for channel in (f"customer:{customer}", f"restaurant:{restaurant}"):
        assert tier.payloads(channel) == [data]


def test_event_loops_of_several_threads_send_at_once(layer, tier, fresh):
    customers = [fresh() for _ in range(4)]

    async def many(customer):
        await asyncio.gather(*(layer.group_send(f"customer_{customer}", message(n)) for n in range(30)))

    threads = [threading.Thread(target=asyncio.run, args=(many(customer),)) for customer in customers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for customer in customers:
        assert numbers(tier, f"customer:{customer}") == list(range(30))


def test_a_kill_of_the_tier_leaves_every_event_once_and_in_order(own_tier, fresh):
    own_tier.start()
    channels = [f"customer:{fresh()}" for _ in range(12)]

    async def story():
        client = AsyncClient(target=own_tier.target, api_key=API_KEY, timeout=60, attempts_max=1000, breaker_failures=0)
        together = Together(lambda: client)
        events = [Event.make("menu.updated", {"n": n}, channel) for n in range(60) for channel in channels]
        sends = [asyncio.ensure_future(together.publish(event)) for event in events]
        # Some were answered, others are on their way.
        await sends[200]
        await asyncio.to_thread(own_tier.kill)
        await asyncio.to_thread(own_tier.start)
        await asyncio.gather(*sends)
        client.close()

    asyncio.run(story())
    for channel in channels:
        assert [json.loads(entry.event.payload)["n"] for entry in own_tier.log(channel)] == list(range(60))


def test_what_the_tier_could_not_take_just_then_is_sent_again_and_refusals_are_not():
    async def story():
        event = Event.make("menu.updated", {}, "admin")
        away = Published(event, None, Unavailable("away", code=grpc.StatusCode.UNAVAILABLE))
        waiting = _Waiting(event, asyncio.get_running_loop().create_future(), 0.0)
        assert not waiting.settle(away, last=False) and not waiting.answer.done()
        assert waiting.settle(away, last=True) and waiting.answer.exception() is away.error
        refused = _Waiting(event, asyncio.get_running_loop().create_future(), 0.0)
        no = Published(event, None, InvalidRequest("no", code=grpc.StatusCode.INVALID_ARGUMENT))
        assert refused.settle(no, last=False) and refused.answer.exception() is no.error

    asyncio.run(story())
