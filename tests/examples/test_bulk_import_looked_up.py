"""The bulk import's look-ups: what they are believed to say, and what was known before them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bulk_runs import a_file, a_session, furnish, imported, journal_of, named
from examples.bulk_import.command import INCOMPLETE, INTERRUPTED, run
from examples.bulk_import.comparison import compare
from examples.bulk_import.importer import Importer
from examples.bulk_import.journal import Entry, State
from examples.bulk_import.progress import Lines
from examples.bulk_import.queues import QUEUES
from examples.bulk_import.rows import read_rows

from weatherglass.runtime import SYSTEM
from weatherglass.testing import FakeServer, FaultPlan, FaultRule, VirtualClock, faults
from weatherglass.testing.faults import Fault

LOST = faults.answer(500, after_execution=True)
WANTED: Mapping[str, Any] = {
    "name": "Sales",
    "description": "made by us",
    "skillEvaluationMethod": "BEST",
    "acwSettings": {"wrapupPrompt": "MANDATORY_TIMEOUT", "timeoutMs": 30000},
}
"""The queue of the row ``Sales``."""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock, require_tokens=True) as running:
        yield running


def found(queues: Sequence[Mapping[str, Any]], pages: int = 1) -> Fault:
    """A page of queues."""
    return faults.answer(200, json={"entities": list(queues), "pageCount": pages})


def answers(post: Fault, *looked_up: Fault) -> FaultPlan:
    """What the first POST and the first look-ups are answered."""
    rules = [FaultRule(fault=post, method="POST", path=QUEUES, nth=(1,))]
    for number, fault in enumerate(looked_up, start=1):
        rules.append(FaultRule(fault=fault, method="GET", path=QUEUES, nth=(number,)))
    return FaultPlan(rules=tuple(rules))


@pytest.mark.parametrize("body", [{}, {"entities": None}, []])
def test_an_answer_that_is_not_the_servers_does_not_say_that_there_is_none(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, body: object
) -> None:
    """A look-up that brings no list of queues has not been answered, and is made again."""
    server.plan = answers(LOST, faults.answer(200, json=body))

    done = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert done.entries["Sales"].state is State.CONFIRMED


@pytest.mark.parametrize("names", [["sales", "Sales"], ["Sales", "sales"]])
def test_where_two_names_differ_in_case_alone_the_very_name_counts(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, names: list[str]
) -> None:
    """A server that tells them apart may have both, and only one of them is what was wanted."""
    there = [{**WANTED, "name": name, "id": name, "description": "?"} for name in names]
    there[names.index("Sales")]["description"] = "made by us"
    server.plan = answers(faults.lose(), found(there))

    done = imported(server, a_file(tmp_path, ["Sales"]), clock)

    entry = done.entries["Sales"]
    assert (entry.state, entry.queue_id) == (State.CONFIRMED, "Sales")


def test_a_name_that_is_taken_in_another_case_is_a_conflict(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """A server that does not tell them apart has one of them, and it is not what was wanted."""
    taken = faults.answer(400, code="duplicate.name")
    server.plan = answers(taken, found([{**WANTED, "name": "SALES", "id": "1"}]))

    done = imported(server, a_file(tmp_path, ["Sales"]), clock)

    entry = done.entries["Sales"]
    assert (entry.state, entry.reason) == (State.CONFLICT, "other settings: name")
    assert done.code == INCOMPLETE


def test_all_pages_are_looked_through(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """What a name finds may be more than a page holds."""
    pages = (found([{"name": "Sales 2"}], pages=2), found([{**WANTED, "id": "1"}], pages=2))
    server.plan = answers(faults.lose(), *pages)

    done = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert done.entries["Sales"].state is State.CONFIRMED
    asked = [entry.query for entry in server.ledger.requests(path=QUEUES, method="GET")]
    assert ["pageNumber=1" in asked[0], "pageNumber=2" in asked[1]] == [True, True]


def test_the_code_is_understood_in_its_other_spelling(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """``DUPLICATE_NAME`` is the same, and no reason to reject a queue that is as it was wanted."""
    furnish(server, WANTED)
    server.plan = answers(faults.answer(400, code="duplicate.name", spelling="upper"))

    done = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert done.entries["Sales"].state is State.EXISTS


@pytest.mark.parametrize(
    ("known", "weather"),
    [
        # The look-up comes too early, and the queue is sent again.
        (
            Entry(name="Sales", state=State.SENDING),
            FaultRule(fault=found([]), method="GET", path=QUEUES, nth=(1,)),
        ),
        # The next call is given up before anything is sent.
        (
            Entry(name="Sales", state=State.OPEN, sent=True),
            FaultRule(fault=faults.answer(503), path="/oauth/token", until=4),
        ),
    ],
)
def test_that_a_row_was_sent_is_not_forgotten(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, known: Entry, weather: FaultRule
) -> None:
    """I5: whatever comes between, ``duplicate.name`` for a row that was sent may be by us."""
    furnish(server, WANTED)
    file = a_file(tmp_path, ["Sales"])
    with closing(journal_of(file, server.url, clock)) as journal:
        journal.write(known)
    server.plan = FaultPlan(rules=(weather,))

    done = imported(server, file, clock)

    assert done.entries["Sales"].state is State.CONFIRMED


def test_ctrl_c_does_not_wait_for_calls_that_wait(tmp_path: Path) -> None:
    """D14: a minute's wait for a rate limit is broken off, and its row is left to do."""
    limited = faults.answer(429, retry_after=60)
    file = a_file(tmp_path, named(2))
    plan = FaultPlan(rules=(FaultRule(fault=limited, method="POST", path=QUEUES),))
    with (
        FakeServer(plan, require_tokens=True) as server,
        a_session(server, SYSTEM) as session,
        closing(journal_of(file, server.url, SYSTEM)) as journal,
    ):
        started = time.monotonic()

        class Impatient(Lines):
            def show(self, counts: Counter[State]) -> None:
                super().show(counts)
                if server.ledger.by_status(path=QUEUES).get(429) and not self.interrupted:
                    self.interrupted = True
                    raise KeyboardInterrupt

            interrupted = False

        importer = Importer(session, journal, clock=SYSTEM, workers=2)
        code = run(importer, journal, read_rows(file), Impatient(2))

        assert code == INTERRUPTED
        assert time.monotonic() - started < 30
        assert journal.counts() == {State.OPEN: 2}


def test_a_practice_run_would_see_what_is_wrong(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """What is made twice, or made and not known, or known and not made, is told as wrong."""
    with a_session(server, clock) as session:
        for name in ("twice", "twice", "unknown"):
            made = session.post(QUEUES, json={"name": name}).json()
            if name == "twice":
                session.delete(f"{QUEUES}/{made['id']}")
    file = a_file(tmp_path, ["twice", "unknown", "never"])
    with closing(journal_of(file, server.url, clock)) as journal:
        for name in ("twice", "never"):
            journal.write(Entry(name=name, state=State.CREATED))

        comparison = compare(server.ledger, read_rows(file), journal, frozenset())

    assert comparison.mistakes == (
        "a queue was made more than once: twice",
        "made, but not in the journal: unknown",
        "in the journal, but not made: never",
        "not settled: unknown",
    )
    assert not comparison.agrees
