"""What is wanted: the rows of the CSV file, each a queue.

Everything that is wrong with a file is found here, before anything is sent.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("name", "description", "skill_evaluation", "wrapup_seconds")
"""Only the name is required; an empty cell leaves the setting to the server."""

REJECT_COLUMNS = ("reason", "code", "message", "correlation_id")
"""What the file of rejects has besides. They are skipped, so a corrected one can be imported."""

_SKILL_EVALUATIONS = ("", "NONE", "BEST", "ALL")
_MOST_TOLD = 10
"""How many mistakes of a file are told at once."""


class BadInput(Exception):
    """Something that was given cannot be used; the text says what, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One queue that is wanted."""

    line: int
    """Where it stands in the file."""
    cells: Mapping[str, str]

    @property
    def name(self) -> str:
        """The queue's name: what a row is known by, here and on the server."""
        return self.cells["name"]

    def payload(self) -> dict[str, Any]:
        """The body that creates the queue."""
        body: dict[str, Any] = {"name": self.name}
        if self.cells["description"]:
            body["description"] = self.cells["description"]
        if self.cells["skill_evaluation"]:
            body["skillEvaluationMethod"] = self.cells["skill_evaluation"]
        if self.cells["wrapup_seconds"]:
            milliseconds = int(self.cells["wrapup_seconds"]) * 1000
            body["acwSettings"] = {
                "wrapupPrompt": "MANDATORY_TIMEOUT",
                "timeoutMs": milliseconds,
            }
        return body


def read_rows(file: Path) -> list[Row]:
    """The rows of a file, which is UTF-8 with a header line.

    Raises:
        BadInput: when the file is missing, or anything in it is wrong.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            _check_header(file, header)
            rows = [_row(file, reader.line_num, header, cells) for cells in reader if any(cells)]
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8: {error}") from error
    except csv.Error as error:
        raise BadInput(f"{file} is not a CSV file: {error}") from error
    mistakes = list(_mistakes(rows))
    if not rows:
        mistakes = ["it has no rows"]
    if mistakes:
        raise BadInput(f"{file} is not imported:\n" + _list_of(mistakes))
    return rows


def digest(rows: Sequence[Row]) -> str:
    """What tells these rows from others."""
    text = json.dumps([dict(row.cells) for row in rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_header(file: Path, header: Sequence[str]) -> None:
    known = (*COLUMNS, *REJECT_COLUMNS)
    wrong = [column for column in header if column not in known]
    if "name" not in header or wrong or len(set(header)) < len(header):
        given = ", ".join(header) if any(header) else "empty"
        raise BadInput(
            f"{file}: the first line is {given},\nbut must name columns once each, out of"
            f" {', '.join(COLUMNS)}; name is required"
        )


def _row(file: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise BadInput(
            f"{file}: line {line} has {len(cells)} cells, but the first line names {len(header)}"
        )
    found = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
    return Row(line, {column: found.get(column, "") for column in COLUMNS})


def _mistakes(rows: Sequence[Row]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for row in rows:
        # Whether the server tells names apart by case alone is not for a file to find out.
        first = lines.setdefault(row.name.casefold(), row.line)
        evaluation, seconds = row.cells["skill_evaluation"], row.cells["wrapup_seconds"]
        if not row.name:
            yield f"line {row.line} has no name"
        elif first != row.line:
            yield f"line {row.line} has the name {row.name!r}, as line {first} has already"
        if evaluation not in _SKILL_EVALUATIONS:
            allowed = ", ".join(_SKILL_EVALUATIONS[1:])
            yield f"line {row.line}: skill_evaluation is {evaluation!r}, but must be {allowed}"
        if seconds and not (seconds.isascii() and seconds.isdigit() and len(seconds) < 6):
            yield f"line {row.line}: wrapup_seconds is {seconds!r}, but must be a whole number"


def _list_of(mistakes: Sequence[str]) -> str:
    told = [f"  {mistake}" for mistake in mistakes[:_MOST_TOLD]]
    if len(mistakes) > _MOST_TOLD:
        told.append(f"  and {len(mistakes) - _MOST_TOLD} more")
    return "\n".join(told)
