"""A food shop as PlatePal is one: a broadcaster and call sites of the time of Channels, unchanged."""

from .celery import app as celery_app

__all__ = ["celery_app"]
