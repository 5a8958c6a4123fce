"""Maintenance windows from a file of their own, which is read again when it changes (rule M1)."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from weatherglass.errors import InvalidPolicy
from weatherglass.feeds.reading import FeedUnreadable
from weatherglass.policy import MaintenanceWindow
from weatherglass.policy.file import LARGEST_FILE, read_windows

Stamp = tuple[int, int, int, int]
"""By what a file is seen to have changed."""


@dataclass(slots=True)
class WindowFile:
    """A file with ``[[windows]]``; used by one thread at a time."""

    path: str
    _stamp: Stamp | None = field(default=None, init=False)
    _windows: tuple[MaintenanceWindow, ...] = field(default=(), init=False)

    def read(self) -> tuple[MaintenanceWindow, ...]:
        """The windows that stand in it.

        Raises:
            FeedUnreadable: when it is not there, or is not such a file.
        """
        try:
            found = Path(self.path).stat()
            # Opening a pipe would wait for somebody to write into it.
            if not stat.S_ISREG(found.st_mode):
                raise FeedUnreadable("not_a_file")
            stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp != self._stamp:
                self._windows, self._stamp = self._load(), stamp
        except (OSError, ValueError) as error:
            raise FeedUnreadable(type(error).__name__) from None
        return self._windows

    def _load(self) -> tuple[MaintenanceWindow, ...]:
        with Path(self.path).open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise FeedUnreadable("too_large")
        try:
            return read_windows(data, f"file {self.path}")
        except InvalidPolicy as error:
            raise FeedUnreadable("not_a_window_file", str(error)) from None
