"""Settings of the smallest Django project that has sockets: one process, the in-memory channel layer."""

SECRET_KEY = "a-key-of-measurements-and-of-nothing-else"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["channels"]
ROOT_URLCONF = "live.urls"
ASGI_APPLICATION = "live.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
