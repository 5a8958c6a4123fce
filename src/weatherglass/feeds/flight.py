"""One go at reading the feeds that are due, which can be broken off from another thread (D14)."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Flight:
    """Who reads now, and through which sockets.

    A thread that waits in a system call can be woken by nothing but its socket. So each socket is
    held here by a duplicate, which stays good when TLS takes over the original.
    """

    def __init__(self) -> None:
        self.landed = threading.Event()
        """Set when it is over."""
        self.thread: threading.Thread | None = None
        """The thread that reads; ``None`` where a caller reads for itself."""
        self._lock = threading.Lock()
        self._stopped = False
        self._lines: list[socket.socket] = []

    @property
    def stopped(self) -> bool:
        """Whether it was broken off."""
        return self._stopped

    def hold(self, line: socket.socket) -> None:
        """Have a socket shut down when the flight is broken off, or at once if it was."""
        duplicate = line.dup()
        with self._lock:
            self._lines.append(duplicate)
            stopped = self._stopped
        if stopped:
            _shut(duplicate)

    def stop(self) -> None:
        """Break off: whoever waits for one of the sockets is woken."""
        with self._lock:
            self._stopped = True
            lines = list(self._lines)
        for line in lines:
            _shut(line)

    def land(self) -> None:
        """Let go of everything; called by whoever reads, when they have done."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()
        self.landed.set()


def _shut(line: socket.socket) -> None:
    # It may have been closed, or never been connected.
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
