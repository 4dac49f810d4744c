"""When a call is repeated, and when it is not tried at all.

Invariant: pure but for the clock and the dice that are passed in. Every wait ends within the caller's deadline, and no wait is
the same for two processes: a tier that comes back is not met by all of them at once.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

import grpc

#: Statuses after which the same call, with the same event id, is made again within the deadline.
RETRIED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED})
#: Statuses that say that the tier is not there, and count towards opening the circuit.
ABSENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: a random part of a bound that doubles ("full jitter")."""

    #: Seconds; the bound of the first wait.
    first: float = 0.05
    #: Seconds; no wait is longer.
    longest: float = 1.0

    def bound(self, attempt: int) -> float:
        """Seconds of the longest wait after the attempt of this number, from 1."""
        return min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))

    def wait(self, attempt: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the attempt of this number, from 1."""
        return self.bound(attempt) * dice()

    def pause(self, failures: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds for which a worker rests after so many failures in a row, from 0: half of the bound at least."""
        return self.bound(failures + 1) * (0.5 + dice() / 2)


@dataclass
class CircuitBreaker:
    """Stops calling a tier that is not there, so that requests do not wait for it one after the other.

    Closed: calls go through. After `failures_max` failures in a row it opens: calls fail at once. After `open_seconds` one call is
    let through as a probe; if it fails, the time doubles, up to `open_seconds_max`.
    """

    #: Failures in a row that open it; 0: never opens.
    failures_max: int = 5
    #: Seconds for which it is open at first.
    open_seconds: float = 1.0
    #: Seconds for which it is open at most.
    open_seconds_max: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _open_for: float = field(default=0.0, init=False)
    _probe_at: Optional[float] = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def admit(self) -> float:
        """0 when a call may be made now, else the seconds until the next probe. Whoever is admitted reports the outcome."""
        with self._lock:
            if self._probe_at is None:
                return 0.0
            left = self._probe_at - self.clock()
            if left > 0:
                return left
            # This call is the probe; others wait for another turn, also if it never reports.
            self._probe_at = self.clock() + self._open_for
            return 0.0

    def succeeded(self) -> None:
        """The tier answered, whatever it said."""
        with self._lock:
            self._failures, self._open_for, self._probe_at = 0, 0.0, None

    def failed(self) -> None:
        """The tier did not answer."""
        with self._lock:
            self._failures += 1
            if self.failures_max and self._failures >= self.failures_max:
                longer = self._open_for * 2 if self._open_for else self.open_seconds
                self._open_for = min(longer, self.open_seconds_max)
                self._probe_at = self.clock() + self._open_for

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once now."""
        with self._lock:
            return self._probe_at is not None and self._probe_at > self.clock()
