"""Drives the HTTP API with the package cent, synchronously and asynchronously.

Arguments: the API's address, a key, and the id of a connected client of user 7, which is disconnected at the end.
"""

import asyncio
import sys

from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    Disconnect,
    DisconnectRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
)


def synchronous(url: str, key: str, client_id: str) -> None:
    client = Client(url, key)
    first = client.publish(
        PublishRequest(channel="customer:7", data={"n": 1}, idempotency_key="cent-1")
    )
    again = client.publish(
        PublishRequest(channel="customer:7", data={"n": 1}, idempotency_key="cent-1")
    )
    assert first.offset and (first.offset, first.epoch) == (again.offset, again.epoch)
    broadcast = client.broadcast(
        BroadcastRequest(channels=["customer:7", "customer:8"], data={"n": 2})
    )
    assert all(response.result.offset for response in broadcast.responses)
    page = client.history(
        HistoryRequest(
            channel="customer:7",
            limit=10,
            since=StreamPosition(offset=first.offset, epoch=first.epoch),
        )
    )
    assert [publication.data["data"] for publication in page.publications] == [{"n": 2}]
    presence = client.presence(PresenceRequest(channel="customer:7"))
    assert presence.presence[client_id].user == "7"
    assert client.presence_stats(PresenceStatsRequest(channel="customer:7")).num_clients == 1
    assert "customer:7" in client.channels(ChannelsRequest(pattern="customer:*")).channels
    assert client.info(InfoRequest()).nodes[0].num_clients == 1
    batch = client.batch(
        BatchRequest(
            requests=[
                PublishRequest(channel="customer:7", data={"n": 3}),
                PresenceStatsRequest(channel="customer:7"),
            ]
        )
    )
    assert batch.replies[0].offset and batch.replies[1].num_users == 1
    try:
        client.publish(PublishRequest(channel="kitchen:1", data={}))
    except CentApiResponseError as error:
        assert error.code == 102, error
    else:
        raise AssertionError("a channel that there is not")
    try:
        Client(url, "a-key-that-nobody-gave-out").info(InfoRequest())
    except CentUnauthorizedError:
        pass
    else:
        raise AssertionError("a key that there is not")


async def asynchronous(url: str, key: str, client_id: str) -> None:
    client = AsyncClient(url, key)
    published = await client.publish(PublishRequest(channel="customer:7", data={"n": 4}))
    assert published.offset
    await client.subscribe(SubscribeRequest(user="7", channel="chat:88"))
    await client.unsubscribe(UnsubscribeRequest(user="7", channel="chat:88"))
    await client.refresh(RefreshRequest(user="7", expire_at=4_000_000_000))
    await client.disconnect(
        DisconnectRequest(
            user="7",
            client=client_id,
            disconnect=Disconnect(code=4321, reason="by cent"),
        )
    )
    await client.close()


if __name__ == "__main__":
    synchronous(*sys.argv[1:])
    asyncio.run(asynchronous(*sys.argv[1:]))
    print("done")
