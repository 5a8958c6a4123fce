"""The demo without a terminal: plain lines, one for each phase and each significant change."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from weatherglass.demo.comparison import Comparison
from weatherglass.demo.contest import Settings
from weatherglass.demo.fleet import Tally
from weatherglass.demo.picture import NOTHING, Picture, changes, summary
from weatherglass.demo.screen import footnotes, introduction, told, verdict
from weatherglass.demo.weather import Phase

_WIDTH = 100


class Lines:
    """A :class:`~weatherglass.demo.screen.Screen` of lines.

    Args:
        write: is given each line, without its end.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._watched = False
        self._seen = self._at_phase_begin = NOTHING

    def __enter__(self) -> Lines:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to put back."""

    def introduce(self, settings: Settings, *, collector: str | None) -> None:
        self._paragraphs(introduction(settings, collector))

    def contestant_begins(self, name: str, *, watched: bool) -> None:
        self._watched = watched
        self._write("")
        self._write(f"== {name}" + (" (from its telemetry)" if watched else ""))

    def phase_begins(self, phase: Phase) -> None:
        self._at_phase_begin = self._seen
        if self._watched:
            self._write(phase.title)

    def draw(self, picture: Picture) -> None:
        for line in changes(self._seen, picture):
            self._write(f"    {line}")
        self._seen = picture

    def phase_ends(self, phase: Phase, tally: Tally) -> None:
        if not self._watched:
            self._write(f"{phase.name:12} {told(tally)}")
            return
        done = next((each.done for each in self._seen.phases if each.name == phase.name), 0)
        self._write(f"    {done} of {tally.planned} calls done")
        for line in summary(self._at_phase_begin, self._seen):
            self._write(f"    {line}")

    def compare(self, comparison: Comparison) -> None:
        self._write("")
        header = ["", *(run.name for run in comparison.runs), "where it comes from"]
        rows = [[row.figure, *row.values, row.source] for row in comparison.rows]
        for line in table([header, *rows]):
            self._write(line)
        self._write("")
        for line in verdict(comparison):
            self._write(line)
        self._write("")
        self._paragraphs(footnotes(comparison))

    def _paragraphs(self, paragraphs: Iterable[str]) -> None:
        for paragraph in paragraphs:
            if paragraph.startswith(" "):
                self._write(paragraph)
                continue
            for line in textwrap.wrap(paragraph, _WIDTH, subsequent_indent="  "):
                self._write(line)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines: the first and the last column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.rjust(width) if 0 < position < last else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
