"""What `manage.py check` says of this app: every mistake in the settings, all together.

Invariant: a check calls nobody; whether the tier answers is asked by `manage.py realtime_check`.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections

from ..connection import is_loopback
from . import settings

LAYER = "platepal_realtime.layers.RealtimeChannelLayer"


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """E001: a setting is wrong. W002-W004: it works, and not as one would wish."""
    given = getattr(django_settings, settings.NAME, None)
    if given is None:
        hint = f"Add {settings.NAME} = {{'TARGET': 'host:50051', 'API_KEY': …}}, or 'ENABLED': False."
        return [Warning(f"{settings.NAME} is not set; the defaults are for one machine.", hint=hint, id="platepal_realtime.W001")]
    found: list[CheckMessage] = [Error(f"{settings.NAME}: {problem}", id="platepal_realtime.E001") for problem in settings.problems(given)]
    if found:
        return found
    values = settings.current()
    if not values.enabled:
        return []
    if not values.api_key and not is_loopback([values.target]):
        hint = "Set API_KEY to a key of the tier's REALTIME_API_KEYS."
        found.append(
            Warning(
                f"{settings.NAME}: no API_KEY; a tier on another machine refuses calls.",
                hint=hint,
                id="platepal_realtime.W002",
            )
        )
    if values.api_key and not values.tls and not is_loopback([values.target]):
        hint = "Set TLS, or be sure that the network between both is yours alone."
        found.append(
            Warning(
                f"{settings.NAME}: the API key goes over the network in the clear.",
                hint=hint,
                id="platepal_realtime.W003",
            )
        )
    features = connections[values.database].features
    if values.outbox and not features.has_select_for_update_skip_locked:
        hint = "Several relays may run, and one of them works at a time. PostgreSQL lets all of them work."
        found.append(
            Warning(
                f"{settings.NAME}: the outbox's database can't skip locked rows.",
                hint=hint,
                id="platepal_realtime.W004",
            )
        )
    return found


def check_layers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """E002: the channel layer can't do what it is told."""
    found: list[CheckMessage] = []
    layers = getattr(django_settings, "CHANNEL_LAYERS", {})
    for alias, layer in layers.items():
        if not isinstance(layer, dict) or layer.get("BACKEND") != LAYER:
            continue
        from ..layers import problems_of_layer

        for problem in problems_of_layer(alias, layer.get("CONFIG", {}), layers):
            found.append(Error(f"CHANNEL_LAYERS[{alias!r}]: {problem}", id="platepal_realtime.E002"))
    return found


def register_all() -> None:
    """Registers both, once."""
    if apps.is_installed("platepal_realtime.django"):
        register(check_settings, "platepal_realtime")
        register(check_layers, "platepal_realtime")
