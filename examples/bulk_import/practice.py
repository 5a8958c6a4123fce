"""A practice run: the import against a fake server in bad weather.

The first run dies in the middle, as if its process had been killed; the second goes on from the
journal. In the end the journal is held against the server's ledger.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from weatherglass.genesys import Session
from weatherglass.runtime import Runtime
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer, ScaledClock

from .command import DONE, INCOMPLETE, INTERRUPTED, announce, run, session_for
from .comparison import Comparison, compare
from .importer import Importer
from .journal import Entry, Journal, State
from .progress import Progress, done, progress
from .queues import QUEUES
from .rows import COLUMNS, BadInput, Row, digest, read_rows
from .weather import PER_MINUTE, weather

_WORKERS = 8
_TOKEN_LIFETIME = 150.0
"""Scaled seconds; so tokens come to their end in the middle."""
_KILLED_AT = 0.3
"""The share of the rows that is done when the first run dies."""
_FEWEST = 50
_SPEEDS = (1.0, 100.0)
_TEAMS = ("Sales", "Service", "Billing", "Claims", "Complaints")


class Killed(OSError):
    """What the first run ends with."""


class MortalJournal(Journal):
    """A journal whose process is killed after so many rows: not a line is written any more."""

    lives_for = 0

    def write(self, entry: Entry) -> None:
        """Put an entry on the disk, unless it is too late."""
        if done(self.counts()) >= self.lives_for:
            raise Killed("the process was killed")
        super().write(entry)


def practise(
    count: int,
    *,
    seed: int = 1,
    speed: float = 15.0,
    plain: bool = False,
    keep: Path | None = None,
) -> int:
    """Import so many made-up rows; returns the exit code.

    ``keep`` is the folder in which CSV file, journal and rejects are left; it is new or empty.

    Raises:
        BadInput: for too few rows, a speed that is none, or a folder that cannot be used.
    """
    slowest, fastest = _SPEEDS
    if count < _FEWEST or not slowest <= speed <= fastest:
        raise BadInput(
            f"a practice run has {_FEWEST} rows or more, and a speed from {slowest:g} to"
            f" {fastest:g}; this one would have {count} and {speed:g}"
        )
    clock = ScaledClock(speed, seed)
    server = FakeServer(clock=clock, seed=seed, require_tokens=True, token_lifetime=_TOKEN_LIFETIME)
    with TemporaryDirectory() as folder, server:
        file = _made_empty(keep or Path(folder)) / "queues.csv"
        _write_rows(file, count, random.Random(seed))  # noqa: S311 - rows that can be made again
        rejects = None if keep is None else file.with_suffix(".rejects.csv")
        with progress(count, plain=plain) as shown:
            comparison = _both_runs(server, file, rejects, shown, clock)
    for line in comparison.lines():
        print(line)
    return DONE if comparison.agrees else INCOMPLETE


def _both_runs(
    server: FakeServer, file: Path, rejects: Path | None, shown: Progress, clock: Runtime
) -> Comparison:
    rows = read_rows(file)
    before = rows[:: len(rows) // 6]
    _furnish(server, before)
    server.plan = weather(len(rows))
    shown.note(f"{len(rows):,} rows; {PER_MINUTE} requests a minute are allowed")
    place, about = file.with_suffix(".journal"), {"target": server.url, "digest": digest(rows)}
    with closing(MortalJournal(place, clock=clock, **about)) as journal:
        journal.lives_for = int(_KILLED_AT * len(rows))
        _until_killed(server, journal, rows, shown, clock)
    with (
        closing(Journal(place, clock=clock, **about)) as journal,
        _session(server, shown, clock) as session,
    ):
        announce(session, shown)
        importer = Importer(session, journal, clock=clock, workers=_WORKERS)
        if run(importer, journal, rows, shown, rejects) == INTERRUPTED:
            raise KeyboardInterrupt
        return compare(server.ledger, rows, journal, frozenset(row.name for row in before))


def _until_killed(
    server: FakeServer, journal: Journal, rows: Sequence[Row], shown: Progress, clock: Runtime
) -> None:
    with _session(server, shown, clock) as session:
        announce(session, shown)
        importer = Importer(session, journal, clock=clock, workers=_WORKERS)
        try:
            importer.run(rows, lambda: shown.show(journal.counts()))
        except Killed as killed:
            counts = journal.counts()
            lost = counts[State.SENDING] + counts[State.IN_DOUBT]
            shown.note(
                f"{killed}, with {lost} rows in doubt; a second one goes on from its journal"
            )


def _session(server: FakeServer, shown: Progress, clock: Runtime) -> Session:
    session = session_for(
        shown,
        clock=clock,
        # The region whose maintenance the server's status page announces.
        region="us-east-1",
        api_url=server.url,
        login_url=server.url,
        status_feed=server.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    # A fake server is on this machine, whatever proxy leads out of it.
    session.trust_env = False
    return session


def _made_empty(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror or error}") from error
    if used:
        raise BadInput(f"{folder} is not empty; a practice run's files need a folder of their own")
    return folder


def _write_rows(file: Path, count: int, chance: random.Random) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number in range(1, count + 1):
            team = chance.choice(_TEAMS)
            evaluation, seconds = chance.choice(("", "BEST", "ALL")), chance.choice(("", 15, 30))
            writer.writerow((f"{team} {number:05}", f"Calls for {team}", evaluation, seconds))


def _furnish(server: FakeServer, rows: Sequence[Row]) -> None:
    """Let some of the queues be there already, every other one with other settings."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {server.issue_token()}"
        for number, row in enumerate(rows):
            queue = row.payload()
            if number % 2:
                queue["description"] = "made by hand"
            session.post(server.url + QUEUES, json=queue, timeout=10).raise_for_status()
    server.ledger.clear()
