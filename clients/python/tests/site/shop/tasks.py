"""Work for Celery."""

import os

from celery import shared_task
from django.db import transaction

from platepal_realtime.django import publish


@shared_task
def accept_later(body):
    """The old broadcaster in a worker, then a direct publish that says which worker it was."""
    from .views import _order

    with transaction.atomic():
        _order(body)
    publish("menu.updated", {"pid": os.getpid(), "n": body.get("n")}, f"customer:{body['customer']}")
