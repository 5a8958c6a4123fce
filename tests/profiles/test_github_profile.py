"""GitHub's API, taught by a profile of seventy lines: the core needs nothing else to know it.

The answers are shaped like GitHub's own, as its documentation and its users' reports have them.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import examples.github_profile as example
import pytest
import requests
from examples.github_profile import GITHUB

import weatherglass
from weatherglass import (
    Adapter,
    MaintenancePolicy,
    PacingPolicy,
    Policy,
    Session,
    StatusFeed,
    load_policy,
)
from weatherglass.report import Failure
from weatherglass.testing import (
    FakeServer,
    Fault,
    FaultPlan,
    Limiting,
    Maintenance,
    RateLimit,
    Telling,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import GiveUpReason, Kind, Replay, RetryAfterSource

ISSUES = "/repos/octo/hello/issues"
LABELS = "/repos/octo/hello/labels"
DOCUMENTATION = "https://docs.github.com/rest"
SECONDARY = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
)
PRIMARY = "API rate limit exceeded for user ID 583231."


class Clock(VirtualClock):
    """Time that passes only in waits, and chance that is always one half."""

    def random(self) -> float:
        return 0.5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock) as server:
        yield server


@pytest.fixture
def page(clock: Clock) -> Iterator[FakeServer]:
    """The server of the status page, which is another one, as GitHub's is."""
    with FakeServer(clock=clock) as page:
        yield page


def policy_for(page: FakeServer, **changes: Any) -> Policy:
    """The profile's policy, but for its status page: of two feeds of one name, ours stays."""
    feed = StatusFeed(page.url, name="github", components=("API Requests",), hosts=("127.0.0.1",))
    return GITHUB.policy(Policy(maintenance=MaintenancePolicy(feeds=(feed,)), **changes))


@pytest.fixture
def session(page: FakeServer, clock: Clock) -> Iterator[Session]:
    """A session that knows GitHub."""
    with Session(policy=policy_for(page), runtime=clock) as session:
        yield session


def github(status: int, message: str, /, **more: Any) -> Fault:
    """An error as GitHub writes one."""
    headers = {
        "X-GitHub-Request-Id": "C0FE:1A2B:3C4D",
        "X-Request-Id": "of-the-proxy",
        "ININ-Correlation-Id": None,
        **more.pop("headers", {}),
    }
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status), **more}
    return faults.answer(status, json=body, headers=headers)


def limits(clock: Clock, *, remaining: int, reset_in: float) -> dict[str, str]:
    """The headers that each answer of GitHub's has."""
    return {
        "X-RateLimit-Limit": "5000",
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Used": str(5000 - remaining),
        "X-RateLimit-Reset": str(math.ceil(clock.time() + reset_in)),
        "X-RateLimit-Resource": "core",
    }


def statuses(answer: requests.Response) -> list[int | None]:
    return [attempt.status for attempt in weatherglass.report(answer).attempts]


def first_failure(answer: requests.Response) -> Failure:
    failure = weatherglass.report(answer).attempts[0].failure
    assert failure is not None
    return failure


# --- rate limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 429])
def test_secondary_limit_is_waited_for_as_long_as_told(
    server: FakeServer, session: Session, clock: Clock, status: int
) -> None:
    """C8, A5: 403 or 429 with the words for it and a Retry-After, though requests are left."""
    headers = {**limits(clock, remaining=4990, reset_in=1800), "Retry-After": "60"}
    server.plan = FaultPlan.script(github(status, SECONDARY, headers=headers))
    before = clock.monotonic()
    answer = session.post(server.url + "/echo", data=b"x")

    assert statuses(answer) == [status, 200]
    failure = first_failure(answer)
    assert (failure.kind, failure.rule) == (Kind.RATE_LIMITED, "GitHub secondary rate limit")
    assert failure.retry_after is not None
    assert failure.retry_after.source is RetryAfterSource.RETRY_AFTER
    assert 60 <= clock.monotonic() - before <= 65


