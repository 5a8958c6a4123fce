"""The bulk import of the examples: every row is settled, and every queue is made once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from bulk_runs import PASSED_ON, a_file, furnish, imported, made, named, rejects_of
from examples.bulk_import.command import DONE, INCOMPLETE
from examples.bulk_import.journal import State
from examples.bulk_import.queues import QUEUES
from examples.bulk_import.rows import read_rows

from weatherglass.testing import (
    CLIENT_SECRET,
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    FaultRule,
    Maintenance,
    RateLimit,
    Spelling,
    VirtualClock,
    faults,
    rules_of,
)
from weatherglass.testing.faults import Fault

WINDOW = "database upgrade"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock, require_tokens=True) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (faults.reset(), "created"),
        (faults.lose(), "confirmed"),
        (faults.cut(), "confirmed"),
        (faults.answer(503), "created"),
        (faults.answer(503, after_execution=True), "confirmed"),
        (faults.answer(502, form="html", after_execution=True), "confirmed"),
        (faults.answer(504, code="request.timeout", after_execution=True), "confirmed"),
        (faults.answer(500, after_execution=True), "confirmed"),
        (PASSED_ON, "confirmed"),
        (faults.answer(429, retry_after=30), "created"),
        (faults.answer(429, retry_after=600), "created"),
        (faults.answer(200, body="<html>", after_execution=True), "confirmed"),
        (faults.revoke(), "created"),
    ],
    ids=lambda given: getattr(given, "label", given),
)
def test_a_queue_is_made_once_whatever_happens_to_its_request(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, fault: Fault, state: str
) -> None:
    """S2, R3: whatever strikes a POST, its queue is made once, and the journal says how."""
    server.plan = FaultPlan.script(None, fault, path=QUEUES, method="POST")

    run = imported(server, a_file(tmp_path, named(3)), clock, workers=1)

    assert made(server) == dict.fromkeys(named(3), 1)
    assert [run.entries[name].state.value for name in named(3)] == ["created", state, "created"]
    assert run.code == DONE


def test_an_ambiguous_replay_is_ours_if_it_is_what_was_wanted(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """I5: ``duplicate.name`` for a request that was sent before is looked up, and confirmed."""
    server.plan = FaultPlan.script(PASSED_ON, path=QUEUES, method="POST")

    run = imported(server, a_file(tmp_path, ["Sales"]), clock)

    entry = run.entries["Sales"]
    assert (entry.state, entry.reason) == (State.CONFIRMED, "ambiguous_replay")
    assert entry.code == "duplicate.name"
    assert made(server) == {"Sales": 1}


def test_an_ambiguous_replay_is_a_conflict_if_it_is_something_else(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """I5: that a request was sent twice does not make ours what stands under its name."""
    furnish(server, {"name": "Sales", "description": "made by hand"})
    unheard = faults.answer(408, code="client.timeout")
    server.plan = FaultPlan.script(unheard, path=QUEUES, method="POST")

    run = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert run.entries["Sales"].state is State.CONFLICT
    assert run.code == INCOMPLETE


@pytest.mark.parametrize(
    "script",
    [
        (PASSED_ON, faults.answer(400)),
        (faults.answer(429, retry_after=600, after_execution=True), faults.answer(400)),
        (PASSED_ON,) * 6,
        (faults.answer(429, retry_after=600, after_execution=True),),
    ],
)
def test_what_is_said_of_one_delivery_is_not_believed_of_another(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, script: tuple[Fault, ...]
) -> None:
    """A row that was sent before is looked up, even where the server says that it did nothing."""
    server.plan = FaultPlan.script(*script, path=QUEUES, method="POST")

    run = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert run.entries["Sales"].state is State.CONFIRMED
    assert made(server) == {"Sales": 1}


def test_a_name_that_others_have_taken_is_judged_by_its_settings(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """A queue that was there is no success of ours: as wanted it is fine, else it is a reject."""
    file = a_file(tmp_path, ["Sales", "Service"])
    sales, service = (row.payload() for row in read_rows(file))
    furnish(server, {**sales, "memberCount": 3})
    furnish(server, {**service, "acwSettings": {"timeoutMs": 1000}})

    run = imported(server, file, clock)

    assert run.entries["Sales"].state is State.EXISTS
    assert run.entries["Service"].state is State.CONFLICT
    assert not made(server)
    (reject,) = rejects_of(file)
    assert reject["reason"] == "other settings: acwSettings.wrapupPrompt, acwSettings.timeoutMs"


def test_a_name_with_an_asterisk_is_not_taken_for_another(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """To the server an asterisk is a wildcard, so what it finds is held against the very name."""
    found = faults.answer(200, json={"entities": [{"name": "Sales *"}], "pageCount": 1})
    server.plan = FaultPlan(
        rules=(
            FaultRule(fault=faults.reset(), method="POST", path=QUEUES, nth=(1,)),
            FaultRule(fault=found, method="GET", path=QUEUES),
        )
    )

    run = imported(server, a_file(tmp_path, ["*"]), clock)

    assert run.entries["*"].state is State.CREATED


def test_rejects_say_why_and_can_be_imported_when_they_are_corrected(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """A row that the server does not want is not sent again, and its reason is kept with it."""
    refused = faults.answer(400, code="bad.request", message="The division is not yours.")
    server.plan = FaultPlan.script(None, refused, path=QUEUES, method="POST")
    file = a_file(tmp_path, named(3))

    run = imported(server, file, clock, workers=1)

    (reject,) = rejects_of(file)
    assert run.code == INCOMPLETE
    assert (reject["name"], reject["reason"], reject["code"]) == (
        "Queue 2",
        "rejected",
        "bad.request",
    )
    assert reject["message"] == "The division is not yours."
    assert len(reject["correlation_id"]) == 36
    corrected = file.with_suffix(".rejects.csv")
    assert imported(server, corrected, clock).code == DONE
    assert made(server) == dict.fromkeys(named(3), 1)


def test_a_500_that_was_not_executed_is_looked_up_once_and_rejected(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """C4: a 500 may have been executed but is not worth a retry, so a look decides."""
    server.plan = FaultPlan.script(faults.answer(500), path=QUEUES, method="POST")

    run = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert run.entries["Sales"].state is State.REJECTED
    post, get = server.ledger.requests(path=QUEUES)
    assert (post.method, get.method) == ("POST", "GET")
    # What was made a moment ago need not be found yet, and a reject is for good.
    assert get.arrived_at - post.arrived_at >= 2


def test_a_window_in_the_middle_costs_time_and_no_row(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """M3, M4: in a window that the status page announces calls wait, and their reports name it."""
    server.plan = FaultPlan(
        rules=(FaultRule(fault=faults.delay(15), method="POST", path=QUEUES, nth=(3,)),),
        maintenance=(Maintenance(name=WINDOW, start=10, end=1800),),
    )

    run = imported(server, a_file(tmp_path, named(8)), clock, workers=1)

    assert run.code == DONE
    assert made(server) == dict.fromkeys(named(8), 1)
    assert run.tally.windows[WINDOW] >= 2
    assert run.tally.waited["maintenance"] > 1700
    assert clock.monotonic() > 1800
    assert server.ledger.by_status(path=QUEUES)[503] < 5


def test_the_rate_limit_is_kept_and_not_hit(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """G4: at full speed against a limit the import waits by itself, and meets no 429."""
    server.plan = FaultPlan(rate_limit=RateLimit(limit=20, window=60))

    run = imported(server, a_file(tmp_path, named(60)), clock, workers=4)

    assert run.code == DONE
    assert run.tally.waited["pacing"] > 0
    assert 429 not in server.ledger.by_status(path=QUEUES)


def test_an_outage_puts_rows_back_until_it_is_over(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """B6: what an open breaker refuses was not sent, and has its turn when the server is back."""
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503), path=QUEUES, until=400),))

    run = imported(server, a_file(tmp_path, named(12)), clock, workers=4)

    assert run.code == DONE
    assert run.tally.gave_up["circuit_open"] > 0
    assert made(server) == dict.fromkeys(named(12), 1)


def test_a_row_that_nothing_can_be_found_out_about_stays_in_doubt(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """What cannot be settled is not guessed at: the row is left to the next run, and told."""
    server.plan = FaultPlan(
        rules=(
            FaultRule(fault=faults.lose(), method="POST", path=QUEUES, nth=(1,)),
            FaultRule(fault=faults.answer(500), method="GET", path=QUEUES),
        )
    )
    file = a_file(tmp_path, ["Sales"])

    left = imported(server, file, clock)

    assert left.entries["Sales"].state is State.IN_DOUBT
    assert left.code == INCOMPLETE
    server.plan = FaultPlan()
    assert imported(server, file, clock).entries["Sales"].state is State.CONFIRMED
    assert made(server) == {"Sales": 1}


def test_a_queue_that_exists_and_does_not_show_is_looked_for_and_not_sent_again(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """A name that is taken by what this client may not see stays in doubt, after one POST."""
    furnish(server, {"name": "Sales"})
    nothing = faults.answer(200, json={"entities": [], "pageCount": 1})
    server.plan = FaultPlan(rules=(FaultRule(fault=nothing, method="GET", path=QUEUES),))

    run = imported(server, a_file(tmp_path, ["Sales"]), clock)

    assert run.entries["Sales"].state is State.TAKEN
    assert run.code == INCOMPLETE
    assert len(server.ledger.requests(path=QUEUES, method="POST")) == 1


def test_what_no_row_can_help_stops_the_import(
    server: FakeServer, clock: VirtualClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A permission that is missing makes no rejects of thousands of rows: they stay to be done."""
    forbidden = faults.answer(403, code="missing.permissions", message="routing:queue:add")
    server.plan = FaultPlan.script(None, forbidden, path=QUEUES, method="POST")
    file = a_file(tmp_path, named(5))

    stopped = imported(server, file, clock, workers=1)

    assert stopped.code == INCOMPLETE
    assert (
        "no row can succeed: forbidden (status 403): routing:queue:add" in capsys.readouterr().out
    )
    assert made(server) == {"Queue 1": 1}
    assert imported(server, file, clock).code == DONE
    assert made(server) == dict.fromkeys(named(5), 1)


