"""The Django app: `publish`, `publish_on_commit`, a transactional outbox with its relay, feeds, tokens.

Put `"platepal_realtime.django"` into `INSTALLED_APPS` and a dict `PLATEPAL_REALTIME` into the settings.
"""

from __future__ import annotations

from typing import Any

__all__ = ["apublish", "apublish_on_commit", "async_client", "client", "publish", "publish_on_commit"]


def __getattr__(name: str) -> Any:
    # Later: Django imports this module before its apps, and so its models, are ready.
    if name in __all__:
        from . import publishing

        return getattr(publishing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
