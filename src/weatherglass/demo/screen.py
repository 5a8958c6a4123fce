"""What a display of the demo is told, and the words that all displays share.

Pure, but for the protocol's implementations, which live in
:mod:`~weatherglass.demo.lines` and :mod:`~weatherglass.demo.display`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol

from weatherglass.demo.comparison import Comparison
from weatherglass.demo.contest import Settings
from weatherglass.demo.fleet import PATIENCE, Tally
from weatherglass.demo.picture import Picture, listed
from weatherglass.demo.weather import Phase


class Screen(Protocol):
    """A display; used as a context manager by one thread."""

    def __enter__(self) -> Screen: ...  # noqa: PYI034 - Self needs Python 3.11

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def introduce(self, settings: Settings, *, collector: str | None) -> None:
        """Say what is going to happen; ``collector`` is where telemetry goes if not here."""
        ...

    def contestant_begins(self, name: str, *, watched: bool) -> None:
        """The next contestant sets out; ``watched`` if its telemetry is."""
        ...

    def phase_begins(self, phase: Phase) -> None:
        """The weather changes."""
        ...

    def draw(self, picture: Picture) -> None:
        """Show what telemetry says now."""
        ...

    def phase_ends(self, phase: Phase, tally: Tally) -> None:
        """All calls of the phase have ended."""
        ...

    def compare(self, comparison: Comparison) -> None:
        """Show the end."""
        ...


def introduction(settings: Settings, collector: str | None) -> Iterator[str]:
    """What is said at the beginning."""
    calls = sum(len(phase.calls) for phase in settings.phases)
    yield (
        f"weatherglass demo: {settings.workers} workers make {calls} calls in"
        f" {len(settings.phases)} kinds of weather; seed {settings.seed}"
    )
    yield (
        f"Time is compressed: {settings.speed:g} s of the demo's clock pass in one real second."
        " All durations, those in telemetry included, are seconds of that clock."
    )
    if collector is None:
        yield "What you see of weatherglass is drawn from what it exports to a receiver in here."
    else:
        yield (
            f"Telemetry goes to {collector}: look for service weatherglass-demo in what stands"
            " behind it. Only the progress is shown here."
        )


def told(tally: Tally) -> str:
    """What the callers got in a phase."""
    parts = [f"{tally.done} of {tally.planned} calls done"]
    if tally.failed:
        parts.append(f"{tally.failed.total()} failed ({listed(tally.failed)})")
    if tally.put_off:
        parts.append(f"put off {tally.put_off.total()} times ({listed(tally.put_off)})")
    return ", ".join(parts) + f"; {tally.seconds:.0f} s"


def verdict(comparison: Comparison) -> Iterator[str]:
    """Whether telemetry and ledger agree, and about what they do not."""
    if comparison.picture is None:
        yield "The telemetry went to your collector, so it is not compared with the ledger here."
    elif comparison.agrees:
        yield (
            f"Telemetry and ledger agree: {len(comparison.checks)} figures of weatherglass's calls"
            " to the API and its token endpoint, counted from its exports, are those of the"
            " server's ledger and of the callers."
        )
    else:
        yield "Telemetry and ledger DISAGREE:"
        for check in comparison.checks:
            if not check.agrees:
                yield (
                    f"  {check.figure}: {check.telemetry} by telemetry,"
                    f" {check.other} by the {check.source}"
                )


def footnotes(comparison: Comparison) -> Iterator[str]:
    """What failed, how it was made fair, and where to go from here."""
    for run in comparison.runs:
        if run.failed:
            yield f"failed with {run.name}: {listed(run.failed)}"
    yield (
        "Fair play: the same seed, weather, calls and workers for all, with as many retries for"
        " urllib3 as for weatherglass. A call that is told when to come back (by an open breaker,"
        " or by a Retry-After in whole seconds that plain code can read) is put off, not failed."
        " Whoever fails at once takes the least time."
    )
    yield (
        "weatherglass goes by its default policy and the profile of the API that the server is"
        " like, but for idempotency keys, which this server honours, and for waiting until the end"
        " of the maintenance window, of which the status page tells. urllib3 retries POST as well,"
        " and sleeps on the compressed clock; a sleep above"
        f" {PATIENCE:g} s is counted as a failed call (AsleepForTooLong)."
    )
    yield "Read on:"
    yield "  src/weatherglass/demo/contestants.py  how each of them is set up"
    yield "  docs/telemetry.md                     every name that this was drawn from"
    yield "  weatherglass explain --help           what it makes of an answer of your own API"
    yield "  weatherglass demo --otlp http://localhost:4318   the same in your own dashboards"
