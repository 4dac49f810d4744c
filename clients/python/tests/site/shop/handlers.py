"""Handlers of durable feeds."""

import os

from .models import MirroredMessage


def mirror(entry):
    """Keeps a line; ends the process after as many as the test says, inside the transaction, as a kill would."""
    MirroredMessage.objects.create(position=entry.position, kind=entry.kind, subject=entry.subject, data=entry.data)
    after = int(os.environ.get("SITE_DIE_AFTER", "0"))
    if after and MirroredMessage.objects.count() >= after:
        os.kill(os.getpid(), 9)


def hand_over(entry):
    MirroredMessage.objects.create(position=entry.position, kind=entry.kind, subject=entry.subject, data=entry.data)
