"""From an answer to its failure."""

from __future__ import annotations

import io
import json
import pickle
from email.utils import formatdate
from typing import Any

import pytest
import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from weatherglass.diagnose import classify_response, escalated, normalise
from weatherglass.errors import StatusFailed
from weatherglass.policy import Rule
from weatherglass.report import GENERIC, UNKNOWN, CallReport, Failure
from weatherglass.vocabulary import (
    Execution,
    Kind,
    Outcome,
    RetryAfterSource,
    RetryAfterVariant,
)

NOW = 1_800_000_000.0


def _classify(
    status: int,
    payload: Any = None,
    headers: dict[str, str] | None = None,
    rules: tuple[Rule, ...] = (),
) -> Failure:
    body = b"" if payload is None else json.dumps(payload).encode()
    failure = classify_response(
        status=status, headers=headers or {}, body=body, received_at=NOW, rules=rules
    )
    assert failure is not None
    return failure


class Untouchable(dict[str, str]):
    """Headers that must not be looked at."""

    def items(self) -> Any:
        raise AssertionError("looked at the headers of a success")

    get = __getitem__ = __contains__ = items  # type: ignore[assignment] # whatever is asked


@pytest.mark.parametrize("status", [100, 200, 204, 301, 304, 399])
def test_success_is_no_failure(status: int) -> None:
    """C1, C7: below 400 there is no failure, and neither headers nor body are looked at."""
    found = classify_response(
        status=status, headers=Untouchable(), body=b'{"code": "x"}', received_at=NOW
    )
    assert found is None


