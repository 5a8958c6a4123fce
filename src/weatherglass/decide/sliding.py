"""Counts of calls over a sliding time window, as an immutable value.

The window is cut into ten slices, and a slice is dropped as a whole when it has become too old:
so between nine tenths and all of the window are looked at, and memory is bounded whatever the
traffic. Used by :mod:`weatherglass.decide.breaker`; it judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

SLICES: Final = 10


class Slice(NamedTuple):
    """The calls of one tenth of a window."""

    number: int
    """Which tenth, counted from the clock's zero."""
    calls: int
    failures: int
    slow: int


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """The slices that are not empty, oldest first."""

    slices: tuple[Slice, ...] = ()

    @property
    def calls(self) -> int:
        return sum(part.calls for part in self.slices)

    @property
    def failures(self) -> int:
        return sum(part.failures for part in self.slices)

    @property
    def slow(self) -> int:
        return sum(part.slow for part in self.slices)

    def with_call(self, at: float, length: float, *, failed: bool, slow: bool) -> SlidingWindow:
        """The window with one more call that ended at ``at``, in monotonic seconds.

        ``length`` is the window's, in seconds, and must always be the same.
        """
        return self._with(Slice(int(at * SLICES // length), 1, int(failed), int(slow)))

    def with_successes(self, times: Sequence[float], length: float) -> SlidingWindow:
        """The window with successes that ended at these times and were not slow."""
        if not times:
            return self
        number = int(min(times) * SLICES // length)
        if number == int(max(times) * SLICES // length):
            return self._with(Slice(number, len(times), 0, 0))
        window = self
        for number, calls in Counter(int(at * SLICES // length) for at in times).items():
            window = window._with(Slice(number, calls, 0, 0))
        return window

    def _with(self, more: Slice) -> SlidingWindow:
        newest = max(more.number, self.slices[-1].number) if self.slices else more.number
        oldest = newest - SLICES + 1
        merged = {part.number: part for part in self.slices if part.number >= oldest}
        if more.number >= oldest:
            same = merged.get(more.number)
            merged[more.number] = more if same is None else _sum(same, more)
        return SlidingWindow(tuple(sorted(merged.values())))


EMPTY = SlidingWindow()
"""The window before any call."""


def _sum(one: Slice, other: Slice) -> Slice:
    return Slice(
        one.number,
        one.calls + other.calls,
        one.failures + other.failures,
        one.slow + other.slow,
    )
