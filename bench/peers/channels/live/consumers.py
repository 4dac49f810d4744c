"""A reader of one group, as the tutorial of Channels writes it."""

import json

from channels.generic.websocket import AsyncWebsocketConsumer


class Reader(AsyncWebsocketConsumer):
    async def connect(self):
        self.group = self.scope["url_route"]["kwargs"]["channel"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def event_message(self, message):
        await self.send(text_data=json.dumps(message["event"], separators=(",", ":")))
