"""Ends sockets of users who signed out or were deactivated, and keeps their tokens out.

Invariant: what is refused are tokens that were issued before. Another device of the same user comes back by itself with a new access
token, which its refresh token gets it; who signed out, or may not sign in any more, gets none.
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

#: The tier's close code for "do not reconnect until the user asks for it".
DISCONNECTED = 4000


def sign_out(user_id: Any, *, token_id: str = "", timeout: Optional[float] = None) -> bool:
    """Refuses a user's access tokens that were issued until now (or one, by its `jti`), and closes what began with them, on every edge
    within a second. False: the tier did not take it; the log says why."""
    return _ordered(user_id, "RevokeTokens", {"user_id": str(user_id), "token_id": token_id, "timeout": timeout})


def sign_out_on_commit(user_id: Any) -> None:
    """`sign_out`, once the transaction around it is committed."""
    transaction.on_commit(functools.partial(sign_out, user_id), using=current().database, robust=True)


def disconnect(user_id: Any, reason: str = "signed out", *, code: int = DISCONNECTED, timeout: Optional[float] = None) -> bool:
    """Closes a user's open sockets on every edge, within a second; whoever has a good token may come back. False: as for `sign_out`."""
    request = {"selector": {"user_id": str(user_id)}, "code": code, "reason": reason, "timeout": timeout}
    return _ordered(user_id, "Disconnect", request)


def _ordered(user_id: Any, method: str, request: dict[str, Any]) -> bool:
    if not current().enabled:
        return False
    try:
        getattr(client().sessions, method)(**request)
    except RealtimeError as why:
        # Signing out works without the tier; its sockets end with their token.
        logger.warning("sockets of user %s stay open until their token expires: %s", user_id, why)
        return False
    return True


def grant(user_id: Any, channel: str, expires_at: Any = None) -> None:
    """Lets a user read a channel, whatever the token says. Raises a `RealtimeError` when the tier has not kept it."""
    client().sessions.Grant(user_id=str(user_id), channel=channel, expires_at=expires_at)


def revoke(user_id: Any, channel: str) -> bool:
    """Takes a grant back and closes what relied on it. False: there was none."""
    return client().sessions.Revoke(user_id=str(user_id), channel=channel).existed


def _logged_out(sender: Any, user: Any = None, **_: Any) -> None:
    if user is not None and current().revoke:
        sign_out_on_commit(user.pk)


def _saved(sender: Any, instance: Any, created: bool = False, raw: bool = False, **_: Any) -> None:
    if not raw and not created and instance.is_active is False and current().revoke:
        sign_out_on_commit(instance.pk)


def _deleted(sender: Any, instance: Any, **_: Any) -> None:
    if current().revoke:
        sign_out_on_commit(instance.pk)


def listen() -> None:
    """Follows Django's signals of users."""
    user = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="platepal_realtime.logged_out")
    post_save.connect(_saved, sender=user, dispatch_uid="platepal_realtime.saved")
    post_delete.connect(_deleted, sender=user, dispatch_uid="platepal_realtime.deleted")
