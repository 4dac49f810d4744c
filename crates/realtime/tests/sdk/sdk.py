"""Drives the official Python SDK for tests: a command per line in; answers and events, a line each, out.

Knows nothing of what is tested. Payloads are JSON on both sides, whatever the connection's encoding is.
"""

import asyncio
import itertools
import json
import sys

from centrifuge import (
    Client,
    ClientEventHandler,
    StreamPosition,
    SubscriptionEventHandler,
    UnauthorizedError,
)

LINE_BYTES_MAX = 1 << 24

clients = {}
asked = {}
# Tasks that run by themselves; the event loop alone would forget them.
running = set()
numbers = itertools.count(1)


def tell(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def spawn(work):
    task = asyncio.get_running_loop().create_task(work)
    running.add(task)
    task.add_done_callback(running.discard)


async def ask(client, channel=None):
    number = next(numbers)
    asked[number] = asyncio.get_running_loop().create_future()
    tell({"client": client, "event": "asked", "ask": number, "channel": channel})
    return await asked[number]


class Own:
    """One client, and its payloads as its encoding wants them."""

    def __init__(self, name, client, protobuf):
        self.name, self.client, self.protobuf = name, client, protobuf

    def write(self, data):
        return json.dumps(data).encode() if self.protobuf else data

    def read(self, data):
        return json.loads(data) if self.protobuf and data else data or None

    def person(self, info):
        return {"client": info.client, "user": info.user, "info": self.read(info.conn_info)}

    def publication(self, publication):
        return {"offset": publication.offset, "data": self.read(publication.data)}

    def tell(self, event, **rest):
        tell({"client": self.name, "event": event, **rest})

    def subscribed(self, context, **rest):
        position = context.stream_position
        self.tell(
            "subscribed",
            channel=context.channel,
            recoverable=context.recoverable,
            positioned=context.positioned,
            wasRecovering=context.was_recovering,
            recovered=context.recovered,
            data=self.read(context.data),
            **(vars(position) if position else {}),
            **rest,
        )


def transition(context):
    return {"code": context.code, "reason": context.reason}


def failure(context):
    return {"code": context.code, "message": str(context.error)}


class OnClient(ClientEventHandler):
    own: Own

    async def on_connecting(self, ctx):
        self.own.tell("connecting", **transition(ctx))

    async def on_connected(self, ctx):
        data = self.own.read(ctx.data)
        self.own.tell("connected", client_id=ctx.client, transport="websocket", data=data)

    async def on_disconnected(self, ctx):
        self.own.tell("disconnected", **transition(ctx))

    async def on_error(self, ctx):
        self.own.tell("error", **failure(ctx))

    async def on_subscribed(self, ctx):
        self.own.subscribed(ctx, server=True)

    async def on_subscribing(self, ctx):
        self.own.tell("subscribing", channel=ctx.channel, server=True)

    async def on_unsubscribed(self, ctx):
        self.own.tell("unsubscribed", channel=ctx.channel, server=True)

    async def on_publication(self, ctx):
        self.own.tell("publication", channel=ctx.channel, server=True, **self.own.publication(ctx.pub))

    async def on_join(self, ctx):
        self.own.tell("join", channel=ctx.channel, server=True, info=self.own.person(ctx.info))

    async def on_leave(self, ctx):
        self.own.tell("leave", channel=ctx.channel, server=True, info=self.own.person(ctx.info))


class OnChannel(SubscriptionEventHandler):
    def __init__(self, own, channel):
        self.own, self.channel = own, channel

    async def on_subscribing(self, ctx):
        self.own.tell("subscribing", channel=self.channel, **transition(ctx))

    async def on_subscribed(self, ctx):
        self.own.subscribed(ctx)

    async def on_unsubscribed(self, ctx):
        self.own.tell("unsubscribed", channel=self.channel, **transition(ctx))

    async def on_publication(self, ctx):
        self.own.tell("publication", channel=self.channel, **self.own.publication(ctx.pub))

    async def on_join(self, ctx):
        self.own.tell("join", channel=self.channel, info=self.own.person(ctx.info))

    async def on_leave(self, ctx):
        self.own.tell("leave", channel=self.channel, info=self.own.person(ctx.info))

    async def on_error(self, ctx):
        self.own.tell("error", channel=self.channel, **failure(ctx))


class Commands:
    async def ready(self, _):
        pass

    async def new(self, name, endpoint, protobuf=False, asks=False, options=None):
        options = dict(options or {})
        for milliseconds, seconds in [
            ("minReconnectDelay", "min_reconnect_delay"),
            ("maxReconnectDelay", "max_reconnect_delay"),
            ("maxServerPingDelay", "max_server_ping_delay"),
        ]:
            if milliseconds in options:
                options[seconds] = options.pop(milliseconds) / 1000
        if asks:
            options["get_token"] = lambda: ask(name)
        events = OnClient()
        client = Client(endpoint, events=events, use_protobuf=protobuf, **options)
        events.own = clients[name] = Own(name, client, protobuf)

    async def connect(self, own):
        # It waits for a token, if there is none yet.
        spawn(own.client.connect())

    async def disconnect(self, own):
        await own.client.disconnect()

    async def token(self, own, token):
        own.client.set_token(token)

    async def give(self, _, ask, token):
        if token is None:
            asked[ask].set_exception(UnauthorizedError("no token for you"))
        else:
            asked[ask].set_result(token)

    async def subscribe(self, own, channels, asks=False, options=None):
        options = dict(options or {})
        for theirs, ours in [("joinLeave", "join_leave")]:
            if theirs in options:
                options[ours] = options.pop(theirs)
        if asks:
            options["get_token"] = lambda channel: ask(own.name, channel)
        for channel in channels:
            events = OnChannel(own, channel)
            subscription = own.client.new_subscription(channel, events=events, **options)
            spawn(subscription.subscribe())

    async def resubscribe(self, own, channel):
        spawn(own.client.get_subscription(channel).subscribe())

    async def unsubscribe(self, own, channel):
        await own.client.get_subscription(channel).unsubscribe()

    async def history(self, own, channel, options=None):
        options = dict(options or {})
        if "since" in options:
            options["since"] = StreamPosition(**options["since"])
        result = await own.client.history(channel, **options)
        publications = [own.publication(publication) for publication in result.publications]
        return {"offset": result.offset, "epoch": result.epoch, "publications": publications}

    async def presence(self, own, channel):
        result = await own.client.presence(channel)
        return [own.person(info) for info in result.clients.values()]

    async def presence_stats(self, own, channel):
        result = await own.client.presence_stats(channel)
        return {"clients": result.num_clients, "users": result.num_users}

    async def publish(self, own, channel, data):
        await own.client.publish(channel, own.write(data))

    async def rpc(self, own, method, data):
        return own.read((await own.client.rpc(method, own.write(data))).data)


async def run(line):
    command = json.loads(line)
    number, name, client = command.pop("id"), command.pop("do"), command.pop("client", None)
    try:
        method = getattr(Commands(), name)
        done = await method(client if name == "new" else clients.get(client), **command)
        tell({"id": number, "ok": done})
    except Exception as error:
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        tell({"id": number, "error": {"code": getattr(error, "code", 0), "message": message}})


async def main():
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        spawn(run(line))


asyncio.run(main())
