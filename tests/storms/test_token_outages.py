"""A token endpoint in bad weather: what its failures do to the calls, and what they do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from storm_crew import (
    API,
    CROWD,
    PATIENCE,
    Crew,
    credentials,
    crowd,
    reach,
)

from weatherglass import (
    DeadlineExceeded,
    Policy,
    ReauthenticationRequired,
    RefreshToken,
    Session,
    TokenPolicy,
    TokenRefreshFailed,
)
from weatherglass.runtime import SYSTEM
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_PATH,
    BodyForm,
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    Spelling,
    VirtualClock,
    faults,
)
from weatherglass.tokens import TokenEndpointError, TokenUnavailable
from weatherglass.vocabulary import GiveUpReason, Kind, Outcome

MakeSession = Callable[..., Session]

TRIES = 3
"""What one refresh makes of a transient failure: one try and two retries."""


def token_fault(fault: Fault) -> FaultPlan:
    return FaultPlan(rules=(FaultRule(fault=fault, path=TOKEN_PATH),))


TRANSIENT = {
    "503": faults.answer(503),
    "429": faults.answer(429, retry_after=3),
    "500": faults.answer(500, spelling=Spelling.OAUTH, code="server_error"),
    "html 502": faults.answer(502, form=BodyForm.HTML),
    "rate limit in disguise": faults.token_rate_limited(),
    "reset": faults.reset(),
    "empty 503": faults.answer(503, form=BodyForm.EMPTY),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_failed_refresh_is_shared_and_cools_down(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, fault: Fault
) -> None:
    """T6: one thread's failed tries fail a crowd, and none is made until the cool-down ends."""
    server.plan = token_fault(fault)
    session = make_session(tokens=credentials(server))
    ends = crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, TokenRefreshFailed) for end in ends)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.TOKEN_REFRESH_FAILED}
    assert {end.report.outcome for end in ends} == {Outcome.REFUSED}
    assert len(server.ledger.token_calls()) == TRIES

    ends = crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, TokenRefreshFailed) for end in ends)
    assert all(end.report.duration == 0 for end in ends)
    assert len(server.ledger.token_calls()) == TRIES
    assert server.ledger.requests(path=API) == ()

    server.plan = FaultPlan()
    clock.advance(6)
    ends = crowd(clock, session, server.url + API)
    assert [end.status for end in ends] == [200] * CROWD
    assert len(server.ledger.token_calls()) == TRIES + 1


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_passing_failure_is_not_noticed(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, fault: Fault
) -> None:
    """T6: what two retries get over fails no call."""
    server.plan = FaultPlan.script(fault, fault, path=TOKEN_PATH)
    session = make_session(tokens=credentials(server))
    assert [end.status for end in crowd(clock, session, server.url + API)] == [200] * CROWD
    assert len(server.ledger.token_calls()) == TRIES


