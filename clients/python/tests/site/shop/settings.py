"""Settings of the site; the tests say by the environment which servers to use."""

import json
import os
from datetime import timedelta
from pathlib import Path

SECRET_KEY = os.environ.get("SITE_SECRET", "a-secret-of-tests-and-of-nothing-else")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "channels",
    "rest_framework",
    "platepal_realtime.django",
    "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "shop.urls"
AUTH_USER_MODEL = "shop.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if os.environ.get("SITE_SQLITE"):
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_SQLITE"], "OPTIONS": {"timeout": 30}}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ.get("SITE_POSTGRES_PORT", "5432"),
            "NAME": os.environ.get("SITE_DATABASE", "postgres"),
            "USER": "platepal",
            "CONN_MAX_AGE": int(os.environ.get("SITE_CONN_MAX_AGE", "0")),
        }
    }

CHANNEL_LAYERS = {
    "default": {"BACKEND": "platepal_realtime.layers.RealtimeChannelLayer", "CONFIG": json.loads(os.environ.get("SITE_LAYER", "{}"))},
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
PLATEPAL_REALTIME = {
    "TARGET": os.environ.get("SITE_TARGET", "127.0.0.1:1"),
    "API_KEY": "a-key-of-tests-and-of-nothing-else",
    "FEEDS": {"chat": "shop.handlers.mirror", "notifications": "shop.handlers.hand_over"},
    **json.loads(os.environ.get("SITE_REALTIME", "{}")),
}

REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]}
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(hours=1)}

# A broker in a folder: Celery's workers are real, and no server is needed.
_BROKER = Path(os.environ.get("SITE_BROKER", "broker"))
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(_BROKER / "queue"),
    "data_folder_out": str(_BROKER / "queue"),
    "control_folder": str(_BROKER / "control"),
    "store_processed": False,
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
