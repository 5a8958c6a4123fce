"""A lock that a forked child does not inherit in a locked state (rule D13)."""

from __future__ import annotations

import os
from threading import RLock
from types import TracebackType


class ForkSafeLock:
    """A re-entrant lock for the life of the process; for module-level state only.

    Whoever held it when the process forked does not exist in the child, which therefore gets a
    new one. What the lock guards must be usable after an interrupted change.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
