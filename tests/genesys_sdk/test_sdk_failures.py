"""Failures of theirs and ours, as the SDK's ``ApiException`` with the call's report on it."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from sdk_scenes import QUEUES, failure_of, in_threads, token_source
from urllib3.exceptions import LocationParseError

import weatherglass
from weatherglass.genesys import install
from weatherglass.testing import TOKEN_PATH, FakeServer, Fault, FaultPlan, VirtualClock, faults


@pytest.fixture
def listing(sdk: Any, api_client: Any) -> Callable[[], Any]:
    return lambda: sdk.RoutingApi(api_client).get_routing_queues()


@pytest.fixture
def creating(sdk: Any, api_client: Any) -> Callable[[], Any]:
    request = sdk.CreateQueueRequest()
    request.name = "Support"
    return lambda: sdk.RoutingApi(api_client).post_routing_queues(request)


def given_up(error: Any) -> str | None:
    reason = weatherglass.report(error).give_up_reason
    return None if reason is None else str(reason)


def test_an_error_of_theirs(server: FakeServer, creating: Callable[[], Any]) -> None:
    """G2: an error has status, reason, body and headers as the SDK has them, and the report."""
    creating()

    error = failure_of(creating)

    assert (error.status, error.reason) == (400, "Bad Request")
    assert '"code": "duplicate.name"' in error.body
    assert error.body.encode() == error.content
    assert error.headers["inin-correlation-id"]
    assert error.__cause__ is None
    failure = weatherglass.report(error).failure
    assert failure is not None
    assert failure is error.failure
    assert failure.code == "duplicate.name"
    assert len(server.ledger.requests(method="POST", path=QUEUES)) == 2


@pytest.mark.parametrize("status", [206, 304, 404, 409, 500, 503])
def test_what_is_no_success_for_the_sdk_raises(
    server: FakeServer, listing: Callable[[], Any], status: int
) -> None:
    """G2: outside of 200 to 205 the SDK's users get an exception, as they are used to."""
    answer = faults.answer(status, body=b"" if status == 304 else None)
    server.plan = FaultPlan.chaos([answer], 1, path=QUEUES)

    error = failure_of(listing)

    assert error.status == status
    assert weatherglass.report(error).attempts[-1].status == status


def test_too_many_redirects(server: FakeServer, listing: Callable[[], Any]) -> None:
    """G2: redirects without end are a failure without a status."""
    server.plan = FaultPlan.chaos([faults.redirect(QUEUES)], 1, path=QUEUES)

    error = failure_of(listing)

    assert error.status == 0
    assert isinstance(error.__cause__, requests.TooManyRedirects)
    assert weatherglass.report(error).attempts


def test_a_host_that_is_none(sdk: Any, configuration: Any) -> None:
    """G2: what urllib3 raises past requests, which wraps only some of it, is a failure as well."""
    assert configuration is sdk.configuration
    api_client = sdk.ApiClient(host=f"http://{'a' * 70}.example.com")
    with weatherglass.Session() as session:
        session.trust_env = False
        install(api_client, session)
        error = failure_of(sdk.RoutingApi(api_client).get_routing_queues)

    assert error.status == 0
    assert isinstance(error.__cause__, LocationParseError)
    assert weatherglass.report(error).attempts


@pytest.mark.parametrize("host", ["nonsense", "ftp://api.example.com", "https://", "http://[::1"])
def test_a_host_that_was_spoilt_later(
    api_client: Any, listing: Callable[[], Any], host: str
) -> None:
    """G2: where nothing can be sent to, since somebody has changed the host, is one as well."""
    api_client.host = host

    error = failure_of(listing)

    assert error.status == 0
    assert isinstance(error.__cause__, requests.RequestException)
    assert error.reason.startswith(type(error.__cause__).__name__)


@pytest.mark.parametrize("proxy", ["http://user:hunter2@[::1", "http://user:hunter2@127.0.0.1:x"])
def test_a_proxy_that_is_none(configuration: Any, listing: Callable[[], Any], proxy: str) -> None:
    """G2, T9: a proxy that is no URL is a failure, which does not tell its password."""
    configuration.proxy = proxy
    configuration.proxy_username, configuration.proxy_password = "user", "hunter2"

    error = failure_of(listing)

    assert error.status == 0
    assert "hunter2" not in f"{error} {error!r} {error.reason}"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.reset(), "reset"),
        (faults.disconnect(), "reset"),
        (faults.cut(), "truncated"),
        (faults.raw(b"no HTTP at all\r\n\r\n"), "malformed"),
    ],
    ids=lambda value: value.label if isinstance(value, Fault) else value,
)
def test_the_network_fails_under_a_post(
    server: FakeServer, creating: Callable[[], Any], fault: Fault, kind: str
) -> None:
    """G3: a POST that may have been executed is sent once, and fails with our report."""
    server.plan = FaultPlan.chaos([fault], 1, path=QUEUES)

    error = failure_of(creating)

    assert error.status == 0
    assert (error.body, error.headers, error.content) == (None, None, None)
    assert kind in error.reason
    assert "gave up: method_not_replayable" in error.reason
    assert isinstance(error.__cause__, requests.RequestException)
    assert given_up(error) == "method_not_replayable"
    assert len(server.ledger.requests(path=QUEUES)) == 1


