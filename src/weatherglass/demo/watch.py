"""Watching a run through its exports: what the receiver has, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weatherglass.demo.picture import Picture, Series, newest, picture
from weatherglass.telemetry import registry
from weatherglass.testing import OtlpReceiver


class Watch:
    """Reads an embedded receiver.

    Args:
        receiver: where the telemetry of the run arrives.
        flush: makes the exporters send what they hold.
        planned: the number of calls in each phase.
    """

    def __init__(
        self, receiver: OtlpReceiver, flush: Callable[[], object], planned: Mapping[str, int]
    ) -> None:
        self._receiver = receiver
        self._flush = flush
        self._planned = planned
        self._series: Series = {}
        self._read = 0

    def look(self) -> Picture:
        """The picture of what has arrived so far."""
        points = self._receiver.points()
        self._series = newest(points[self._read :], self._series)
        self._read = len(points)
        return picture(self._series, self._receiver.spans(registry.CALL_SPAN), self._planned)

    def look_at_all(self) -> Picture:
        """The picture after everything that happened so far has been exported."""
        self._flush()
        return self.look()
