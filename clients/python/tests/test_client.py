"""Clients against a real tier: what is answered, repeated, bounded, and what survives a fork."""

import asyncio
import json
import os
import threading
import time

import pytest
from servers import API_KEY, until

from platepal_realtime import (
    AsyncClient,
    CircuitOpen,
    Client,
    ConfigurationError,
    DeadlineExceeded,
    Event,
    InvalidEvent,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    RealtimeError,
    Unavailable,
)
from platepal_realtime.v1 import chat_pb2, events_pb2_grpc


@pytest.fixture
def client(tier):
    with Client(target=tier.target, api_key=API_KEY, timeout=10) as client:
        yield client


def test_an_answer_means_that_every_channel_has_kept_it(tier, client, fresh):
    customer, restaurant = fresh(), fresh()
    answer = client.publish("promo.published", {"n": 1}, [f"customer_{customer}", f"restaurant:{restaurant}"])
    assert [kept.channel for kept in answer.kept] == [f"customer:{customer}", f"restaurant:{restaurant}"]
    for channel in (f"customer:{customer}", f"restaurant:{restaurant}"):
        (entry,) = tier.log(channel)
        assert (entry.event.event_id, json.loads(entry.event.payload)) == (answer.event_id, {"n": 1})


def test_a_repeat_with_the_same_event_id_changes_nothing(tier, client, fresh):
    customer = fresh()
    for _ in range(3):
        client.publish("menu.updated", {"n": 1}, f"customer:{customer}", event_id="the-same-" + str(customer))
    assert len(tier.log(f"customer:{customer}")) == 1


def test_a_batch_answers_for_each_event(tier, client, fresh):
    customer = fresh()
    good = Event.make("menu.updated", {"n": 1}, f"customer:{customer}")
    bad = Event("menu.updated", b"{", (f"customer:{customer}",))
    first, second, third = client.publish_batch([good, bad, Event.make("menu.updated", {"n": 2}, f"customer:{customer}")])
    assert first.error is None and third.error is None
    assert isinstance(second.error, InvalidRequest) and second.error.field == "event.payload"
    assert tier.payloads(f"customer:{customer}") == [{"n": 1}, {"n": 2}]


def test_every_service_is_there_by_its_name(client, fresh):
    room = str(fresh())
    client.chat.PutRoom(room={"room_id": room, "type": "ROOM_TYPE_SUPPORT", "members": [{"user_id": "7", "role": "MEMBER_ROLE_CUSTOMER"}]})
    sent = client.chat.SendMessage(room_id=room, sender_id="7", content="hello")
    assert client.chat.ListMessages(chat_pb2.ListMessagesRequest(room_id=room)).messages[0].id == sent.message.id
    client.tracking.StartShift(rider_id=room)
    assert client.notifications.CountUnread(user_id=room).unread == 0
    with pytest.raises(NotFound, match="was never published here"):
        client.orders.GetOrder(order_id=room)
    assert client.sessions.Edges().edges[0].answered
    with pytest.raises(AttributeError, match="PublishBatch"):
        client.events.Publsih()


def test_a_generated_stub_works_on_the_same_connection(client, fresh):
    stub = client.stub(events_pb2_grpc.EventsServiceStub)
    request = Event.make("menu.updated", {}, f"customer:{fresh()}").request()
    assert stub.Publish(request, metadata=client.metadata, timeout=5).event_id


def test_what_the_tier_would_refuse_is_refused_before_it_is_sent(nowhere):
    client = Client(target=nowhere)
    with pytest.raises(InvalidEvent) as refused:
        client.publish("Order Accepted", {"total": float("nan")}, ["kitchen:1", "customer:7"], event_id="a b")
    for part in ("Order Accepted", "not JSON", "kitchen:1", "a b"):
        assert part in str(refused.value)
    with pytest.raises(InvalidEvent, match="the limit is 65536"):
        client.publish("menu.updated", "x" * 70_000, "admin")


def test_errors_say_what_to_do(tier):
    with pytest.raises(PermissionDenied, match="Set API_KEY to a key of REALTIME_API_KEYS"):
        Client(target=tier.target, api_key="another").publish("menu.updated", {}, "admin")
    with pytest.raises(ConfigurationError) as wrong:
        Client(target="http://realtime:50051", timeout=0, in_flight_max=0)
    for part in ("TARGET", "TIMEOUT", "IN_FLIGHT_MAX"):
        assert part in str(wrong.value)


