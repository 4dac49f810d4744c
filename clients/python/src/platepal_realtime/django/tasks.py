"""The relay as a Celery task, for sites that run workers anyway.

Invariant: any number may run at once; the relay sorts that out. With `RELAY = "celery"` one is sent after each commit; let beat send one
every few seconds as well, for what was committed while the broker or the tier was away:

    CELERY_BEAT_SCHEDULE = {"realtime": {"task": "platepal_realtime.relay", "schedule": 5.0}}
"""

from __future__ import annotations

from celery import shared_task

#: Seconds for which one task works; then the next one goes on.
TASK_SECONDS = 30.0


@shared_task(name="platepal_realtime.relay", ignore_result=True, acks_late=True)
def relay() -> int:
    """Sends what can be sent now; how many events."""
    from .relay import Relay, forget_sent, measure_outbox

    done = Relay().drain(seconds=TASK_SECONDS)
    measure_outbox()
    forget_sent()
    return done.sent