@pytest.mark.parametrize(
    ("status", "kind", "transient", "execution"),
    [
        (400, Kind.INVALID_REQUEST, False, Execution.REJECTED),
        (401, Kind.UNAUTHORIZED, False, Execution.REJECTED),
        (402, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (403, Kind.FORBIDDEN, False, Execution.REJECTED),
        (404, Kind.NOT_FOUND, False, Execution.REJECTED),
        (405, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (407, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (408, Kind.REQUEST_TIMEOUT, True, Execution.REJECTED),
        (409, Kind.CONFLICT, False, Execution.REJECTED),
        (410, Kind.NOT_FOUND, False, Execution.REJECTED),
        (413, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (415, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (422, Kind.INVALID_REQUEST, False, Execution.REJECTED),
        (425, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (429, Kind.RATE_LIMITED, True, Execution.REJECTED),
        (499, Kind.CLIENT_ERROR, False, Execution.REJECTED),
        (500, Kind.SERVER_ERROR, False, Execution.POSSIBLE),
        (501, Kind.SERVER_ERROR, False, Execution.REJECTED),
        (502, Kind.BAD_GATEWAY, True, Execution.POSSIBLE),
        (503, Kind.UNAVAILABLE, True, Execution.POSSIBLE),
        (504, Kind.GATEWAY_TIMEOUT, True, Execution.POSSIBLE),
        (505, Kind.SERVER_ERROR, False, Execution.REJECTED),
        (507, Kind.SERVER_ERROR, False, Execution.POSSIBLE),
        (520, Kind.SERVER_ERROR, False, Execution.POSSIBLE),
        (999, Kind.SERVER_ERROR, False, Execution.POSSIBLE),
    ],
)
def test_statuses(status: int, kind: Kind, transient: bool, execution: Execution) -> None:
    """C1, C2, C4: what a status alone means."""
    failure = _classify(status)
    assert (failure.kind, failure.transient, failure.execution) == (kind, transient, execution)
    assert failure.needs_token is (status == 401)
    assert (failure.status, failure.error_type) == (status, str(status))
    assert failure.rule == f"status {status}"


def test_transient_statuses_are_exactly_five() -> None:
    """C4: of all statuses 408, 429, 502, 503 and 504 alone are transient by default."""
    transient = [status for status in range(400, 600) if _classify(status).transient]
    assert transient == [408, 429, 502, 503, 504]


def test_all_fields() -> None:
    """C2, C3: a failure answers every question about an attempt."""
    payload = {"code": "too.many.requests", "message": "slow down", "contextId": "body-id"}
    failure = _classify(429, payload, {"Retry-After": "7"})
    assert failure.code == "too.many.requests"
    assert failure.message == "slow down"
    assert failure.retryable is True
    assert failure.retry_after_seconds == 7
    assert failure.correlation_id == "body-id"
    assert failure.raw == payload
    assert not failure.is_network


def test_missing_code_is_generic() -> None:
    """C3: a known shape without a code, and an empty body, are GENERIC."""
    assert _classify(500, {"message": "broken"}).code == GENERIC
    assert _classify(500).code == GENERIC


@pytest.mark.parametrize("body", [b"<html></html>", b'{"foo": 1}', b"oops", b"\xff\xfe\xfd"])
def test_unknown_shape_is_unknown(body: bytes) -> None:
    """C3, C7: a shape that is not known is UNKNOWN, and the status alone decides."""
    failure = classify_response(status=503, headers={}, body=body, received_at=NOW)
    assert failure is not None
    assert (failure.code, failure.kind, failure.transient) == (UNKNOWN, Kind.UNAVAILABLE, True)


def test_message_is_never_empty() -> None:
    """C3: where the server says nothing, the message is the status' phrase."""
    assert _classify(503).message == "Service Unavailable"
    assert _classify(599).message == "status 599"


@pytest.mark.parametrize(
    "header",
    [
        "X-Request-Id",
        "x-correlation-id",
        "x-ms-request-id",
        "X-GitHub-Request-Id",
        "Request-Id",
    ],
)
def test_correlation_id_headers(header: str) -> None:
    """C2: the correlation id is read from the usual headers, before the body's."""
    failure = _classify(500, {"message": "m", "contextId": "body"}, {header: "abc"})
    assert failure.correlation_id == "abc"


def test_correlation_id_headers_of_a_policy() -> None:
    """C2: a policy's headers are asked before the usual ones, in their order."""
    headers = {"X-Request-Id": "usual", "X-Ours": "ours", "X-Other": "other"}
    failure = classify_response(
        status=500,
        headers=headers,
        body=b"",
        received_at=NOW,
        correlation_headers=("x-missing", "x-ours", "x-other"),
    )
    assert failure is not None
    assert failure.correlation_id == "ours"


@pytest.mark.parametrize("value", ["", " ", "x" * 129])
def test_useless_correlation_id(value: str) -> None:
    """C10: an id that is empty or absurdly long is none."""
    assert _classify(500, None, {"X-Request-Id": value}).correlation_id is None


def test_code_header() -> None:
    """C6: Azure's error code header is a code where the body has none, as after HEAD."""
    failure = _classify(503, None, {"x-ms-error-code": "ServerBusy"})
    assert failure.code == "ServerBusy"
    assert _classify(503, {"code": "body"}, {"x-ms-error-code": "header"}).code == "body"


def test_headers_of_any_mapping() -> None:
    """C1: headers are found whatever the mapping and the case of their names."""
    for headers in (
        {"RETRY-AFTER": "5", "Content-Type": "application/json"},
        CaseInsensitiveDict({"retry-after": "5"}),
        urllib3.HTTPHeaderDict({"Retry-After": "5"}),
        {b"Retry-After": b"5"},
        {"Retry-After": 5, "X-Nothing": None},
    ):
        failure = classify_response(status=503, headers=headers, body=None, received_at=NOW)  # type: ignore[arg-type] # as recording tools have them
        assert failure is not None
        assert failure.retry_after_seconds == 5


def test_headers_that_came_twice() -> None:
    """A1: two Retry-After headers are one value with two members."""
    headers = urllib3.HTTPHeaderDict()
    headers.add("Retry-After", "5")
    headers.add("Retry-After", "9")
    failure = classify_response(status=503, headers=headers, body=None, received_at=NOW)
    assert failure is not None
    assert failure.retry_after is not None
    assert failure.retry_after.variant is RetryAfterVariant.MULTIPLE
    assert failure.retry_after.seconds == 9


def test_retry_after_date_is_measured_from_the_receipt() -> None:
    """A4: without a Date header the time of the receipt is the reference."""
    failure = _classify(503, None, {"Retry-After": formatdate(NOW + 30, usegmt=True)})
    assert failure.retry_after_seconds == 30


def test_missing_retry_after_is_recorded() -> None:
    """A1: a 503 that says nothing about time is recorded as such; a 500 is not."""
    failure = _classify(503)
    assert failure.retry_after is not None
    assert failure.retry_after.variant is RetryAfterVariant.MISSING
    assert _classify(500).retry_after is None


def test_retry_after_in_the_text() -> None:
    """A3: the delay is read from the body's message when no header has it."""
    message = "Rate limit exceeded the maximum. Retry the request in [42] seconds"
    failure = _classify(429, {"message": message, "code": "too.many.requests.retry.after"})
    assert failure.retry_after is not None
    assert failure.retry_after.source is RetryAfterSource.TEXT
    assert failure.retry_after.seconds == 42


def test_failures_with_payload_pickle() -> None:
    """C3: a failure travels between processes."""
    failure = _classify(503, {"code": "x", "a": [[[1]]]}, {"Retry-After": "5"})
    copy = pickle.loads(pickle.dumps(failure))  # noqa: S301 - our own pickle
    assert copy == failure
    assert copy.raw == failure.raw


def test_payload_shows_nowhere() -> None:
    """C10: neither payload nor header values stand in a failure's repr or plain form."""
    failure = _classify(500, {"message": "m", "secret": "hunter2"}, {"X-Secret": "hunter2"})
    assert "hunter2" not in repr(failure)
    assert "hunter2" not in json.dumps(failure.to_dict())


# --- C9 ---


def test_escalation() -> None:
    """C9: a 403 can be reported as escalated, which is never transient."""
    failure = escalated(_classify(403, {"code": "not.authorized"}))
    assert (failure.kind, failure.transient) == (Kind.ESCALATED, False)
    assert (failure.status, failure.code) == (403, "not.authorized")


@pytest.mark.parametrize("status", [401, 429, 500])
def test_only_forbidden_escalates(status: int) -> None:
    """C9: nothing but a 403 is an escalation."""
    failure = _classify(status)
    assert escalated(failure) is failure


# --- C3: normalising ---


def _response(
    status: int, body: bytes | None, headers: dict[str, str] | None = None
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    if body is not None:
        response._content = body
    return response


def test_normalising_twice_changes_nothing() -> None:
    """C3: a failure is returned as it is."""
    failure = _classify(503)
    assert normalise(failure) is failure
    assert normalise(normalise(_response(503, b""))) == normalise(_response(503, b""))


def test_normalising_our_exceptions() -> None:
    """C3: an exception of ours gives the failure that it carries."""
    failure = _classify(503)
    report = CallReport("GET", "u", "p", Outcome.FAILED, (), 0.0, failure=failure)
    assert normalise(StatusFailed("m", report=report)) is failure


def test_normalising_a_response() -> None:
    """C3: a response is classified by what was read of it."""
    failure = normalise(_response(503, b'{"code": "x"}', {"Retry-After": "5"}))
    assert (failure.status, failure.code, failure.retry_after_seconds) == (503, "x", 5)


def test_normalising_leaves_streams_alone() -> None:
    """C7: a body that is still on the wire is not read."""
    response = _response(503, None)
    response.raw = io.BytesIO(b'{"code": "x"}')
    assert normalise(response).code == GENERIC
    assert response.raw.tell() == 0


def test_normalising_with_a_clock() -> None:
    """A4: dates in a response are measured against its Date, or a clock that is given."""
    at = formatdate(NOW + 30, usegmt=True)
    bare = _response(503, b"", {"Retry-After": at})
    dated = _response(503, b"", {"Retry-After": at, "Date": formatdate(NOW, usegmt=True)})
    assert normalise(bare).retry_after_seconds is None
    assert normalise(dated).retry_after_seconds == 30
    assert normalise(bare, received_at=NOW).retry_after_seconds == 30


def test_normalising_raise_for_status() -> None:
    """C3: requests' HTTPError is the answer that it came from."""
    response = _response(404, b'{"code": "not.found"}')
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    failure = normalise(caught.value)
    assert (failure.status, failure.code) == (404, "not.found")


def test_normalising_a_network_error() -> None:
    """C3, N1: an exception without an answer has no status."""
    failure = normalise(requests.ConnectTimeout())
    assert (failure.kind, failure.status, failure.code) == (Kind.CONNECT_TIMEOUT, None, GENERIC)


@pytest.mark.parametrize("key", ["status", "statusCode", "status_code", "httpStatus"])
def test_normalising_a_payload(key: str) -> None:
    """C3: the mapping of an error body is classified by the status in it."""
    payload = {key: 503, "code": "x", "message": "m", "contextId": "id"}
    failure = normalise(payload)
    assert (failure.kind, failure.status, failure.code) == (Kind.UNAVAILABLE, 503, "x")
    assert (failure.message, failure.correlation_id, failure.raw) == ("m", "id", payload)


@pytest.mark.parametrize("status", [None, True, "error", 7, 5000, 5.5, [503]])
def test_normalising_a_payload_without_a_status(status: Any) -> None:
    """C3: no status is invented for a payload that has none."""
    failure = normalise({"status": status, "code": "x"})
    assert (failure.status, failure.kind) == (None, Kind.SERVER_ERROR)
    assert (failure.transient, failure.rule, failure.message) == (False, "no status", "no status")


def test_normalising_a_payload_by_rules() -> None:
    """C6: rules are asked for a payload, too, those without statuses even without one."""
    rule = Rule(name="mine", codes=("x",), transient=True)
    assert normalise({"status": "400", "code": "X"}, (rule,)).transient
    assert normalise({"code": "X"}, (rule,)).rule == "mine"


@pytest.mark.parametrize("thing", [_response(200, b""), {"status": 204}])
def test_normalising_a_success(thing: Any) -> None:
    """C3: what did not fail is refused."""
    with pytest.raises(ValueError, match="is not a failure"):
        normalise(thing)


@pytest.mark.parametrize("thing", [None, "503", 503, [503]])
def test_normalising_anything_else(thing: Any) -> None:
    """C3: what cannot be understood is refused by name."""
    with pytest.raises(TypeError, match=f"a {type(thing).__name__} cannot be normalised"):
        normalise(thing)