def test_secondary_limit_without_a_delay_is_waited_for_until_the_reset(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A3: as search does it: requests are left by the header, and yet none is let in before."""
    headers = limits(clock, remaining=14, reset_in=40)
    server.plan = FaultPlan.script(github(403, SECONDARY, headers=headers))
    before = clock.monotonic()
    answer = session.get(server.url + "/echo")

    assert statuses(answer) == [403, 200]
    assert 40 <= clock.monotonic() - before <= 46


@pytest.mark.parametrize("status", [403, 429])
def test_primary_limit_is_waited_for_until_its_reset(
    server: FakeServer, session: Session, clock: Clock, status: int
) -> None:
    """A3, A4: nothing is left, and the reset is a time in seconds since the epoch."""
    headers = limits(clock, remaining=0, reset_in=50)
    server.plan = FaultPlan.script(github(status, PRIMARY, headers=headers))
    before = clock.monotonic()
    answer = session.get(server.url + "/echo")

    failure = first_failure(answer)
    assert (failure.kind, failure.rule) == (Kind.RATE_LIMITED, "GitHub primary rate limit")
    assert failure.retry_after is not None
    assert failure.retry_after.source is RetryAfterSource.RATELIMIT_RESET
    assert statuses(answer) == [status, 200]
    assert 50 <= clock.monotonic() - before <= 56


def test_hour_s_limit_is_told_and_not_slept_through(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A6: a reset in forty minutes is the caller's to plan for: the raw value is in the report."""
    headers = limits(clock, remaining=0, reset_in=2400)
    server.plan = FaultPlan.script(github(403, PRIMARY, headers=headers))
    before = clock.monotonic()
    answer = session.get(server.url + "/echo")

    report = weatherglass.report(answer)
    assert report.give_up_reason is GiveUpReason.RETRY_AFTER_ABOVE_CEILING
    asked = first_failure(answer).retry_after
    assert asked is not None
    assert asked.raw == headers["X-RateLimit-Reset"]
    assert asked.seconds == pytest.approx(2400, abs=1)
    assert clock.monotonic() == before


def test_plain_403_is_not_a_limit(server: FakeServer, session: Session, clock: Clock) -> None:
    """C8: what a token may not do, it may not do later either."""
    headers = limits(clock, remaining=4999, reset_in=1800)
    fault = github(403, "Resource not accessible by integration", headers=headers)
    server.plan = FaultPlan.script(fault)
    answer = session.get(server.url + "/echo")

    assert statuses(answer) == [403]
    assert first_failure(answer).kind is Kind.FORBIDDEN


# --- other failures ---------------------------------------------------------------------------


def test_request_is_named_as_github_names_it(server: FakeServer, session: Session) -> None:
    """C2: the name that support asks for, though a proxy has put another one beside it."""
    server.plan = FaultPlan.script(github(404, "Not Found"))
    answer = session.get(server.url + "/echo")

    assert first_failure(answer).correlation_id == "C0FE:1A2B:3C4D"


def test_page_of_the_gateway_is_replayed_for_reads_only(
    server: FakeServer, session: Session
) -> None:
    """C4, R3: a 502 with HTML may hide a request that was executed."""
    page = faults.answer(502, form="html")
    for send, expected in (
        (session.get, [502, 200]),
        (session.put, [502, 200]),
        (session.post, [502]),
        (session.patch, [502]),
    ):
        server.plan = FaultPlan.script(page)
        assert statuses(send(server.url + "/echo")) == expected


def test_server_error_passes_for_github_and_for_nobody_else(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """C4, C5: that a 500 will pass is what the profile knows, and what a plain session does not."""
    server.plan = FaultPlan.script(github(500, "Server Error"))
    assert statuses(session.get(server.url + "/echo")) == [500, 200]
    server.plan = FaultPlan.script(github(500, "Server Error"))
    with Session(runtime=clock) as plain:
        assert statuses(plain.get(server.url + "/echo")) == [500]


def test_retries_are_few(server: FakeServer, session: Session) -> None:
    """R1: the profile's number holds: three retries."""
    server.plan = FaultPlan.script(*[github(500, "Server Error")] * 9)
    assert statuses(session.get(server.url + "/echo")) == [500] * 4


def test_validation_is_final(server: FakeServer, session: Session) -> None:
    """C6: a 422 is the caller's mistake; its code stands in the list of errors."""
    errors = [{"resource": "Issue", "field": "title", "code": "missing_field"}]
    fault = github(422, "Validation Failed", errors=errors)
    server.plan = FaultPlan.script(fault)
    answer = session.put(server.url + "/echo")

    assert statuses(answer) == [422]
    failure = first_failure(answer)
    assert (failure.kind, failure.code) == (Kind.INVALID_REQUEST, "missing_field")
    assert (failure.message, failure.transient) == ("Validation Failed", False)


def test_label_that_a_lost_answer_took_is_told_apart(server: FakeServer, session: Session) -> None:
    """R3, I5: creating a label is declared idempotent; "is there already" may be our own doing."""
    errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
    taken = github(422, "Validation Failed", errors=errors)
    server.plan = FaultPlan.script(faults.lose(), taken)
    answer = session.post(server.url + LABELS, json={"name": "bug"})

    assert statuses(answer) == [None, 422]
    assert weatherglass.report(answer).replay is Replay.AMBIGUOUS
    server.plan = FaultPlan.script(taken)
    answer = session.post(server.url + LABELS, json={"name": "bug"})
    assert weatherglass.report(answer).replay is None


def test_issue_is_never_created_twice(server: FakeServer, session: Session) -> None:
    """R3: an issue has no unique name: what may have been created is not created again."""
    server.plan = FaultPlan.script(faults.lose())
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        session.post(server.url + ISSUES, json={"title": "It broke"})

    assert weatherglass.report(caught.value).give_up_reason is GiveUpReason.METHOD_NOT_REPLAYABLE


# --- headroom and pacing ----------------------------------------------------------------------


def hourly(limit: int, window: float = 60.0) -> RateLimit:
    return RateLimit(limit=limit, window=window, algorithm=Limiting.WINDOW, telling=Telling.GITHUB)


def test_headroom_is_told(server: FakeServer, session: Session) -> None:
    """G4: what is left of GitHub's limit is a metric."""
    server.plan = FaultPlan(rate_limit=hourly(100))
    for _ in range(3):
        session.get(server.url + "/echo")
    adapter = session.get_adapter(server.url)
    assert isinstance(adapter, Adapter)

    assert [left for _, _, left in adapter.ratelimit_remaining()] == [97]


@pytest.mark.parametrize("paced", [True, False])
def test_paced_job_meets_no_limit(
    server: FakeServer, page: FakeServer, clock: Clock, paced: bool
) -> None:
    """G4: a job at full speed is slowed down before GitHub refuses; unpaced, it is refused."""
    server.plan = FaultPlan(rate_limit=hourly(50))
    policy = policy_for(page, pacing=PacingPolicy(enabled=paced))
    with Session(policy=policy, runtime=clock) as session:
        assert all(session.get(server.url + "/echo").ok for _ in range(180))

    refused = server.ledger.by_status().get(403, 0)
    assert (refused == 0) is paced


# --- maintenance ------------------------------------------------------------------------------


def test_maintenance_of_the_api_is_known_and_of_other_parts_not(
    server: FakeServer, page: FakeServer, session: Session
) -> None:
    """M1: of the status page, what is said of "API Requests" counts."""
    page.plan = FaultPlan(
        maintenance=(
            Maintenance(name="api", start=600, end=1200, components=("API Requests",)),
            Maintenance(name="copilot", start=300, end=900, components=("Copilot",)),
        )
    )
    adapter = session.get_adapter(server.url)
    assert isinstance(adapter, Adapter)
    adapter.read_feeds()

    assert [name for name, _, _, _ in adapter.maintenance_windows()] == ["api"]


# --- the profile itself -----------------------------------------------------------------------

FILE = """
name = "release-bot"
correlation_headers = ["X-Proxy-Id"]

[retry]
max_retries = 8

[pacing]
enabled = true

[[rules]]
name = "our proxy is full"
statuses = [403]
headers = ["X-Proxy-Full"]
transient = true
"""


def test_it_is_loaded_together_with_a_policy_file(
    server: FakeServer, page: FakeServer, clock: Clock, tmp_path: Path
) -> None:
    """D17: the application's file says how; the profile says what GitHub is like."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(
        FILE + f'[[maintenance.feeds]]\nurl = "{page.url}"\nname = "github"\n', encoding="utf-8"
    )
    policy = load_policy(file, environ={}, profile=GITHUB).policy
    assert policy == GITHUB.policy(load_policy(file, environ={}))
    assert (policy.name, policy.retry.max_retries, policy.pacing.enabled) == (
        "release-bot",
        8,
        True,
    )
    assert [feed.url for feed in policy.maintenance.feeds] == [page.url]

    full = github(403, "Full", headers={"X-Proxy-Full": "1", "X-Proxy-Id": "p-1"})
    secondary = github(403, SECONDARY, headers={"Retry-After": "2"})
    server.plan = FaultPlan.script(full, secondary)
    with Session(policy=policy, runtime=clock) as session:
        answer = session.get(server.url + "/echo")
    assert statuses(answer) == [403, 403, 200]
    found = [attempt.failure for attempt in weatherglass.report(answer).attempts[:2]]
    assert [(failure.rule, failure.correlation_id) for failure in found if failure] == [
        ("our proxy is full", "p-1"),
        ("GitHub secondary rate limit", "C0FE:1A2B:3C4D"),
    ]


def test_it_is_small_and_uses_public_names_only() -> None:
    """G1: what it took to teach weatherglass another vendor."""
    source = Path(str(example.__file__)).read_text(encoding="utf-8")
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }

    assert len(source.splitlines()) < 100
    assert imported <= {
        *(f"weatherglass.{name}" for name in weatherglass.__all__),
        "weatherglass.vocabulary.Execution",
        "weatherglass.vocabulary.Kind",
    }


def test_it_is_shown_as_it_is() -> None:
    """The page on profiles shows the file, line for line."""
    source = Path(str(example.__file__))
    page = source.parents[1] / "docs" / "profiles.md"

    assert f"```python\n{source.read_text(encoding='utf-8')}```" in page.read_text(encoding="utf-8")
