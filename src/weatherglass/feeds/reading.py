"""What came of reading a feed."""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.policy import MaintenanceWindow


class FeedUnreadable(Exception):
    """A feed could not be read, or says nothing that can be understood.

    ``error_type`` carries no word of what was received: it is from a closed set, the status of an
    HTTP error, or the name of an exception. ``detail`` says more of a file, never of a page.
    """

    def __init__(self, error_type: str, detail: str | None = None) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReading:
    """One reading of one feed."""

    name: str
    """The feed's name; ``file`` for ``maintenance.file``."""
    windows: tuple[MaintenanceWindow, ...] = ()
    """The windows that are known from it now: after a failure, those of the last good reading."""
    error: str | None = None
    """The type of what it failed with: a status, a short word, or the name of an exception."""
    detail: str | None = None
    """What is wrong with the file, in words; ``None`` for a page, which is not to be trusted."""

    @property
    def good(self) -> bool:
        """Whether the feed could be read."""
        return self.error is None
