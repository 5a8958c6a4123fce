"""Tools that answer in place of a server: each attempt reaches them."""

from __future__ import annotations

import re

import pytest
import requests
import requests_mock
import responses
from scenes import Clock, kinds, statuses

import weatherglass
from weatherglass import Adapter, ClientCredentials, Session

URL = "https://api.example.com/things"
TOKEN_URL = "https://login.example.com/token"


def credentials() -> ClientCredentials:
    return ClientCredentials(
        token_url=TOKEN_URL,
        client_id="me",
        client_secret="secret",
        origins=["https://api.example.com"],
    )


@responses.activate
def test_responses_sees_every_attempt(session: Session, clock: Clock) -> None:
    """D3: the responses library answers attempt by attempt, and its calls are those attempts."""
    responses.get(URL, status=503)
    responses.get(URL, status=429, headers={"Retry-After": "7"})
    responses.get(URL, json={"done": True})
    answer = session.get(URL)
    assert answer.json() == {"done": True}
    assert statuses(answer) == [503, 429, 200]
    seen = [call.response.status_code for call in responses.calls if call.response is not None]  # type: ignore[union-attr]  # an exception in other tests
    assert seen == [503, 429, 200]
    assert clock.waits[1] >= 7


@responses.activate
def test_responses_raises_like_a_network(session: Session) -> None:
    """D3: exceptions that responses raises are classified and replayed like real ones."""
    responses.get(URL, body=requests.ConnectTimeout("no route"))
    responses.get(URL, body=requests.exceptions.ChunkedEncodingError("broke off"))
    responses.get(URL, body="done")
    answer = session.get(URL)
    assert answer.text == "done"
    assert kinds(answer) == ["connect_timeout", "truncated_body", None]


@responses.activate
def test_responses_knows_nothing_of_unregistered_addresses(session: Session) -> None:
    """D3: an address that nobody registered looks like a refused connection, in the end."""
    with pytest.raises(requests.ConnectionError, match="Connection refused by Responses"):
        session.get(URL)
    assert len(responses.calls) == 4


@responses.activate
def test_responses_within_a_deadline_and_streamed(session: Session) -> None:
    """D3, D9: mocked bodies are read whole within a deadline, and can be streamed."""
    responses.get(URL, body=b"x" * 200_000)
    assert session.request("GET", URL, deadline=5).content == b"x" * 200_000
    streamed = session.get(URL, stream=True)
    assert b"".join(streamed.iter_content(1000)) == b"x" * 200_000


@responses.activate
def test_responses_answers_for_the_token_endpoint(clock: Clock) -> None:
    """D3: token requests go through responses as well, and the 401 replay carries the new one."""
    for number in (1, 2):
        responses.post(TOKEN_URL, json={"access_token": f"token-{number}", "expires_in": 3600})
    first = responses.matchers.header_matcher({"Authorization": "Bearer token-1"})
    second = responses.matchers.header_matcher({"Authorization": "Bearer token-2"})
    responses.get(URL, status=401, match=[first])
    responses.get(URL, body="done", match=[second])
    with Session(runtime=clock, tokens=credentials()) as session:
        assert session.get(URL).text == "done"
    asked = [call.request.url for call in responses.calls]
    assert asked == [TOKEN_URL, URL, TOKEN_URL, URL]


@responses.activate
def test_responses_on_a_plain_session_with_the_adapter(clock: Clock) -> None:
    """D3: the same holds for the adapter on a session of requests."""
    responses.get(URL, status=502)
    responses.get(URL, body="done")
    with requests.Session() as plain:
        plain.mount("https://", Adapter(runtime=clock))
        assert statuses(plain.get(URL)) == [502, 200]


def test_requests_mock_sees_every_attempt(
    weatherglass_requests_mock: requests_mock.Mocker, session: Session
) -> None:
    """D3: under our fixture requests_mock answers attempts, and the machinery stays above it."""
    weatherglass_requests_mock.get(
        URL,
        [
            {"status_code": 503},
            {"exc": requests.exceptions.ConnectTimeout},
            {"json": {"done": True}},
        ],
    )
    answer = session.get(URL)
    assert answer.json() == {"done": True}
    assert kinds(answer) == ["unavailable", "connect_timeout", None]
    history = weatherglass_requests_mock.request_history
    assert [request.url for request in history] == [URL] * 3


def test_requests_mock_within_a_deadline_and_streamed(
    weatherglass_requests_mock: requests_mock.Mocker, session: Session
) -> None:
    """D3, D9: likewise for bodies that are read within a deadline, or streamed."""
    weatherglass_requests_mock.get(URL, content=b"x" * 200_000)
    assert session.request("GET", URL, deadline=5).content == b"x" * 200_000
    streamed = session.get(URL, stream=True)
    assert b"".join(streamed.iter_content(1000)) == b"x" * 200_000


def test_requests_mock_answers_failures_that_are_read(
    weatherglass_requests_mock: requests_mock.Mocker, session: Session
) -> None:
    """D3, C6: a mocked failure has its code, streamed or not, and its body stays readable."""
    body = {"code": "some.code"}
    weatherglass_requests_mock.get(URL, status_code=404, json=body)
    for stream in (False, True):
        answer = session.get(URL, stream=stream)
        found = weatherglass.report(answer).failure
        assert found is not None
        assert found.code == "some.code"
        assert answer.json() == body


def test_requests_mock_answers_for_the_token_endpoint(
    weatherglass_requests_mock: requests_mock.Mocker, clock: Clock
) -> None:
    """D3: token requests are mocked too, those of adapters made before and after alike."""
    weatherglass_requests_mock.post(TOKEN_URL, json={"access_token": "token-1", "expires_in": 60})
    weatherglass_requests_mock.get(URL, text="done")
    with Session(runtime=clock, tokens=credentials()) as session:
        assert session.get(URL).text == "done"
    sent = [request.headers.get("Authorization") for request in mocked(weatherglass_requests_mock)]
    assert re.fullmatch("Basic .*", sent[0] or "")
    assert sent[1] == "Bearer token-1"


def mocked(mocker: requests_mock.Mocker) -> list[requests.PreparedRequest]:
    return list(mocker.request_history)  # type: ignore[arg-type]  # wraps a prepared request


def test_requests_mock_refuses_what_was_not_registered(
    weatherglass_requests_mock: requests_mock.Mocker, session: Session
) -> None:
    """D3: an address that nobody registered ends at once in requests_mock's own error."""
    with pytest.raises(requests_mock.NoMockAddress) as caught:
        session.get(URL)
    assert kinds(caught.value) == ["invalid_call"]
    assert weatherglass_requests_mock.call_count == 1
