"""Latches: named places where the server holds requests until a test lets them go."""

from __future__ import annotations

import threading
from collections import Counter

from weatherglass.testing.wire import Connection

HUNG = "hung"
"""The latch of requests that hang without a latch of their own."""


class Latches:
    """All latches of one server; a latch exists as soon as it is named."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[str] = set()
        self._held: Counter[str] = Counter()
        self._hung: dict[Connection, str] = {}
        self._stopped = False

    def hold(self, name: str) -> bool:
        """Wait until the latch is released; ``False`` if the server stops first."""
        with self._changed:
            self._held[name] += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or name in self._open)
            self._held[name] -= 1
            return not self._stopped

    def hang(self, name: str, connection: Connection) -> None:
        """Wait until the client leaves, the latch is released or the server stops."""
        with self._changed:
            if self._stopped or name in self._open:
                return
            self._held[name] += 1
            self._hung[connection] = name
            self._changed.notify_all()
        try:
            connection.wait_for_close()
        finally:
            with self._changed:
                self._held[name] -= 1
                del self._hung[connection]

    def release(self, name: str) -> None:
        """Open the latch: those held go on, and nobody is held on it again."""
        with self._changed:
            self._open.add(name)
            self._changed.notify_all()
            hung = [connection for connection, latch in self._hung.items() if latch == name]
        for connection in hung:
            connection.stop_reading()

    def close(self, name: str) -> None:
        """Make a released latch hold again."""
        with self._changed:
            self._open.discard(name)

    def wait_held(self, name: str, count: int, timeout: float) -> None:
        """Wait until this many requests are held on the latch.

        Raises:
            TimeoutError: when there are still fewer after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._held[name] >= count, timeout):
                raise TimeoutError(
                    f"{self._held[name]} requests are held on latch {name!r} after {timeout:g} s,"
                    f" but {count} were expected"
                )

    def stop(self) -> None:
        """Let everybody go for good."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
