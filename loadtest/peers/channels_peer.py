"""A room server on Django Channels: one group a room; in memory, or over Redis where PEER_REDIS names one."""

import os

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import re_path

REDIS = os.environ.get("PEER_REDIS")
# Channels drops what a full channel does not hold; here nothing may be lost.
CAPACITY = 100_000

LAYER = (
    {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS], "capacity": CAPACITY}}
    if REDIS
    else {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": CAPACITY}}
)

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": LAYER},
    SECRET_KEY="of no use here",
)


class Room(AsyncWebsocketConsumer):
    async def connect(self):
        self.group = "room" + self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data is not None:
            await self.channel_layer.group_send(self.group, {"type": "room.text", "text": text_data})

    async def room_text(self, event):
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([re_path(r"^(?P<room>\w+)$", Room.as_asgi())])}
)
