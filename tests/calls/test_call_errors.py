"""Our exceptions as a caller meets them: each provoked by the weather that it stands for."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from requests import exceptions
from scenes import SHORT, Clock, token_source

import weatherglass
from weatherglass import (
    AttemptTimedOut,
    CallFailed,
    CircuitOpen,
    DeadlineExceeded,
    MaintenanceInProgress,
    MaintenancePolicy,
    MaintenanceWindow,
    NetworkFailed,
    Policy,
    RateLimited,
    ReauthenticationRequired,
    RetryAfterPolicy,
    Session,
    SessionClosed,
    StatusFailed,
    TokenRefreshFailed,
)
from weatherglass.runtime import Wakeable
from weatherglass.testing import CLIENT_SECRET, TOKEN_PATH, FakeServer, FaultPlan, faults
from weatherglass.tokens import TokenUnavailable

DOWN = FaultPlan.script(*[faults.answer(503)] * 20)
LIMITED = FaultPlan.script(faults.answer(429, retry_after=60))

Provoke = Callable[[FakeServer, Clock], object]


def status_failed(server: FakeServer, clock: Clock) -> None:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", raise_failures=True)


def network_failed(server: FakeServer, clock: Clock) -> None:
    server.plan = FaultPlan.script(*[faults.reset()] * 20)
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", raise_failures=True)


def attempt_timed_out(server: FakeServer, clock: Clock) -> None:
    server.plan = FaultPlan.script(*[faults.hang()] * 20)
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", raise_failures=True, timeout=(20, SHORT))


def circuit_open(server: FakeServer, clock: Clock) -> None:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        session.get(f"{server.url}/echo")
        session.get(f"{server.url}/echo")


def circuit_open_for_a_prepared_request(server: FakeServer, clock: Clock) -> None:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        session.get(f"{server.url}/echo")
        session.send(requests.Request("GET", f"{server.url}/echo").prepare())


def maintenance_in_progress(server: FakeServer, clock: Clock) -> None:
    server.plan = DOWN
    now = datetime.fromtimestamp(clock.time(), tz=timezone.utc)
    window = MaintenanceWindow(name="sunday", start=now, end=now + timedelta(hours=1))
    policy = Policy(maintenance=MaintenancePolicy(windows=(window,)))
    with Session(runtime=clock, policy=policy) as session:
        session.get(f"{server.url}/echo")
        session.get(f"{server.url}/echo")


def rate_limited(server: FakeServer, clock: Clock) -> None:
    server.plan = LIMITED
    impatient = Policy(retry_after=RetryAfterPolicy(ceiling=5))
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", max_retries=0)
        session.request("GET", f"{server.url}/echo", policy=impatient)


def deadline_exceeded(server: FakeServer, clock: Clock) -> None:
    server.plan = LIMITED
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", max_retries=0)
        session.request("GET", f"{server.url}/echo", deadline=5)


def deadline_in_a_body(server: FakeServer, clock: Clock) -> None:
    server.plan = FaultPlan.script(faults.drip(1, of=faults.answer(200, body=b"x" * 60)))
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", deadline=5)


class Closing(Clock):
    """A clock on which somebody closes the session while another thread waits."""

    session: Session | None = None

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        if self.session is not None:
            self.session.close()
        return super().wait(wake, seconds)


def session_closed(server: FakeServer, _clock: Clock) -> None:
    server.plan = LIMITED
    clock = Closing()
    with Session(runtime=clock) as session:
        session.request("GET", f"{server.url}/echo", max_retries=0)
        clock.session = session
        session.get(f"{server.url}/echo")


def token_refresh_failed(server: FakeServer, clock: Clock) -> None:
    server.plan = FaultPlan.script(*[faults.answer(500)] * 20, path=TOKEN_PATH)
    with Session(runtime=clock, tokens=token_source(server)) as session:
        session.get(f"{server.url}/echo")


def reauthentication_required(server: FakeServer, clock: Clock) -> None:
    tokens = token_source(server, client_secret="old" + CLIENT_SECRET)
    with Session(runtime=clock, tokens=tokens) as session:
        session.get(f"{server.url}/echo")


def reauthentication_after_an_answer(server: FakeServer, clock: Clock) -> None:
    grant = faults.answer(400, code="invalid_grant", spelling="oauth")
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(None, grant, path=TOKEN_PATH).rules,
            *FaultPlan.script(faults.answer(401), path="/echo").rules,
        )
    )
    with Session(runtime=clock, tokens=token_source(server)) as session:
        session.get(f"{server.url}/echo")


Unconnected = exceptions.ConnectionError
NoToken, Reauth = TokenUnavailable, ReauthenticationRequired

# Provocation, class, requests' class, cause, whether there was an answer, attempts.
Case = tuple[Provoke, type[CallFailed], type[Exception], type[Exception] | None, bool, int]
CASES: list[Case] = [
    (status_failed, StatusFailed, requests.HTTPError, None, True, 5),
    (network_failed, NetworkFailed, Unconnected, Unconnected, False, 4),
    (attempt_timed_out, AttemptTimedOut, requests.Timeout, requests.ReadTimeout, False, 4),
    (circuit_open, CircuitOpen, Unconnected, None, False, 0),
    (circuit_open_for_a_prepared_request, CircuitOpen, Unconnected, None, False, 0),
    (maintenance_in_progress, MaintenanceInProgress, Unconnected, None, False, 0),
    (rate_limited, RateLimited, exceptions.RetryError, None, False, 0),
    (deadline_exceeded, DeadlineExceeded, requests.Timeout, None, False, 0),
    (deadline_in_a_body, DeadlineExceeded, requests.Timeout, requests.ReadTimeout, True, 1),
    (session_closed, SessionClosed, Unconnected, None, False, 0),
    (token_refresh_failed, TokenRefreshFailed, Unconnected, NoToken, False, 0),
    (reauthentication_required, Reauth, Unconnected, NoToken, False, 0),
    (reauthentication_after_an_answer, Reauth, Unconnected, NoToken, True, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provoke", "ours", "theirs", "cause", "answered", "attempts"),
    CASES,
    ids=[case[0].__name__ for case in CASES],
)
def test_error_is_the_fitting_one_and_carries_the_call(
    server: FakeServer,
    clock: Clock,
    provoke: Provoke,
    ours: type[CallFailed],
    theirs: type[Exception],
    cause: type[Exception] | None,
    answered: bool,
    attempts: int,
) -> None:
    """D6: each error is the requests exception that fits, with request, response, report, cause."""
    with pytest.raises(CallFailed) as caught:
        provoke(server, clock)
    error = caught.value
    assert type(error) is ours
    assert isinstance(error, theirs)
    assert isinstance(error, requests.RequestException)
    assert error.request is not None
    assert error.request.url == f"{server.url}/echo"
    assert (error.response is not None) is answered
    assert len(error.report.attempts) == attempts
    assert error.failure == error.report.failure
    assert weatherglass.report(error) is error.report
    assert (error.__cause__ is None) if cause is None else isinstance(error.__cause__, cause)


@pytest.mark.parametrize("case", CASES, ids=[case[0].__name__ for case in CASES])
def test_error_survives_pickling_without_its_secrets(
    server: FakeServer, clock: Clock, case: tuple[Any, ...]
) -> None:
    """D6, T9: each error pickles with message and report, and takes no credential along."""
    with pytest.raises(CallFailed) as caught:
        case[0](server, clock)
    error = caught.value
    pickled = pickle.dumps(error)
    copy = pickle.loads(pickled)  # noqa: S301 - made two lines above
    assert (type(copy), str(copy), copy.report) == (type(error), str(error), error.report)
    assert (copy.failure, copy._extra()) == (error.failure, error._extra())
    if error.response is not None:
        assert copy.response.status_code == error.response.status_code
    told = pickled.decode("latin-1") + "".join(traceback.format_exception(error))
    assert CLIENT_SECRET not in told
    assert "access-" not in told


def test_refusals_say_when_to_come_back(server: FakeServer, clock: Clock) -> None:
    """D6, B6: an open breaker says when its next probe is due, a rate limit when it is over."""
    with pytest.raises(CircuitOpen) as opened:
        circuit_open(server, clock)
    assert opened.value.next_probe_in == pytest.approx(60 * 1.05)
    with pytest.raises(RateLimited) as limited:
        rate_limited(server, clock)
    assert limited.value.retry_after is not None
    assert limited.value.retry_after >= 60


def handled(provoke: Provoke, server: FakeServer, clock: Clock) -> str:
    try:
        provoke(server, clock)
    except requests.Timeout:
        return "timeout"
    except requests.ConnectionError:
        return "connection"
    except requests.HTTPError as error:
        return f"status {error.response.status_code}"
    return "nothing"


def test_application_s_own_except_clauses_still_hold(server: FakeServer, clock: Clock) -> None:
    """D6: code that handles requests' exceptions handles ours without knowing of them."""
    provocations = (attempt_timed_out, network_failed, status_failed)
    caught = [handled(provoke, server, clock) for provoke in provocations]
    assert caught == ["timeout", "connection", "status 503"]
