"""The end of the demo: figures side by side, their sources, and the check of the telemetry."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace

import pytest
from demo_records import attempts, histogram
from rich.console import Console

from weatherglass.demo.comparison import Check, Comparison, answered_by_kind
from weatherglass.demo.contest import Books, Run, Settings, books_of
from weatherglass.demo.display import Display, rendered
from weatherglass.demo.fleet import Tally
from weatherglass.demo.lines import Lines, table
from weatherglass.demo.picture import NOTHING, Picture, newest, picture
from weatherglass.demo.screen import Screen, told
from weatherglass.demo.weather import Call, Phase
from weatherglass.telemetry import registry
from weatherglass.testing import Ledger, MetricPoint

OURS = Run(
    name="weatherglass",
    tallies=(
        Tally("calm", 4, 4, seconds=1.0),
        Tally("storm", 4, 3, Counter(not_found=1), Counter(circuit_open=2), 9.4),
    ),
    books=Books(
        requests=9,
        token_calls=1,
        page_reads=6,
        duplicates=0,
        replayed=1,
        statuses=Counter({200: 8, 404: 1, None: 1}),
    ),
)
THEIRS = Run(
    name="requests",
    tallies=(Tally("calm", 8, 2, Counter({"HTTP 503": 6}), seconds=3.0),),
    books=Books(
        requests=8, token_calls=2, duplicates=1, replayed=0, statuses=Counter({503: 6, 200: 4})
    ),
)


def ended(outcome: str, count: int) -> MetricPoint:
    return histogram(registry.CALL_DURATION, count, OUTCOME=outcome)


@pytest.fixture
def seen() -> Picture:
    """What telemetry has to say for it to be the story of ``OURS``."""
    points = [
        *attempts(none=8, not_found=1, connection_reset=1),
        ended("success", 8),
        ended("failed", 1),
        ended("refused", 2),
        histogram(registry.TOKEN_REFRESH_DURATION, 1, TOKEN_REASON="missing"),
    ]
    return picture(newest(points), (), {"calm": 4, "storm": 4})


def test_the_table_has_every_figure_with_its_source(seen: Picture) -> None:
    """Each figure is the ledger's, the callers', the script's or the clock's, and says so."""
    rows = Comparison((OURS, THEIRS), seen).rows

    assert [(row.figure, row.values) for row in rows] == [
        ("calls to make", ("8", "8")),
        ("calls failed", ("1", "6")),
        ("calls put off", ("2", "0")),
        ("requests sent", ("9", "8")),
        ("duplicate executions", ("0", "1")),
        ("token calls", ("1", "2")),
        ("requests to the status page", ("6", "0")),
        ("time", ("10 s", "3 s")),
    ]
    assert all(row.source for row in rows)


def test_telemetry_that_tells_the_same_story_agrees(seen: Picture) -> None:
    """O2: attempts by kind, refreshes and ended calls are those of ledger and callers."""
    comparison = Comparison((OURS, THEIRS), seen)

    assert comparison.agrees
    assert {check.figure: check.telemetry for check in comparison.checks} == {
        "requests sent": 10,
        "attempts: connection_reset": 1,
        "attempts: none": 8,
        "attempts: not_found": 1,
        "token refreshes": 1,
        "calls that succeeded": 7,
        "calls that did not": 3,
    }


def test_one_missing_attempt_is_a_disagreement(seen: Picture) -> None:
    """O2: what the exports miss is named, with both figures."""
    short = replace(seen, attempts=seen.attempts - Counter(not_found=1))
    comparison = Comparison((OURS, THEIRS), short)

    assert not comparison.agrees
    assert [check for check in comparison.checks if not check.agrees] == [
        Check("requests sent", 9, 10, "ledger"),
        Check("attempts: not_found", 0, 1, "ledger"),
    ]
    assert "  attempts: not_found: 0 by telemetry, 1 by the ledger" in text_of(comparison)
    assert "DISAGREE" in drawing_of(comparison)


def test_without_a_picture_nothing_is_claimed() -> None:
    """With the telemetry elsewhere there is no check that could fail."""
    comparison = Comparison((OURS, THEIRS), None)

    assert (comparison.checks, comparison.agrees) == ((), True)
    assert "Telemetry and ledger agree" not in "\n".join(text_of(comparison))
    assert "your collector" in "\n".join(text_of(comparison))


def test_statuses_are_read_as_failure_kinds() -> None:
    """C4: the ledger's statuses are the kinds that an unaided reader would give them."""
    statuses = Counter({200: 1, 204: 2, 429: 3, 401: 4, 503: 5, 502: 6, 504: 7, None: 8})
    books = Books(requests=36, token_calls=0, duplicates=0, replayed=0, statuses=statuses)

    assert answered_by_kind(books) == Counter(
        none=3,
        rate_limited=3,
        unauthorized=4,
        unavailable=5,
        bad_gateway=6,
        gateway_timeout=7,
        connection_reset=8,
    )