def test_an_open_breaker(session: weatherglass.Session, listing: Callable[[], Any]) -> None:
    """G2, B6: an open breaker's refusal arrives as ``ApiException``, and ours is its cause."""
    listing()
    (name,) = (n for n in session.breakers.states())
    session.breakers.force_open(name)

    error = failure_of(listing)

    assert error.status == 0
    assert error.reason.startswith("CircuitOpen: the breaker")
    assert isinstance(error.__cause__, weatherglass.CircuitOpen)
    assert weatherglass.report(error).attempts == ()


def test_a_maintenance_window(sdk: Any, configuration: Any, clock: VirtualClock) -> None:
    """G2, M3: a call refused in a maintenance window names the window."""
    assert configuration is sdk.configuration
    now = datetime.fromtimestamp(clock.time(), tz=timezone.utc)
    window = weatherglass.MaintenanceWindow(
        name="upgrade", start=now - timedelta(hours=1), end=now + timedelta(hours=1)
    )
    policy = weatherglass.Policy(maintenance=weatherglass.MaintenancePolicy(windows=(window,)))
    plan = FaultPlan.chaos([faults.answer(503)], 1)
    with (
        FakeServer(plan, clock=clock) as server,
        weatherglass.Session(policy=policy, runtime=clock) as session,
    ):
        client = sdk.ApiClient(host=server.url)
        install(client, session)
        api = sdk.RoutingApi(client)
        assert failure_of(api.get_routing_queues).status == 503
        error = failure_of(api.get_routing_queues)

    assert isinstance(error.__cause__, weatherglass.MaintenanceInProgress)
    assert weatherglass.report(error).maintenance == "upgrade"


def test_a_deadline(server: FakeServer, listing: Callable[[], Any]) -> None:
    """G2, D9: options given around a call of the SDK hold for it."""
    server.plan = FaultPlan.chaos([faults.answer(429, retry_after=40)], 1, path=QUEUES)
    with weatherglass.options(deadline=10):
        limited = failure_of(listing)
        late = failure_of(listing)

    assert (limited.status, given_up(limited)) == (429, "deadline")
    assert late.status == 0
    assert isinstance(late.__cause__, weatherglass.DeadlineExceeded)


def test_a_failed_refresh(server: FakeServer, listing: Callable[[], Any]) -> None:
    """G2, T6: without a token there is no status; the token endpoint's is not the API's."""
    server.plan = FaultPlan.chaos([faults.answer(503)], 1, path=TOKEN_PATH)

    error = failure_of(listing)

    assert error.status == 0
    assert isinstance(error.__cause__, weatherglass.TokenRefreshFailed)
    assert error.failure.kind == "token_refresh"


def test_refused_credentials(sdk: Any, configuration: Any, server: FakeServer) -> None:
    """G2, T7: refused credentials are told as what they are."""
    assert configuration is sdk.configuration
    source = token_source(server, client_secret="an old one")
    with weatherglass.Session(tokens=source) as session:
        client = sdk.ApiClient(host=server.url)
        install(client, session)
        error = failure_of(sdk.RoutingApi(client).get_routing_queues)

    assert error.status == 0
    assert isinstance(error.__cause__, weatherglass.ReauthenticationRequired)
    assert "an old one" not in "".join(traceback.format_exception(error))


def test_a_closed_session(sdk: Any, busy_server: FakeServer, busy_client: Any) -> None:
    """G2, D14: a call that waits while the session is closed ends as ``ApiException``."""
    api = sdk.RoutingApi(busy_client)
    api.get_routing_queues()
    busy_server.plan = FaultPlan.chaos([faults.answer(429, retry_after=60)], 1, path=QUEUES)

    def run(number: int) -> Any:
        if number == 0:
            return failure_of(api.get_routing_queues)
        busy_server.ledger.wait_until(2, path=QUEUES)
        session = busy_client.http_client.session
        while not waits_of(session):
            busy_server.clock.wait(session.adapter.live.wake, 0.005)
        session.close()
        return None

    error, _ = in_threads(2, run)
    assert (error.status, given_up(error)) == (429, "closed")


