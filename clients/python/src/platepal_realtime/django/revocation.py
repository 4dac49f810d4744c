"""Ends sockets of users who signed out or were deactivated.

Invariant: ending a session is an order for the sockets that are open now. A token that was given out stays valid until it expires, and
whoever holds it may come back: keep access tokens short, or let the tier ask Django who may read.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Optional

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from ..errors import RealtimeError
from .publishing import client
from .settings import current

logger = logging.getLogger("platepal_realtime")

#: Close codes of the tier: "do not reconnect until the user asks for it", and "get a new access token".
DISCONNECTED = 4000
UNAUTHORISED = 4001


def disconnect(user_id: Any, reason: str = "signed out", *, code: int = DISCONNECTED, timeout: Optional[float] = None) -> bool:
    """Closes a user's open sockets on every edge, within a second. False: the tier did not take the order; the log says why."""
    if not current().enabled:
        return False
    try:
        client().sessions.Disconnect(selector={"user_id": str(user_id)}, code=code, reason=reason, timeout=timeout)
    except RealtimeError as why:
        # Signing out works without the tier; its sockets end with their token.
        logger.warning("sockets of user %s stay open until their token expires: %s", user_id, why)
        return False
    return True


def disconnect_on_commit(user_id: Any, reason: str = "signed out", *, code: int = DISCONNECTED) -> None:
    """`disconnect`, once the transaction around it is committed."""
    call = functools.partial(disconnect, user_id, reason, code=code)
    transaction.on_commit(call, using=current().database, robust=True)


def grant(user_id: Any, channel: str, expires_at: Any = None) -> None:
    """Lets a user read a channel, whatever the token says. Raises a `RealtimeError` when the tier has not kept it."""
    request = {"user_id": str(user_id), "channel": channel}
    client().sessions.Grant(**request, **({"expires_at": expires_at} if expires_at else {}))


def revoke(user_id: Any, channel: str) -> bool:
    """Takes a grant back and closes what relied on it. False: there was none."""
    return bool(client().sessions.Revoke(user_id=str(user_id), channel=channel).existed)


def _logged_out(sender: Any, user: Any = None, **_: Any) -> None:
    if user is not None and current().revoke:
        disconnect_on_commit(user.pk)


def _saved(sender: Any, instance: Any, created: bool = False, raw: bool = False, **_: Any) -> None:
    if not raw and not created and instance.is_active is False and current().revoke:
        disconnect_on_commit(instance.pk, "this account is not active", code=UNAUTHORISED)


def _deleted(sender: Any, instance: Any, **_: Any) -> None:
    if current().revoke:
        disconnect_on_commit(instance.pk, "this account is gone", code=UNAUTHORISED)


def listen() -> None:
    """Follows Django's signals of users."""
    user = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="platepal_realtime.logged_out")
    post_save.connect(_saved, sender=user, dispatch_uid="platepal_realtime.saved")
    post_delete.connect(_deleted, sender=user, dispatch_uid="platepal_realtime.deleted")