def test_the_books_are_read_from_the_ledger() -> None:
    """Duplicates are executions beyond the first; tokens and the status page are counted apart."""
    ledger = Ledger()

    def entry(method: str, path: str, status: int | None, **more: bool) -> None:
        number = ledger.arrived(
            connection=1,
            method=method,
            path=path,
            query="",
            arrived_at=0.0,
            body_hash=path,
            body=b"",
            headers=(),
        )
        ledger.update(number, status=status, **more)

    entry("POST", "/oauth/token", 200, executed=True)
    for _ in range(3):
        entry("POST", "/api/a", None, executed=True)
    entry("POST", "/api/a", 200, replayed=True)
    entry("GET", "/api/b", 200, executed=True)
    for page in ("active", "upcoming"):
        entry("GET", f"/api/v2/scheduled-maintenances/{page}.json", 200, executed=True)

    assert books_of(ledger) == Books(
        requests=5,
        token_calls=1,
        page_reads=2,
        duplicates=2,
        replayed=1,
        statuses=Counter({200: 3, None: 3}),
    )


def test_the_figures_are_json(seen: Picture) -> None:
    """The figures can be written to a file as they are."""
    plain = json.loads(json.dumps(Comparison((OURS, THEIRS), seen).to_dict()))

    assert plain["agrees"] is True
    assert [run["failed"] for run in plain["contestants"]] == [1, 6]
    assert plain["contestants"][0]["statuses"] == {"200": 8, "404": 1, "None": 1}
    assert plain["telemetry"]["attempts"]["none"] == 8
    assert Comparison((OURS,), None).to_dict()["telemetry"] is None


def test_a_tally_is_told_in_words() -> None:
    """The line of a phase names what failed and what was put off, and only that."""
    storm = "3 of 4 calls done, 1 failed (1 not_found), put off 2 times (2 circuit_open); 9 s"

    assert [told(tally) for tally in OURS.tallies] == ["4 of 4 calls done; 1 s", storm]


def test_columns_are_aligned() -> None:
    """Names stand to the left, figures to the right."""
    assert table([["", "a", "source"], ["calls", "10", "x"]]) == [
        "        a  source",
        "calls  10  x",
    ]


def play(screen: Screen, comparison: Comparison) -> None:
    """A short run on a screen: one contestant watched, one not."""
    calm = Phase(name="calm", title="fine weather", calls=(Call("c", "GET", "/"),) * 4)
    with screen:
        screen.introduce(Settings(quick=True), collector=None)
        for run in comparison.runs:
            watched = run.name == "weatherglass" and comparison.picture is not None
            screen.contestant_begins(run.name, watched=watched)
            screen.phase_begins(calm)
            if watched:
                screen.draw(comparison.picture or NOTHING)
            screen.phase_ends(calm, run.tallies[0])
        screen.compare(comparison)


def text_of(comparison: Comparison) -> list[str]:
    lines: list[str] = []
    play(Lines(lines.append), comparison)
    return lines


def drawing_of(comparison: Comparison) -> str:
    console = Console(file=io.StringIO(), width=140, force_terminal=True, color_system=None)
    play(Display(console), comparison)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_tell_phases_changes_and_figures(seen: Picture) -> None:
    """Without a terminal: a line for each phase and each change, then the table."""
    lines = text_of(Comparison((OURS, THEIRS), seen))

    assert "== weatherglass (from its telemetry)" in lines
    assert "fine weather" in lines
    assert "    token refreshed: missing" in lines
    assert "    attempts: 8 none, 1 connection_reset, 1 not_found" in lines
    assert "calm         2 of 8 calls done, 6 failed (6 HTTP 503); 3 s" in lines
    assert any(line.startswith("duplicate executions") for line in lines)
    assert any(line.startswith("Telemetry and ledger agree") for line in lines)
    assert "failed with requests: 6 HTTP 503" in lines


def test_the_display_draws_what_the_lines_tell(seen: Picture) -> None:
    """In a terminal: the same picture and the same figures."""
    drawing = drawing_of(Comparison((OURS, THEIRS), seen))

    for expected in (
        "fine weather",
        "drawn from the exported telemetry",
        "connection_reset",
        "tokens refreshed",
        "forms of Retry-After: 0 of 22 seen",
        "duplicate executions",
        "Telemetry and ledger agree",
    ):
        assert expected in drawing


@pytest.mark.parametrize("wide", [True, False])
def test_the_picture_fits_its_terminal(seen: Picture, wide: bool) -> None:
    """Two columns where there is room for them, one where there is not."""
    width = 120 if wide else 72
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(rendered(seen, "calm", wide=wide))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    side_by_side = any("calm " in line and "breakers" in line for line in lines)

    assert {len(line) for line in lines} == {width}
    assert side_by_side is wide