def waits_of(session: weatherglass.Session) -> bool:
    """Whether the gate is shut, which it is before the call begins to wait."""
    live = session.adapter.live
    (target,) = {target.gate_key for target in live._targets.copy().values()}
    return live.gates.entry(target).seconds > 0


@pytest.mark.parametrize("raising", [False, True])
def test_raising_sessions_fail_alike(
    sdk: Any, configuration: Any, server: FakeServer, raising: bool
) -> None:
    """G2, D5: whether the session raises for a status makes no difference to the SDK's users."""
    assert configuration is sdk.configuration
    server.plan = FaultPlan.script(faults.answer(400, code="bad.request"), path=QUEUES)
    policy = weatherglass.Policy(raise_failures=raising)
    with weatherglass.Session(policy=policy, tokens=token_source(server)) as session:
        client = sdk.ApiClient(host=server.url)
        install(client, session)
        error = failure_of(sdk.RoutingApi(client).get_routing_queues)

    assert (error.status, error.failure.code) == (400, "bad.request")
    assert "bad.request" in error.body


def test_a_lasting_401_is_final(server: FakeServer, listing: Callable[[], Any]) -> None:
    """G2, T4: a 401 that a new token does not help against is refreshed once and raised."""
    server.plan = FaultPlan.chaos([faults.answer(401)], 1, path=QUEUES)

    error = failure_of(listing)

    assert error.status == 401
    assert len(server.ledger.requests(path=QUEUES)) == 2
    assert len(server.ledger.token_calls()) == 2


def test_a_latin_1_page(server: FakeServer, creating: Callable[[], Any]) -> None:
    """G3: an error page that is not UTF-8 is an ``ApiException`` with its text."""
    server.plan = FaultPlan.script(faults.answer(502, form="latin1"), method="POST", path=QUEUES)

    error = failure_of(creating)

    assert error.status == 502
    assert "gestört" in error.body
    assert error.body.encode("latin-1") == error.content


@pytest.mark.parametrize("value", ["soon", "1.5", "-3"])
def test_odd_retry_after(server: FakeServer, listing: Callable[[], Any], value: str) -> None:
    """G3, A7: a Retry-After that is no number of seconds is a clean 429 in the end."""
    answer = faults.answer(429, headers={"Retry-After": value})
    server.plan = FaultPlan.chaos([answer], 1, path=QUEUES)

    error = failure_of(listing)

    assert (error.status, error.headers["Retry-After"]) == (429, value)
    assert given_up(error) == "retries_exhausted"


def test_exceptions_pickle(server: FakeServer, creating: Callable[[], Any]) -> None:
    """D6: the exception travels, with its report and without credentials."""
    server.plan = FaultPlan.script(
        faults.answer(404, code="not.found"), None, faults.reset(), method="POST", path=QUEUES
    )
    theirs = failure_of(creating)
    creating()
    ours = failure_of(creating)

    for error in (theirs, ours):
        pickled = pickle.dumps(error)
        again = pickle.loads(pickled)  # noqa: S301 - our own
        assert type(again) is type(error)
        assert (again.status, again.reason, again.body) == (error.status, error.reason, error.body)
        assert again.headers == error.headers
        assert weatherglass.report(again) == weatherglass.report(error)
        assert b"Bearer" not in pickled


def test_the_text_keeps_secrets(server: FakeServer, listing: Callable[[], Any]) -> None:
    """T9: the text has what the SDK's has, and the call, but no cookie and no token of a URL."""
    headers = {"Set-Cookie": "session=abc123", "Location": "/x?access_token=abc123", "X-Odd": "1"}
    server.plan = FaultPlan.script(faults.answer(404, headers=headers), path=QUEUES)

    text = str(failure_of(listing))

    assert text.startswith("(404)\nReason: Not Found\nHTTP response headers: ")
    assert "'X-Odd': '1'" in text
    assert "HTTP response body: {" in text
    assert f"Call: GET {server.url}{QUEUES}: failed after 1 attempt" in text
    assert "abc123" not in text


def test_an_answer_that_is_no_model(server: FakeServer, listing: Callable[[], Any]) -> None:
    """G2: an answer that the SDK cannot make a model of is its own error, with our report."""
    odd = {"entities": [{"dateCreated": "no date at all"}]}
    server.plan = FaultPlan.script(faults.answer(200, json=odd), path=QUEUES)

    error = failure_of(listing)

    assert "Failed to parse" in error.reason
    assert weatherglass.report(error).succeeded