def test_portal_in_place_of_the_token_endpoint(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T6: a page of HTML with 200 is no token: a transient failure that cools down."""
    server.plan = token_fault(
        faults.answer(200, body="<html>Welcome</html>", headers={"Content-Type": "text/html"})
    )
    session = make_session(tokens=credentials(server))
    ends = crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, TokenRefreshFailed) for end in ends)
    assert len(server.ledger.token_calls()) == 1
    server.plan = FaultPlan()
    clock.advance(6)
    assert reach(session, server.url + API).status == 200


def test_refresh_failure_is_never_the_apis_answer(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T6: a 401 whose refresh fails ends in an error of its own kind that holds both."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    server.revoke_tokens()
    server.plan = token_fault(faults.answer(503))
    end = reach(session, server.url + API)
    assert isinstance(end.error, TokenRefreshFailed)
    assert end.statuses == [401]
    assert end.error.response is not None
    assert end.error.response.status_code == 401
    assert end.report.failure is not None
    assert end.report.failure.kind is Kind.TOKEN_REFRESH
    cause = end.error.__cause__
    assert isinstance(cause, TokenUnavailable)
    assert isinstance(cause.error, TokenEndpointError)
    assert cause.error.status == 503


def test_token_endpoint_does_not_touch_the_apis_breaker(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T6, B4: however often the token endpoint fails, the API's breaker stays closed."""
    server.plan = token_fault(faults.answer(503))
    session = make_session(tokens=credentials(server))
    for _ in range(10):
        reach(session, server.url + API)
        clock.advance(6)
    assert set(map(str, session.breakers.states().values())) <= {"closed"}
    assert session.get(server.url + "/echo", auth=lambda request: request).status_code == 200


def test_cool_down_is_as_long_as_the_endpoint_asks(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T6: a token endpoint that wants to be left alone for a minute is."""
    server.plan = token_fault(faults.answer(429, retry_after=60))
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    asked = len(server.ledger.token_calls())
    server.plan = FaultPlan()
    clock.advance(50)
    assert isinstance(reach(session, server.url + API).error, TokenRefreshFailed)
    assert len(server.ledger.token_calls()) == asked
    clock.advance(11)
    assert reach(session, server.url + API).status == 200


@pytest.mark.parametrize("code", ["invalid_grant", "INVALID_GRANT", "unauthorized_client"])
@pytest.mark.parametrize("status", [400, 401, 500])
def test_refused_credentials_are_final(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, code: str, status: int
) -> None:
    """T7: after one refusal, in any case, all later calls ask for new credentials at once."""
    server.plan = token_fault(faults.answer(status, code=code, spelling=Spelling.OAUTH))
    session = make_session(tokens=credentials(server))
    ends = crowd(clock, session, server.url + API)
    clock.advance(86400)
    ends += crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, ReauthenticationRequired) for end in ends)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.REAUTHENTICATION_REQUIRED}
    assert all(end.report.duration == 0 for end in ends)
    assert len(server.ledger.token_calls()) == 1
    assert server.ledger.requests(path=API) == ()


@pytest.mark.parametrize("auth_method", ["basic", "post"])
def test_new_credentials_heal(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, auth_method: str
) -> None:
    """T7: a wrong secret is final until other credentials are given, and then forgotten."""
    wrong = credentials(server, client_secret="wrong", auth_method=auth_method)
    session = make_session(tokens=wrong)
    ends = crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, ReauthenticationRequired) for end in ends)
    assert len(server.ledger.token_calls()) == 1
    session.adapter.replace_tokens(credentials(server))
    assert [end.status for end in crowd(clock, session, server.url + API)] == [200] * CROWD
    assert len(server.ledger.token_calls()) == 2


def test_refresh_token_that_was_withdrawn(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T7: the user withdraws consent between two refreshes; a new refresh token heals."""

    def source() -> RefreshToken:
        return RefreshToken(
            token_url=server.token_url,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            refresh_token=server.issue_refresh_token(),
            origins=[server.url],
        )

    session = make_session(tokens=source())
    assert reach(session, server.url + API).generations == [1]
    server.revoke_tokens()
    server.revoke_refresh_tokens()
    ends = crowd(clock, session, server.url + API)
    assert all(isinstance(end.error, ReauthenticationRequired) for end in ends)
    assert len(server.ledger.token_calls()) == 2
    session.adapter.replace_tokens(source())
    assert reach(session, server.url + API).generations == [2]


def test_refused_credentials_spare_a_token_that_lives(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T5, T7: a refusal ahead of expiry lets the old token serve to its end."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    server.plan = token_fault(faults.answer(400, code="invalid_client", spelling=Spelling.OAUTH))
    clock.advance(86400 - 100)
    assert reach(session, server.url + API).generations == [1]
    clock.advance(99)
    assert reach(session, server.url + API).generations == [1]
    assert len(server.ledger.token_calls()) == 2
    clock.advance(1)
    assert isinstance(reach(session, server.url + API).error, ReauthenticationRequired)
    assert len(server.ledger.token_calls()) == 2


def test_calls_do_not_outlive_their_deadlines_behind_a_hanging_refresh(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """T8, D9: calls that queue behind a hanging refresh give up by their own deadlines."""
    server = real_server
    server.plan = token_fault(faults.hold("token"))
    session = make_session(tokens=credentials(server), runtime=SYSTEM)
    leader = Crew([lambda: reach(session, server.url + API)])
    server.wait_held("token", 1, PATIENCE)
    ends = Crew([lambda: reach(session, server.url + API, deadline=0.2)] * (CROWD - 1)).join()
    assert all(isinstance(end.error, DeadlineExceeded) for end in ends)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.DEADLINE}
    assert all(end.report.waited > 0.19 for end in ends)
    assert len(server.ledger.token_calls()) == 1
    server.release("token")
    assert leader.join()[0].status == 200


def test_hanging_refresh_ends_with_the_deadline_of_its_own_call(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """T8, D9: the refreshing call's hurry is nobody else's: the next call tries at once."""
    server = real_server
    server.plan = FaultPlan.script(faults.hang(), path=TOKEN_PATH)
    session = make_session(tokens=credentials(server), runtime=SYSTEM)
    end = reach(session, server.url + API, deadline=0.2)
    assert isinstance(end.error, DeadlineExceeded)
    assert reach(session, server.url + API).status == 200


def test_hanging_refresh_is_bounded_without_any_deadline(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """T8: without any deadline a crowd ends with the refresh's own timeout."""
    server = real_server
    server.plan = token_fault(faults.hang())
    policy = Policy(tokens=TokenPolicy(refresh_timeout=0.3))
    session = make_session(tokens=credentials(server), runtime=SYSTEM, policy=policy)
    ends = Crew([lambda: reach(session, server.url + API)] * CROWD).join()
    assert all(isinstance(end.error, TokenRefreshFailed) for end in ends)
    assert len(server.ledger.token_calls()) == 1
