"""Runs of the bulk import against the fake server, for its tests."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from examples.bulk_import.command import run, session_for
from examples.bulk_import.importer import Importer, Tally
from examples.bulk_import.journal import Entry, Journal
from examples.bulk_import.progress import Lines
from examples.bulk_import.queues import QUEUES
from examples.bulk_import.rows import digest, read_rows

from weatherglass.genesys import Session
from weatherglass.runtime import Runtime
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer, faults

PASSED_ON = faults.answer(408, code="client.timeout", after_execution=True)
"""The answer of a gateway that speaks of a request as not arrived, although it has passed it on."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run."""

    entries: Mapping[str, Entry]
    tally: Tally
    code: int


def named(count: int) -> list[str]:
    """So many names of queues."""
    return [f"Queue {number}" for number in range(1, count + 1)]


def a_file(folder: Path, names: Sequence[str], description: str = "made by us") -> Path:
    """A CSV file with queues of these names."""
    file = folder / "queues.csv"
    lines = [f"{name},{description},BEST,30\n" for name in names]
    head = "name,description,skill_evaluation,wrapup_seconds\n"
    file.write_text(head + "".join(lines), encoding="utf-8")
    return file


@contextmanager
def a_session(server: FakeServer, clock: Runtime) -> Iterator[Session]:
    """A session as the import makes it, for the fake server."""
    with session_for(
        Lines(1),
        clock=clock,
        region="us-east-1",
        api_url=server.url,
        login_url=server.url,
        status_feed=server.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    ) as session:
        session.trust_env = False
        yield session


def journal_of(file: Path, target: str, clock: Runtime) -> Journal:
    """The journal of importing this file."""
    rows = digest(read_rows(file))
    return Journal(file.with_suffix(".journal"), target=target, digest=rows, clock=clock)


def imported(server: FakeServer, file: Path, clock: Runtime, *, workers: int = 2) -> Run:
    """Import a file."""
    rows = read_rows(file)
    with a_session(server, clock) as session, closing(journal_of(file, server.url, clock)) as known:
        session.adapter.read_feeds()
        importer = Importer(session, known, clock=clock, workers=workers)
        code = run(importer, known, rows, Lines(len(rows)), file.with_suffix(".rejects.csv"))
        return Run(known.entries(), importer.tally, code)


def furnish(server: FakeServer, queue: Mapping[str, object]) -> None:
    """Let a queue be there that others have made."""
    headers = {"Authorization": f"Bearer {server.issue_token()}"}
    with requests.Session() as session:
        session.trust_env = False
        url = server.url + QUEUES
        session.post(url, json=queue, headers=headers, timeout=10).raise_for_status()
    server.ledger.clear()


def made(server: FakeServer) -> Counter[str]:
    """How often the server has made each queue."""
    posts = server.ledger.executions(path=QUEUES, method="POST")
    return Counter(json.loads(entry.body)["name"] for entry in posts)


def rejects_of(file: Path) -> list[dict[str, str]]:
    """The file of rejects."""
    with file.with_suffix(".rejects.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
