"""Counters of this process: readable here, and by Prometheus if `prometheus_client` is installed.

Invariant: measuring never fails and never blocks what it measures. Labels are words of this package (methods, results), never ids:
their number is bounded.
"""

from __future__ import annotations

import os
import threading
from typing import Any

_DESCRIPTIONS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "platepal_realtime_calls_total": ("counter", ("method", "result"), "Calls to the tier, by method and result."),
    "platepal_realtime_call_seconds": ("histogram", ("method",), "From a call to its answer, with all repeats."),
    "platepal_realtime_outbox_written_total": ("counter", (), "Events written to the outbox."),
    "platepal_realtime_outbox_relayed_total": (
        "counter",
        ("result",),
        "Events that a relay sent, by what the tier said.",
    ),
    "platepal_realtime_outbox_waiting": (
        "gauge",
        (),
        "Events in the outbox that the tier does not have yet, at the last look.",
    ),
    "platepal_realtime_outbox_dead": ("gauge", (), "Events that the tier refused for good and nobody has looked at."),
    "platepal_realtime_outbox_oldest_seconds": ("gauge", (), "Age of the oldest event that waits, at the last look."),
    "platepal_realtime_feed_entries_total": (
        "counter",
        ("feed", "result"),
        "Entries of durable feeds, by what became of them.",
    ),
}

_lock = threading.Lock()
_values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
_prometheus: dict[str, Any] = {}

try:
    import prometheus_client
except ImportError:  # pragma: no cover
    prometheus_client = None


def _exported(name: str) -> Any:
    if prometheus_client is None:
        return None
    if name not in _prometheus:
        kind, labels, text = _DESCRIPTIONS[name]
        make = {
            "counter": prometheus_client.Counter,
            "gauge": prometheus_client.Gauge,
            "histogram": prometheus_client.Histogram,
        }
        _prometheus[name] = make[kind](name, text, labels)
    return _prometheus[name]


def _update(name: str, labels: dict[str, str], change: float, act: str, replace: bool = False) -> None:
    key = (name, tuple(sorted(labels.items())))
    with _lock:
        _values[key] = change if replace else _values.get(key, 0.0) + change
        metric = _exported(name)
    if metric is not None:
        getattr(metric.labels(**labels) if labels else metric, act)(change)


def count(name: str, by: float = 1, **labels: str) -> None:
    """Adds to a counter."""
    _update(name, labels, by, "inc")


def observe(name: str, value: float, **labels: str) -> None:
    """Adds a value to a histogram; [`value`] gives the sum."""
    _update(name, labels, value, "observe")


def gauge(name: str, value: float) -> None:
    """Sets a gauge."""
    _update(name, {}, value, "set", replace=True)


def value(name: str, **labels: str) -> float:
    """The sum over all labels that are not named."""
    wanted = set(labels.items())
    with _lock:
        return sum(number for (own, given), number in _values.items() if own == name and wanted <= set(given))


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # A lock that another thread of the parent held would stay held for ever.
    os.register_at_fork(after_in_child=_in_child)
