"""Our exceptions are those of requests, carry the story of the call, and travel.

That they chain their causes is shown where they are raised.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import requests

from weatherglass import errors
from weatherglass.errors import (
    AttemptTimedOut,
    CallFailed,
    CircuitOpen,
    DeadlineExceeded,
    InvalidPolicy,
    MaintenanceInProgress,
    NetworkFailed,
    RateLimited,
    ReauthenticationRequired,
    SessionClosed,
    StatusFailed,
    TokenRefreshFailed,
)
from weatherglass.report import CallReport, Failure
from weatherglass.vocabulary import Execution, Kind, Outcome

MATCHES: dict[type[CallFailed], type[requests.exceptions.RequestException]] = {
    CallFailed: requests.exceptions.RequestException,
    StatusFailed: requests.exceptions.HTTPError,
    NetworkFailed: requests.exceptions.ConnectionError,
    AttemptTimedOut: requests.exceptions.Timeout,
    CircuitOpen: requests.exceptions.ConnectionError,
    MaintenanceInProgress: requests.exceptions.ConnectionError,
    RateLimited: requests.exceptions.RetryError,
    DeadlineExceeded: requests.exceptions.Timeout,
    SessionClosed: requests.exceptions.ConnectionError,
    TokenRefreshFailed: requests.exceptions.ConnectionError,
    ReauthenticationRequired: requests.exceptions.ConnectionError,
}

SECRET = "Bearer hush"

FAILURE = Failure(
    Kind.UNAVAILABLE, transient=True, execution=Execution.REJECTED, status=503, raw={"code": "x"}
)

REPORT = CallReport(
    method="GET",
    url="https://api.example.com/",
    policy="default",
    outcome=Outcome.GAVE_UP,
    attempts=(),
    duration=1.5,
    failure=FAILURE,
)


def request() -> requests.PreparedRequest:
    made = requests.Request("GET", "https://api.example.com/", headers={"Authorization": SECRET})
    return made.prepare()


def response(content: bytes | bool = b'{"code": "x"}') -> requests.Response:
    made = requests.Response()
    made.status_code = 503
    made.url = "https://api.example.com/"
    made.reason = "Service Unavailable"
    made.headers["Retry-After"] = "5"
    made.request = request()
    vars(made).update(_content=content, _content_consumed=content is not False)
    return made


def raised(kind: type[CallFailed], answer: requests.Response | None = None) -> CallFailed:
    return kind("it failed", report=REPORT, request=request(), response=answer)


def travelled(error: CallFailed) -> CallFailed:
    copy: CallFailed = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    return copy


def test_every_error_of_a_call_is_listed_here() -> None:
    """D6: no exception of ours is left out of the claims below."""
    found = {
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, CallFailed)
    }

    assert found == set(MATCHES)


@pytest.mark.parametrize("kind", MATCHES)
def test_each_error_is_the_matching_one_of_requests(kind: type[CallFailed]) -> None:
    """D6: code that catches requests' exceptions catches ours."""
    assert issubclass(kind, MATCHES[kind])
    assert issubclass(kind, CallFailed)


def test_maintenance_is_an_open_circuit() -> None:
    """M3: a refusal in a maintenance window is of the same family as one of the breaker."""
    assert issubclass(MaintenanceInProgress, CircuitOpen)


def test_a_wrong_setting_is_a_value_error() -> None:
    """D16: `InvalidPolicy` is about an argument, not about a call."""
    assert issubclass(InvalidPolicy, ValueError)
    assert not issubclass(InvalidPolicy, requests.exceptions.RequestException)


@pytest.mark.parametrize("kind", MATCHES)
def test_each_error_carries_the_call(kind: type[CallFailed]) -> None:
    """D6: request, response, failure and report are at hand."""
    answer = response()
    error = raised(kind, answer)

    assert str(error) == "it failed"
    assert error.request is not None
    assert error.request.url == "https://api.example.com/"
    assert error.response is answer
    assert error.report is REPORT
    assert error.failure is FAILURE


@pytest.mark.parametrize("kind", MATCHES)
def test_each_error_travels(kind: type[CallFailed]) -> None:
    """D6: type, message, response, failure and report survive pickling."""
    copy = travelled(raised(kind, response()))

    assert type(copy) is kind
    assert str(copy) == "it failed"
    assert copy.report == REPORT
    assert copy.failure == FAILURE
    assert copy.response is not None
    assert (copy.response.status_code, copy.response.json()) == (503, {"code": "x"})
    assert copy.response.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("error", "field", "value"),
    [
        (CircuitOpen("open", report=REPORT, next_probe_in=12.5), "next_probe_in", 12.5),
        (CircuitOpen("open", report=REPORT), "next_probe_in", None),
        (MaintenanceInProgress("down", report=REPORT, next_probe_in=3), "next_probe_in", 3),
        (RateLimited("slow", report=REPORT, retry_after=7200.0), "retry_after", 7200.0),
    ],
)
def test_what_an_error_says_besides_travels(error: CallFailed, field: str, value: Any) -> None:
    """D6, B6: when the next probe is due and when a limit ends survive pickling."""
    assert getattr(error, field) == value
    assert getattr(travelled(error), field) == value


def redirected(depth: int) -> requests.Response:
    """A response after redirects, each of which knows those before it, as requests builds them."""
    history: list[requests.Response] = []
    for _ in range(depth):
        step = response()
        step.history = list(history)
        history.append(step)
    last = response()
    last.history = history
    return last


@pytest.mark.parametrize("answer", [None, response(), redirected(1), redirected(30)])
def test_no_credential_travels(answer: requests.Response | None) -> None:
    """T9, D6: neither the request nor those behind the response and its redirects are pickled."""
    error = raised(StatusFailed, answer)

    assert SECRET.encode() not in pickle.dumps(error)
    assert error.request is not None
    assert error.request.headers["Authorization"] == SECRET


def test_redirects_travel_without_their_requests() -> None:
    """D6: the history of a response is still there afterwards."""
    copy = travelled(raised(StatusFailed, redirected(3)))

    assert copy.response is not None
    assert [step.status_code for step in copy.response.history] == [503, 503, 503]


def test_an_unread_body_is_not_read_for_travelling() -> None:
    """D6, D10: pickling an error with a streamed response touches no socket and never fails."""
    copy = travelled(raised(StatusFailed, response(content=False)))

    assert copy.response is not None
    assert copy.response.content == b""
