"""Backoff and breaker, on a clock of the test's own."""

import random

from platepal_realtime.retry import Backoff, CircuitBreaker


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_no_wait_is_longer_than_its_bound_and_bounds_double():
    backoff = Backoff(first=0.1, longest=2.0)
    assert [backoff.wait(attempt, dice=lambda: 1.0) for attempt in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert backoff.wait(10_000, dice=lambda: 1.0) == 2.0
    dice = random.Random(7)
    waits = {backoff.wait(5, dice.random) for _ in range(100)}
    assert len(waits) == 100 and all(0 <= wait <= 1.6 for wait in waits)


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through():
    clock = Clock()
    breaker = CircuitBreaker(failures_max=3, open_seconds=1.0, open_seconds_max=3.0, clock=clock)
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert breaker.admit() == 0 and not breaker.is_open, "not in a row"
    breaker.failed()
    assert breaker.is_open and breaker.admit() == 1.0
    clock.now = 1.0
    assert breaker.admit() == 0, "the probe"
    assert breaker.admit() > 0, "and nobody else"
    breaker.failed()
    assert breaker.admit() == 2.0
    clock.now = 3.0
    assert breaker.admit() == 0
    breaker.failed()
    assert breaker.admit() == 3.0, "at most"
    clock.now = 6.0
    assert breaker.admit() == 0
    breaker.succeeded()
    assert breaker.admit() == 0 and breaker.admit() == 0 and not breaker.is_open


def test_a_probe_that_never_reports_does_not_keep_the_circuit_open_for_ever():
    clock = Clock()
    breaker = CircuitBreaker(failures_max=1, open_seconds=1.0, clock=clock)
    breaker.failed()
    clock.now = 1.0
    assert breaker.admit() == 0
    clock.now = 2.0
    assert breaker.admit() == 0, "another probe"


def test_a_breaker_of_zero_failures_never_opens():
    breaker = CircuitBreaker(failures_max=0)
    for _ in range(100):
        breaker.failed()
    assert breaker.admit() == 0


def test_a_worker_rests_for_half_of_the_bound_at_least():
    backoff = Backoff(first=0.1, longest=2.0)
    assert [backoff.pause(failures, dice=lambda: 0.0) for failures in (0, 1, 10)] == [0.05, 0.1, 1.0]
    assert backoff.pause(10, dice=lambda: 1.0) == 2.0
