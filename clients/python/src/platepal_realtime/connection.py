"""One connection to the tier per process, made when it is first needed.

Invariant: a connection is used by the process that made it and by no other. After a fork (gunicorn's and Celery's workers) the
child makes its own at its first call; the parent's is dropped in the child without a word on the wire.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable
from typing import Optional

_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"
# gRPC reads it when it is loaded. Without it, a child whose parent has used gRPC waits for threads that the fork has not copied.
if "grpc" in sys.modules and os.environ.get(_FORK_SUPPORT, "0").lower() not in ("1", "true"):
    warnings.warn(
        f"grpc was imported before platepal_realtime and without {_FORK_SUPPORT}=1: a process that forks after its first call "
        f"may hang in the child. Set {_FORK_SUPPORT}=1 in the environment, or import platepal_realtime first.",
        RuntimeWarning,
        stacklevel=2,
    )
os.environ.setdefault(_FORK_SUPPORT, "1")
# Its own report of each fork is nothing that anybody acts on.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc  # noqa: E402

from .options import Options, pem  # noqa: E402

Metadata = tuple[tuple[str, str], ...]


class Connection:
    """A gRPC channel that survives forks. Cheap until it is used; may be shared by threads and event loops."""

    def __init__(self, options: Options) -> None:
        self.options = options
        #: Sent with every call.
        self.metadata: Metadata = (("x-api-key", options.api_key),) if options.api_key else ()
        self._lock = threading.Lock()
        self._channel: Optional[grpc.Channel] = None
        self._pid = 0
        _all.add(self)

    def channel(self) -> grpc.Channel:
        """This process's channel."""
        if self._channel is not None and self._pid == os.getpid():
            return self._channel
        with self._lock:
            if self._channel is None or self._pid != os.getpid():
                self._channel, self._pid = self._make(), os.getpid()
                _guard_forks()
            return self._channel

    def close(self) -> None:
        """Ends calls in flight; the next call connects again."""
        with self._lock:
            channel, self._channel = self._channel, None
            if channel is not None and self._pid == os.getpid():
                channel.close()

    def _make(self) -> grpc.Channel:
        options, tls = self.options.channel_options(), self.options.tls
        if tls is None:
            return grpc.insecure_channel(self.options.target, options=options)
        credentials = grpc.ssl_channel_credentials(pem(tls.ca), pem(tls.key), pem(tls.certificate))
        return grpc.secure_channel(self.options.target, credentials, options=options)

    def _forget(self) -> None:
        # A lock that another thread of the parent held would stay held for ever.
        self._lock = threading.Lock()
        # Kept from being closed: closing would wait for threads of the parent.
        if self._channel is not None:
            _of_parents.append(self._channel)
        self._channel = None


class _Gate:
    """Lets no call begin while this process forks, and the fork wait for calls that have begun.

    gRPC can prepare a fork only while no thread is in it; a fork that comes between would leave a child whose calls hang.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._forking = 0
        self._in_flight = 0

    def enter(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._forking, FORK_WAIT_SECONDS)
            self._in_flight += 1

    def leave(self, _: object = None) -> None:
        with self._condition:
            self._in_flight -= 1
            self._condition.notify_all()

    def before_fork(self) -> None:
        with self._condition:
            self._forking += 1
            if not self._condition.wait_for(lambda: self._in_flight <= 0, FORK_WAIT_SECONDS):
                sys.stderr.write(
                    "platepal_realtime: this process forks while calls are in flight; calls of the child may fail. Fork before "
                    "publishing, or from a process that does not publish.\n"
                )

    def after_fork_in_parent(self) -> None:
        with self._condition:
            self._forking -= 1
            self._condition.notify_all()


#: Seconds for which a fork waits for calls in flight, and a call for a fork; then both go on.
FORK_WAIT_SECONDS = 5.0
gate = _Gate()

_all: weakref.WeakSet[Connection] = weakref.WeakSet()
#: Channels of ancestors; one per client and fork, so their number is bounded by how deep processes fork.
_of_parents: list[grpc.Channel] = []
_after_fork: list[weakref.WeakMethod[object]] = []  # type: ignore[type-var]


def on_fork(method: object) -> None:
    """Calls a bound method in each child, as long as its object lives."""
    _after_fork.append(weakref.WeakMethod(method))  # type: ignore[type-var]


def _in_child() -> None:
    # In place: calls of this process look at it by this name.
    gate.__init__()  # type: ignore[misc]
    for connection in list(_all):
        connection._forget()
    for reference in list(_after_fork):
        method = reference()
        if method is not None:
            method()  # type: ignore[operator]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _guard_forks() -> None:
    # Handlers run last registered first, and gRPC registers its own with its first channel: ours must come after it, as calls
    # in flight end only before gRPC's handler stops its threads.
    global _guarded
    if not _guarded and hasattr(os, "register_at_fork"):
        _guarded = True
        os.register_at_fork(before=gate.before_fork, after_in_parent=gate.after_fork_in_parent)


_guarded = False


def is_loopback(targets: Iterable[str]) -> bool:
    """Whether all targets stay on this machine, where plaintext without a key is what the tier allows."""
    return all(target.split(":///")[-1].startswith(("127.", "localhost", "[::1]", "unix:")) for target in targets)
