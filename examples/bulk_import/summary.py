"""What is said at the end of a run, and the file of rejects."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from .importer import Tally
from .journal import Entry, Journal, State
from .rows import COLUMNS, REJECT_COLUMNS, BadInput, Row

_MEANINGS = {
    State.CREATED: "created",
    State.CONFIRMED: "created, as a look-up confirmed",
    State.EXISTS: "there already, as wanted",
    State.CONFLICT: "there already, with other settings",
    State.REJECTED: "rejected",
    State.IN_DOUBT: "in doubt",
    State.SENDING: "in doubt",
    State.TAKEN: "in doubt",
    State.OPEN: "left to do",
}


def counted(rows: Sequence[Row], journal: Journal) -> dict[str, int]:
    """The number of rows by what has become of them."""
    counts = dict.fromkeys(_MEANINGS.values(), 0)
    for row in rows:
        counts[_MEANINGS[journal.last(row.name).state]] += 1
    return counts


def summary(rows: Sequence[Row], journal: Journal, tally: Tally) -> Iterator[str]:
    """The lines that a run ends with."""
    for meaning, number in counted(rows, journal).items():
        yield f"  {number:7,}  {meaning}"
    yield f"  {tally.calls:7,}  calls in this run"
    for reason, seconds in sorted(tally.waited.items()):
        if seconds >= 1:
            yield f"  {seconds:7,.0f}  seconds waited in them ({reason}), all threads together"
    for window, calls in tally.windows.items():
        yield f"  {calls:7,}  of them ran into the maintenance window {window!r}"
    for reason, calls in sorted(tally.gave_up.items()):
        yield f"  {calls:7,}  of them given up ({reason}), and their rows gone on with"


def check_place(file: Path) -> None:
    """Make sure that rejects can be written there and destroy nothing.

    Raises:
        BadInput: when there is no such folder, or a file of another kind.
    """
    if not file.absolute().parent.is_dir():
        raise BadInput(f"rejects cannot be written to {file}: there is no such folder")
    if not file.exists():
        return
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            header = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        header = []
    if header != [*COLUMNS, *REJECT_COLUMNS]:
        raise BadInput(f"rejects are not written to {file}: something else is there already")


def write_rejects(file: Path, rows: Sequence[Row], journal: Journal) -> int:
    """Write the rows that the server does not want, and why; returns how many.

    The file is written anew, whole or not at all. Without rejects there is none.
    """
    rejects = [
        (row, entry)
        for row in rows
        if (entry := journal.last(row.name)).state in (State.REJECTED, State.CONFLICT)
    ]
    if not rejects:
        file.unlink(missing_ok=True)
        return 0
    unfinished = file.with_name(file.name + ".part")
    with unfinished.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow((*COLUMNS, *REJECT_COLUMNS))
        for row, entry in rejects:
            writer.writerow([*(row.cells[column] for column in COLUMNS), *_why(entry)])
    unfinished.replace(file)
    return len(rejects)


def _why(entry: Entry) -> tuple[str | None, ...]:
    reason = entry.reason if entry.state is State.CONFLICT else str(entry.state.value)
    return reason, entry.code, entry.message, entry.correlation_id
