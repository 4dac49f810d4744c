"""What this app tells the application about itself.

Receivers run where the thing happened (a request after its commit, a relay, a feed worker) and must be short; what they raise is
logged and goes no further.
"""

from __future__ import annotations

from django.dispatch import Signal

#: An event was not sent after a commit, without an outbox: it is lost unless the receiver keeps it. `event`, `error`.
publish_failed = Signal()
#: The tier refused an event for good; it is kept as a dead letter and others pass. `outbox_event`, `error`.
event_dead = Signal()
#: A relay could not reach the tier; events wait, nothing is lost. `error`, `failures` in a row.
relay_failed = Signal()
