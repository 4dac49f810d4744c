"""Tells Django what this app is: its checks, and what it listens to."""

from __future__ import annotations

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "platepal_realtime.django"
    label = "platepal_realtime"
    verbose_name = "PlatePal Realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, revocation, settings

        settings.listen()
        checks.register_all()
        revocation.listen()
