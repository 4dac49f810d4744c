"""Claims that the tier reads from access tokens, and serialisers that put them there.

The tier understands `role` and `roles` (CUSTOMER RESTAURANT DELIVERY ADMIN SUPPORT), `restaurant_id` and `restaurant_ids`, `name`, and
`info` (what others may see). With them it decides by itself who may read `restaurant:…`, `admin` and `chat:…`.

Invariant: claims say what is true when the token is made. An access token that is made of a refresh token copies its claims, so
`RealtimeRefreshMixin` looks them up again; without it a role that was taken away lives as long as the refresh token.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from .settings import current

ROLES = ("CUSTOMER", "RESTAURANT", "DELIVERY", "ADMIN", "SUPPORT")
#: Restaurants that a token names; the header of a handshake has 16 KiB for all of it.
RESTAURANTS_MAX = 200
#: Where `claims_of` looks for a user's restaurants: names of related managers or lists, or of one restaurant.
RESTAURANT_FIELDS = ("restaurants", "owned_restaurants", "restaurant_set", "restaurant")
#: Claims that are ours, and are replaced as a whole.
CLAIMS = ("role", "restaurant_ids", "name")


def claims_of(user: Any) -> dict[str, Any]:
    """The claims of a user: `role` from the field of that name, else from staff; restaurants that the user owns; the full name.

    Replace it by PLATEPAL_REALTIME["CLAIMS"] when the application keeps them elsewhere.
    """
    claims: dict[str, Any] = {}
    role = str(getattr(user, "role", "") or "").upper()
    if role not in ROLES:
        role = "ADMIN" if getattr(user, "is_superuser", False) else ""
    if role:
        claims["role"] = role
    restaurants = _restaurants(user)
    if restaurants:
        claims["restaurant_ids"] = restaurants[:RESTAURANTS_MAX]
    name = user.get_full_name().strip() if hasattr(user, "get_full_name") else ""
    if name:
        claims["name"] = name
    return claims


def _restaurants(user: Any) -> list[Any]:
    for name in RESTAURANT_FIELDS:
        # A one-to-one relation without its other end raises an error that is an AttributeError, too.
        related = getattr(user, name, None)
        if related is None:
            continue
        if hasattr(related, "values_list"):
            return list(related.order_by("pk").values_list("pk", flat=True)[:RESTAURANTS_MAX])
        if hasattr(related, "pk"):
            return [related.pk]
        if isinstance(related, (list, tuple)):
            return [getattr(item, "pk", item) for item in related]
    return []


def add_claims(token: Any, user: Any) -> Any:
    """Puts the user's claims into a token of simplejwt; those that no longer hold are taken out."""
    make = import_string(current().claims) if current().claims else claims_of
    claims = make(user)
    for name in CLAIMS:
        token.payload.pop(name, None)
    for name, value in claims.items():
        token[name] = value
    return token


class RealtimeTokenMixin:
    """For a `TokenObtainPairSerializer` (or any other with `get_token`): its tokens have the claims.

    class Tokens(RealtimeTokenMixin, TokenObtainPairSerializer): ...
    """

    @classmethod
    def get_token(cls, user: Any) -> Any:
        return add_claims(super().get_token(user), user)  # type: ignore[misc]


class RealtimeRefreshMixin:
    """For a `TokenRefreshSerializer`: the new access token has the claims that hold now."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        from django.contrib.auth import get_user_model
        from rest_framework_simplejwt.settings import api_settings
        from rest_framework_simplejwt.tokens import AccessToken

        data: dict[str, Any] = super().validate(attrs)  # type: ignore[misc]
        token = AccessToken(data["access"])
        field = api_settings.USER_ID_FIELD
        user = get_user_model().objects.filter(**{field: token.get(api_settings.USER_ID_CLAIM)}).first()
        if user is not None:
            data["access"] = str(add_claims(token, user))
        return data
