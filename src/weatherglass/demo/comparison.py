"""The end of the demo: the contestants' figures side by side, and where each comes from.

Pure. The figures of all contestants come from their servers' ledgers and from what their callers
were told, never from what a contestant says of itself; that the telemetry of weatherglass says
the same is a check of its own. They count what the fleet does to API and token endpoint; that
weatherglass reads the status page beside it stands in a row of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weatherglass.demo.contest import Books, Run
from weatherglass.demo.picture import Picture
from weatherglass.diagnose.rules import meaning_of
from weatherglass.telemetry import registry
from weatherglass.vocabulary import Kind, Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all contestants."""

    figure: str
    values: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of weatherglass, as two sides tell it."""

    figure: str
    telemetry: int
    other: int
    source: str
    """Of the other figure."""

    @property
    def agrees(self) -> bool:
        return self.telemetry == self.other


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is left of a run of the demo."""

    runs: tuple[Run, ...]
    picture: Picture | None
    """The last one; ``None`` if the telemetry went elsewhere."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table."""
        runs = self.runs
        ledger = "the server's ledger"
        return (
            _row("calls to make", [run.planned for run in runs], "the script"),
            _row("calls failed", [run.failed.total() for run in runs], "what the callers got"),
            _row("calls put off", [run.put_off.total() for run in runs], "what the callers got"),
            _row("requests sent", [run.books.requests for run in runs], ledger),
            _row("duplicate executions", [run.books.duplicates for run in runs], ledger),
            _row("token calls", [run.books.token_calls for run in runs], ledger),
            _row("requests to the status page", [run.books.page_reads for run in runs], ledger),
            Row(
                "time",
                tuple(f"{run.seconds:.0f} s" for run in runs),
                "the compressed clock, while calls were under way",
            ),
        )

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether telemetry, ledger and callers tell the same story of weatherglass."""
        return () if self.picture is None else _checks(self.runs[0], self.picture)

    @property
    def agrees(self) -> bool:
        """Whether no check has found a difference."""
        return all(check.agrees for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types."""
        return {
            "contestants": [_plain(run) for run in self.runs],
            "telemetry": None if self.picture is None else _told(self.picture),
            "checks": [
                {
                    "figure": check.figure,
                    "telemetry": check.telemetry,
                    "other": check.other,
                    "source": check.source,
                }
                for check in self.checks
            ],
            "agrees": self.agrees,
        }


def _row(figure: str, numbers: Sequence[int], source: str) -> Row:
    return Row(figure, tuple(map(str, numbers)), source)


def _checks(run: Run, picture: Picture) -> tuple[Check, ...]:
    books, ledger, callers = run.books, "ledger", "callers"
    refreshes = picture.refreshes.total()
    ended = picture.calls
    unsuccessful = ended.total() - ended[Outcome.SUCCESS.value]
    answered = answered_by_kind(books)
    kinds = sorted(answered.keys() | picture.attempts.keys())
    return (
        Check("requests sent", picture.sent, books.requests + books.token_calls, ledger),
        *(Check(f"attempts: {k}", picture.attempts[k], answered[k], ledger) for k in kinds),
        Check("token refreshes", refreshes, books.token_calls, ledger),
        # A refresh is a call of its own; the fleet's callers know nothing of it.
        Check("calls that succeeded", ended[Outcome.SUCCESS.value] - refreshes, run.done, callers),
        Check(
            "calls that did not", unsuccessful, run.failed.total() + run.put_off.total(), callers
        ),
    )


def answered_by_kind(books: Books) -> Counter[str]:
    """The ledger's statuses as failure kinds, as far as this weather has them."""
    kinds: Counter[str] = Counter()
    for status, count in books.statuses.items():
        if status is None:
            kinds[Kind.CONNECTION_RESET.value] += count
        elif status < 400:
            kinds[registry.NO_FAILURE] += count
        else:
            kinds[meaning_of(status).kind.value] += count
    return kinds


def _plain(run: Run) -> dict[str, Any]:
    books = run.books
    return {
        "name": run.name,
        "calls": run.planned,
        "done": run.done,
        "failed": run.failed.total(),
        "failed_by": dict(run.failed),
        "put_off": run.put_off.total(),
        "requests": books.requests,
        "duplicates": books.duplicates,
        "replayed": books.replayed,
        "token_calls": books.token_calls,
        "page_reads": books.page_reads,
        "statuses": {str(status): count for status, count in books.statuses.items()},
        "compressed_seconds": round(run.seconds, 3),
        "phases": [
            {
                "name": tally.phase,
                "calls": tally.planned,
                "done": tally.done,
                "failed": dict(tally.failed),
                "put_off": dict(tally.put_off),
                "compressed_seconds": round(tally.seconds, 3),
            }
            for tally in run.tallies
        ],
    }


def _told(picture: Picture) -> dict[str, Any]:
    return {
        "attempts": dict(picture.attempts),
        "calls": dict(picture.calls),
        "retries": dict(picture.retries),
        "give_ups": dict(picture.give_ups),
        "retry_after": dict(picture.retry_after),
        "dispositions": dict(picture.dispositions),
        "waits": {w.reason: {"count": w.count, "seconds": w.seconds} for w in picture.waits},
        "breakers": {
            b.name: {
                "state": b.state,
                "moves": {str(move): count for move, count in b.moves.items()},
                "refusals": b.refusals,
            }
            for b in picture.breakers
        },
        "refreshes": dict(picture.refreshes),
    }
