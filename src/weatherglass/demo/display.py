"""The demo in a terminal: a live picture, by rich. The only module that needs the extra ``cli``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from weatherglass.demo.comparison import Comparison
from weatherglass.demo.contest import Settings
from weatherglass.demo.fleet import Tally
from weatherglass.demo.picture import NOTHING, Picture
from weatherglass.demo.screen import footnotes, introduction, told, verdict
from weatherglass.demo.weather import Phase
from weatherglass.telemetry import registry
from weatherglass.vocabulary import NETWORK_KINDS, BreakerState, Kind, RetryAfterVariant

_BAR = 24
_WIDE = 100
"""Columns from which two stand side by side."""
_COLOURS = {
    registry.NO_FAILURE: "green",
    Kind.RATE_LIMITED.value: "yellow",
    Kind.UNAUTHORIZED.value: "magenta",
    **{kind.value: "red" for kind in NETWORK_KINDS},
}
_STATE_COLOURS = {
    BreakerState.CLOSED.value: "green",
    BreakerState.HALF_OPEN.value: "yellow",
    BreakerState.OPEN.value: "bold red",
}


class Display:
    """A :class:`~weatherglass.demo.screen.Screen` in a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = Console(highlight=False) if console is None else console
        self._live: Live | None = None
        self._status: Status | None = None
        self._title = ""
        self._picture = NOTHING

    def __enter__(self) -> Display:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._settle()

    def introduce(self, settings: Settings, *, collector: str | None) -> None:
        for line in introduction(settings, collector):
            self._console.print(Text(line))

    def contestant_begins(self, name: str, *, watched: bool) -> None:
        self._settle()
        self._console.print()
        self._console.rule(Text(name, "bold"))
        if watched:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._status = self._console.status("")
            self._status.start()

    def phase_begins(self, phase: Phase) -> None:
        self._title = phase.title
        if self._live is not None:
            self._refresh()
        if self._status is not None:
            self._status.update(Text(phase.title))

    def draw(self, picture: Picture) -> None:
        self._picture = picture
        self._refresh()

    def phase_ends(self, phase: Phase, tally: Tally) -> None:
        if self._status is not None:
            self._console.print(Text.assemble((f"{phase.name:12} ", "bold"), told(tally)))

    def compare(self, comparison: Comparison) -> None:
        self._settle()
        self._console.print()
        table = Table(title="the same weather for all", title_style="bold")
        table.add_column("")
        for run in comparison.runs:
            table.add_column(run.name, justify="right")
        table.add_column("where it comes from", style="dim")
        for row in comparison.rows:
            table.add_row(row.figure, *row.values, row.source)
        self._console.print(table)
        style = "bold green" if comparison.agrees else "bold red"
        for line in verdict(comparison):
            self._console.print(Text(line, style if comparison.picture is not None else ""))
        self._console.print()
        for line in footnotes(comparison):
            self._console.print(Text(line, "dim"))

    def _refresh(self) -> None:
        if self._live is not None:
            wide = self._console.width >= _WIDE
            self._live.update(rendered(self._picture, self._title, wide=wide), refresh=True)

    def _settle(self) -> None:
        """Leave what is shown where it is, and give the terminal back."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        status, self._status = self._status, None
        if status is not None:
            status.stop()


def rendered(picture: Picture, title: str, *, wide: bool = True) -> RenderableType:
    """The picture as rich draws it, in two columns or in one."""
    left = Group(_phases(picture), Text(), _attempts(picture.attempts))
    right = Group(
        _breakers(picture),
        _counts("tokens refreshed", picture.refreshes),
        _waits(picture),
        _retry_after(picture),
        _counts("gave up, or were refused", picture.give_ups),
        _counts("idempotency keys", {"sent again": picture.keys} if picture.keys else {}),
        _counts("maintenance windows", picture.windows),
        _counts("status pages", _ages(picture.feeds)),
    )
    grid = Table.grid(padding=(0, 2), expand=wide)
    if wide:
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(left, right)
    else:
        grid.add_row(left)
        grid.add_row(right)
    subtitle = Text("drawn from the exported telemetry")
    return Panel(grid, title=Text(title or "weatherglass"), subtitle=subtitle)


def _ages(feeds: Mapping[str, float]) -> dict[str, str]:
    return {name: f"read {seconds:.0f} s ago" for name, seconds in feeds.items()}


def _phases(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 1))
    for phase in picture.phases:
        share = min(phase.done, phase.planned)
        bar = ProgressBar(total=phase.planned, completed=share, width=_BAR)
        grid.add_row(phase.name, bar, f"{phase.done}/{phase.planned} done")
    return grid


def _attempts(attempts: Counter[str]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("attempts by failure kind", "bold"), "", "")
    most = max(attempts.values(), default=1)
    for kind, count in attempts.most_common():
        length = max(1, round(_BAR * count / most))
        colour = _COLOURS.get(kind, "dark_orange")
        grid.add_row(kind, Text("█" * length, colour), Text(str(count)))
    return grid


def _breakers(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("breakers", "bold"))
    for breaker in picture.breakers:
        state = Text(breaker.state, _STATE_COLOURS.get(breaker.state, ""))
        moves = breaker.moves.total()
        grid.add_row(breaker.name, state, f"{moves} moves, {breaker.refusals} refusals")
    return grid


def _waits(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("waits", "bold"))
    for waits in picture.waits:
        grid.add_row(waits.reason, str(waits.count), f"{waits.seconds:.0f} s in all")
    return grid


def _retry_after(picture: Picture) -> Group:
    seen = picture.retry_after
    head = f"forms of Retry-After: {len(seen)} of {len(RetryAfterVariant)} seen"
    return Group(
        Text(head, "bold"),
        Text(", ".join(sorted(seen)), "dim"),
        Text(", ".join(f"{count} {name}" for name, count in picture.dispositions.most_common())),
    )


def _counts(title: str, counts: Mapping[str, object]) -> Table:
    grid = Table.grid(padding=(0, 1))
    if counts:
        grid.add_row(Text(title, "bold"))
    for name, count in counts.items():
        grid.add_row(name, str(count))
    return grid
