"""What frontends do without sockets: polls that cost little, and a view that says whether they must.

Invariant: a poll never misses a change. `since` is answered with what changed at that moment or later, so that two rows of one moment
are not torn apart; clients know rows by their id and take the newer one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.dateparse import parse_datetime
from django.utils.http import parse_etags
from django.utils.timezone import is_naive, make_aware

from .publishing import client
from .settings import current

#: The query's parameter: an RFC 3339 moment, as the field of the last answer had it.
SINCE = "since"


class PollingMixin:
    """For list views of Django REST framework, before the view's class: ETag, `If-None-Match`, `?since=`.

    The tag is of the count, the newest moment and the query: one aggregate, no rows. A field that grows with every change is
    needed (`auto_now`), with an index; rows that are deleted change the count.
    """

    #: The field that says when a row was changed last.
    poll_field = "updated_at"

    def filter_queryset(self, queryset: Any) -> Any:
        queryset = super().filter_queryset(queryset)  # type: ignore[misc]
        since = self.request.query_params.get(SINCE)  # type: ignore[attr-defined]
        return queryset.filter(**{f"{self.poll_field}__gte": _moment(since)}) if since else queryset

    def list(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        tag = self._tag(request)
        if tag in parse_etags(request.headers.get("If-None-Match", "")):
            response: Any = HttpResponse(status=304)
        else:
            response = super().list(request, *args, **kwargs)  # type: ignore[misc]
        response["ETag"] = tag
        # To be asked each time, and never from a cache that several users share.
        response["Cache-Control"] = "private, no-cache"
        return response

    def _tag(self, request: Any) -> str:
        rows = self.filter_queryset(self.get_queryset())  # type: ignore[attr-defined]
        seen = rows.order_by().aggregate(count=Count("pk"), newest=Max(self.poll_field))
        user = getattr(request.user, "pk", None)
        text = f"{seen['count']}|{seen['newest']}|{user}|{request.get_full_path()}|{request.headers.get('Accept', '')}"
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _moment(text: str) -> Any:
    from rest_framework.exceptions import ValidationError

    try:
        # A plus in a query that was not escaped is a space.
        moment = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None:
        raise ValidationError({SINCE: "must be an RFC 3339 moment, e.g. 2026-11-24T11:30:00.123456+00:00"})
    return make_aware(moment) if is_naive(moment) else moment


def health(request: HttpRequest) -> HttpResponse:
    """Tells frontends whether realtime is on, and how often to poll.

    `available` is false while this process's calls to the tier fail; sockets may still work, and what happens meanwhile comes late.
    """
    settings = current()
    available = settings.enabled and client().is_answering
    body = {
        "enabled": settings.enabled,
        "available": available,
        "url": settings.public_url if settings.enabled else "",
        "poll_seconds": settings.poll_seconds_realtime if available else settings.poll_seconds,
    }
    response = JsonResponse(body)
    response["Cache-Control"] = "no-store"
    return response
