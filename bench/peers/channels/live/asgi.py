"""Sockets go to the consumer, everything else to Django."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "live.settings")
django = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from live.consumers import Reader  # noqa: E402

application = ProtocolTypeRouter(
    {"http": django, "websocket": URLRouter([path("ws/<str:channel>/", Reader.as_asgi())])}
)