def test_a_tier_that_is_away_costs_no_more_than_the_deadline_and_soon_nothing(nowhere):
    client = Client(target=nowhere, timeout=0.5, breaker_failures=4)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="may not have been kept"):
        client.publish("menu.updated", {}, "admin")
    assert time.monotonic() - started < 1.0
    with pytest.raises(CircuitOpen):
        for _ in range(4):
            client.publish("menu.updated", {}, "admin")
    assert not client.is_answering
    started = time.monotonic()
    with pytest.raises(CircuitOpen, match="Nothing was kept"):
        client.publish("menu.updated", {}, "admin")
    assert time.monotonic() - started < 0.05


def test_a_tier_that_hangs_costs_no_more_than_the_deadline():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(target=f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.4)
        started = time.monotonic()
        with pytest.raises((DeadlineExceeded, Unavailable)):
            client.publish("menu.updated", {}, "admin")
        assert time.monotonic() - started < 1.0


def test_a_call_survives_a_restart_of_the_tier(own_tier, fresh):
    own_tier.start()
    client = Client(target=own_tier.target, api_key=API_KEY, timeout=30, attempts_max=1000, breaker_failures=0)
    channel = f"customer:{fresh()}"
    client.publish("menu.updated", {"n": 0}, channel)
    own_tier.kill()
    publisher = threading.Thread(target=lambda: client.publish("menu.updated", {"n": 1}, channel))
    publisher.start()
    own_tier.start()
    publisher.join(30)
    assert own_tier.payloads(channel) == [{"n": 0}, {"n": 1}]


def test_the_circuit_closes_when_the_tier_is_back(own_tier):
    client = Client(target=own_tier.target, api_key=API_KEY, timeout=0.3, breaker_failures=1, breaker_open_seconds=0.05)
    with pytest.raises(Unavailable):
        client.publish("menu.updated", {}, "admin")
    own_tier.start()

    def published():
        try:
            return client.publish("menu.updated", {}, "admin")
        except Unavailable:
            return None

    until(published, "the tier is called again")
    assert client.is_answering


def test_calls_in_flight_are_bounded():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = AsyncClient(target=f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.5, in_flight_max=3, breaker_failures=0)

        async def many():
            calls = [client.publish("menu.updated", {}, "admin") for _ in range(8)]
            return await asyncio.gather(*calls, return_exceptions=True)

        kinds = [type(result) for result in asyncio.run(many())]
        assert kinds.count(Overloaded) == 5


def test_one_client_serves_many_event_loops_and_threads(tier, fresh):
    client = AsyncClient(target=tier.target, api_key=API_KEY, timeout=10)
    channel = f"customer:{fresh()}"
    errors = []

    def loops(thread):
        try:
            for n in range(5):
                asyncio.run(client.publish("menu.updated", {"thread": thread, "n": n}, channel))
        except RealtimeError as why:
            errors.append(why)

    threads = [threading.Thread(target=loops, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(tier.log(channel)) == 20


def test_a_cancelled_task_cancels_its_call():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = AsyncClient(target=f"127.0.0.1:{silent.getsockname()[1]}", timeout=30)

        async def give_up():
            await asyncio.wait_for(client.publish("menu.updated", {}, "admin"), 0.2)

        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(give_up())


def test_an_async_client_tails_a_channel(tier, client, fresh):
    channel = f"customer:{fresh()}"
    for n in range(3):
        client.publish("menu.updated", {"n": n}, channel)
    follower = AsyncClient(target=tier.target, api_key=API_KEY)

    async def read():
        seen = []
        async for item in follower.tail(channel, retained=True):
            if item.HasField("entry"):
                seen.append(json.loads(item.entry.event.payload)["n"])
            if len(seen) == 3:
                break
        return seen

    assert asyncio.run(read()) == [0, 1, 2]


def test_a_process_that_forks_while_it_publishes_leaves_children_that_publish(tier, client, fresh):
    channel, children = f"customer:{fresh()}", f"customer:{fresh()}"
    stop = threading.Event()

    def load():
        while not stop.is_set():
            client.publish("menu.updated", {}, channel)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(6):
            child = os.fork()
            if child == 0:
                try:
                    client.publish("menu.updated", {"n": n}, children)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    client.publish("menu.updated", {}, channel)
    assert [payload["n"] for payload in tier.payloads(children)] == list(range(6))