def test_no_secret_is_written_down(
    server: FakeServer,
    clock: VirtualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """T9: journal, rejects, log and screen have neither secret nor token, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    refused = faults.answer(400, code="invalid_client", spelling=Spelling.OAUTH)
    bad_rows = (faults.answer(400, code="bad.request"), faults.lose(), faults.revoke())
    server.plan = FaultPlan(
        rules=(
            *rules_of(None, refused, path=TOKEN_PATH),
            *rules_of(*bad_rows, path=QUEUES, method="POST"),
        )
    )
    file = a_file(tmp_path, named(5))

    run = imported(server, file, clock, workers=1)

    said = [each.read_text(encoding="utf-8") for each in sorted(tmp_path.iterdir())]
    everything = "\n".join([*said, caplog.text, *capsys.readouterr()])
    assert run.code == INCOMPLETE
    assert len(said) == 3
    assert "no row can succeed: reauthentication" in everything
    assert CLIENT_SECRET not in everything
    assert "access-" not in everything


def test_a_second_run_sends_nothing_that_is_done(
    server: FakeServer, clock: VirtualClock, tmp_path: Path
) -> None:
    """What the journal says is done is not even asked about."""
    file = a_file(tmp_path, named(5))
    imported(server, file, clock)
    server.ledger.clear()

    assert imported(server, file, clock).code == DONE
    assert not server.ledger.requests(path=QUEUES)
