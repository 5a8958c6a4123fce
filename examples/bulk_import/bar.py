"""The progress bar. It needs rich: ``pip install 'weatherglass[cli]'``."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from rich import progress as rich_progress

from .journal import State
from .progress import done, told


class Bar:
    """A bar with a line below it that says what has become of the rows."""

    def __init__(self, total: int) -> None:
        self._progress = rich_progress.Progress(
            rich_progress.BarColumn(bar_width=12),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.description}"),
        )
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Bar:  # noqa: PYI034 - Self needs Python 3.11
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, counts: Counter[State]) -> None:
        """Move the bar on."""
        self._progress.update(self._task, completed=done(counts), description=told(counts))

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False)
