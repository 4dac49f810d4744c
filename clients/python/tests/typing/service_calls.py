"""What a type checker knows of calls to the tier. Nobody runs this: mypy reads it, and fails where a type is another one, or where
something that is marked as wrong (`type: ignore`) is not found to be.
"""

import datetime

from typing_extensions import assert_type

from platepal_realtime import AsyncClient, Client
from platepal_realtime.calls import Stream
from platepal_realtime.v1.chat_pb2 import GetRoomRequest, GetRoomResponse, ListMessagesResponse, SendMessageResponse
from platepal_realtime.v1.domain_pb2 import GrantResponse
from platepal_realtime.v1.events_pb2 import PublishResponse, TailResponse
from platepal_realtime.v1.orders_pb2 import GetOrderResponse, OrderStatus, PublishOrderResponse
from platepal_realtime.v1.services import ChatService
from platepal_realtime.v1.tracking_pb2 import ReportFixesRequest, ReportFixesResponse


def right(client: Client) -> None:
    assert_type(client.orders.GetOrder(order_id="5012"), GetOrderResponse)
    assert_type(client.orders.GetOrder(order_id="5012", timeout=0.5).order.status, OrderStatus)
    assert_type(client.orders.PublishOrder(update={"order_id": "5012"}, channels=["customer:7"]), PublishOrderResponse)
    assert_type(client.chat.GetRoom(GetRoomRequest(room_id="88"), timeout=1), GetRoomResponse)
    assert_type(client.chat.SendMessage(room_id="88", sender_id="7", content="hello").message.content, str)
    assert_type(client.sessions.Grant(user_id="7", channel="chat:88", expires_at=datetime.datetime.now()), GrantResponse)
    assert_type(client.tracking.StreamFixes([ReportFixesRequest(rider_id="31")]), Stream[ReportFixesResponse])
    assert_type(client.publish("menu.updated", {}, "menu:12"), PublishResponse)
    for item in client.tail("customer:7"):
        assert_type(item, TailResponse)
    client.events.Tail(channel="customer:7").close()


async def right_in_an_event_loop(client: AsyncClient) -> None:
    assert_type(await client.chat.ListMessages(room_id="88"), ListMessagesResponse)
    assert_type(await client.publish("menu.updated", {}, "menu:12"), PublishResponse)
    async for item in client.events.Tail(channel="customer:7"):
        assert_type(item, TailResponse)


def of_ones_own(chat: ChatService) -> SendMessageResponse:
    return chat.SendMessage(room_id="88")


def wrong(client: Client) -> None:
    assert client.ordrs  # type: ignore[attr-defined]
    client.orders.GetOrdr()  # type: ignore[attr-defined]
    client.orders.GetOrder(order="5012")  # type: ignore[call-overload]
    client.orders.GetOrder(order_id=5012)  # type: ignore[call-overload]
    client.chat.GetRoom(GetRoomRequest(), room_id="88")  # type: ignore[call-overload]
    client.chat.GetRoom(ReportFixesRequest())  # type: ignore[call-overload]
    client.tracking.StreamFixes(rider_id="31")  # type: ignore[call-arg]
    assert client.orders.GetOrder(order_id="5012").ordr  # type: ignore[attr-defined]
    of_ones_own(client.orders)  # type: ignore[arg-type]


async def wrong_in_an_event_loop(client: AsyncClient) -> None:
    assert client.chat.ListMessages(room_id="88").messages  # type: ignore[attr-defined]
