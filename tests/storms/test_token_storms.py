"""One token for all threads: a crowd that meets a dead token makes one refresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from storm_crew import API, CROWD, PATIENCE, Crew, WatchedTime, credentials, crowd, reach

from weatherglass import Callbacks, Session
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, FaultRule, VirtualClock, faults
from weatherglass.tokens import RefreshReport
from weatherglass.vocabulary import GiveUpReason, Kind, ResendReason, TokenReason, WaitReason

MakeSession = Callable[..., Session]


def held_back(*, latch: str, path: str = API, first: int = CROWD) -> FaultRule:
    """The first so many requests to a path are answered together, when the latch is released."""
    return FaultRule(fault=faults.hold(latch), path=path, nth=tuple(range(1, first + 1)))


def test_first_token_is_fetched_once_for_a_crowd(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T2: twenty threads without a token make one token call and twenty successes."""
    session = make_session(tokens=credentials(server))
    ends = crowd(clock, session, server.url + API)
    assert [end.statuses for end in ends] == [[200]] * CROWD
    assert len(server.ledger.token_calls()) == 1


@pytest.mark.parametrize("death", ["expire_tokens", "revoke_tokens"])
def test_dead_token_is_refreshed_once_for_a_crowd(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, death: str
) -> None:
    """T2, T4: twenty 401s at once make one token call, and twenty successes at the replay."""
    session = make_session(tokens=credentials(server))
    assert reach(session, server.url + API).status == 200
    getattr(server, death)()
    server.ledger.clear()
    server.plan = FaultPlan(rules=(held_back(latch="together"),))
    released = Crew([lambda: _release_when_all_are_in(server)])
    ends = crowd(clock, session, server.url + API)
    released.join()
    assert [end.statuses for end in ends] == [[401, 200]] * CROWD
    assert [end.generations for end in ends] == [[1, 2]] * CROWD
    assert len(server.ledger.token_calls()) == 1
    assert server.ledger.by_status(path=API) == {401: CROWD, 200: CROWD}
    assert Counter(e.token_generation for e in server.ledger.requests(path=API)) == {
        1: CROWD,
        2: CROWD,
    }


def _release_when_all_are_in(server: FakeServer) -> None:
    server.wait_held("together", CROWD, PATIENCE)
    server.release("together")


@pytest.mark.parametrize("death", ["expire_tokens", "revoke_tokens"])
def test_dead_token_without_choreography(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, death: str
) -> None:
    """T2, T3, T4: however the threads fall, one token call, and no request sent three times."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    for generation in range(2, 7):
        getattr(server, death)()
        server.ledger.clear()
        ends = crowd(clock, session, server.url + API)
        assert [end.status for end in ends] == [200] * CROWD
        assert max(len(end.statuses) for end in ends) <= 2
        assert len(server.ledger.token_calls()) == 1
        assert {end.generations[-1] for end in ends} == {generation}


def test_waits_for_the_refresh_are_told(real_server: FakeServer, make_session: MakeSession) -> None:
    """T2, O1: of a crowd that needs a token, all but the one that fetches it wait, and say so."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan(rules=(held_back(latch="token", path=TOKEN_PATH, first=1),))
    session = make_session(tokens=credentials(server), runtime=time)
    first = Crew([lambda: reach(session, server.url + API)])
    server.wait_held("token", 1, PATIENCE)
    others = Crew([lambda: reach(session, server.url + API)] * (CROWD - 1))
    time.await_waits(CROWD - 1)
    server.release("token")
    waits = [wait for end in others.join() for wait in end.report.waits]
    assert first.join()[0].report.waits == ()
    assert [wait.reason for wait in waits] == [WaitReason.TOKEN] * (CROWD - 1)
    assert {wait.before_attempt for wait in waits} == {1}
    assert len(server.ledger.token_calls()) == 1


def test_late_401_for_an_old_token_refreshes_nothing(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T3: late 401s for an old token are replayed with the current one, without a token call."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    server.revoke_tokens()
    server.plan = FaultPlan(rules=(held_back(latch="slow", first=CROWD - 1),))
    slow = Crew([lambda: reach(session, server.url + API)] * (CROWD - 1))
    server.wait_held("slow", CROWD - 1, PATIENCE)
    assert reach(session, server.url + API).generations == [1, 2]
    assert len(server.ledger.token_calls()) == 2
    server.release("slow")
    assert [end.generations for end in slow.join()] == [[1, 2]] * (CROWD - 1)
    assert len(server.ledger.token_calls()) == 2


def test_second_401_is_final_and_named(server: FakeServer, make_session: MakeSession) -> None:
    """T4: a server that refuses every token is asked twice per call, and the 401 is returned."""
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.answer(401), path=API),))
    session = make_session(tokens=credentials(server))
    end = reach(session, server.url + API)
    assert end.statuses == [401, 401]
    assert end.status == 401
    assert end.report.give_up_reason is GiveUpReason.UNAUTHORIZED_AFTER_REFRESH
    assert end.report.attempts[1].resend_reason is ResendReason.REAUTH
    assert len(server.ledger.token_calls()) == 2


def test_second_401_is_final_whatever_comes_between(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T4: a retry between the two 401s does not buy the call another replay."""
    plan = (faults.answer(401), faults.answer(503), faults.answer(503), faults.answer(401))
    server.plan = FaultPlan.script(*plan, path=API)
    session = make_session(tokens=credentials(server))
    end = reach(session, server.url + API)
    assert end.statuses == [401, 503, 503, 401]
    assert end.report.give_up_reason is GiveUpReason.UNAUTHORIZED_AFTER_REFRESH
    assert end.report.failure is not None
    assert end.report.failure.kind is Kind.UNAUTHORIZED


def test_replay_after_401_is_no_retry(server: FakeServer, make_session: MakeSession) -> None:
    """T4: without any retries left the request is still sent again with a new token."""
    session = make_session(tokens=credentials(server), retry={"max_retries": 0})
    reach(session, server.url + API)
    server.revoke_tokens()
    assert reach(session, server.url + API).statuses == [401, 200]


def test_post_is_replayed_after_401(server: FakeServer, make_session: MakeSession) -> None:
    """T4: a refused POST cannot have been executed, and is executed once by its replay."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    server.revoke_tokens()
    end = reach(session, server.url + API, "POST", json={"name": "one"})
    assert end.statuses == [401, 200]
    assert len(server.ledger.executions(method="POST", path=API)) == 1
    assert server.ledger.duplicates() == ()


def test_one_shot_body_is_not_replayed_after_401(
    server: FakeServer, make_session: MakeSession
) -> None:
    """D12, T4: a one-shot body is not replayed, but the next one goes with a new token."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    server.revoke_tokens()

    def body() -> Iterator[bytes]:
        yield b'{"name": "streamed"}'

    end = reach(session, server.url + API, "POST", data=body())
    assert end.statuses == [401]
    assert end.report.give_up_reason is GiveUpReason.BODY_NOT_REPLAYABLE
    end = reach(session, server.url + API, "POST", data=body())
    assert (end.statuses, end.generations) == ([200], [2])


def test_advisory_refresh_is_one_threads_business(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T5: near expiry one thread refreshes, and the others go on with the old token."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    clock.advance(86400 - 120)
    server.plan = FaultPlan(rules=(held_back(latch="token", path=TOKEN_PATH, first=1),))
    early = Crew([lambda: reach(session, server.url + API)])
    server.wait_held("token", 1, PATIENCE)
    others = Crew([lambda: reach(session, server.url + API)] * (CROWD - 1)).join()
    assert [end.generations for end in others] == [[1]] * (CROWD - 1)
    assert all(end.report.waits == () for end in others)
    server.release("token")
    assert early.join()[0].generations == [2]
    assert reach(session, server.url + API).generations == [2]
    assert len(server.ledger.token_calls()) == 2


def test_mandatory_refresh_is_waited_for_by_all(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T5: in the last seconds of a token nobody sends it any more, and one refresh serves all."""
    told: list[RefreshReport] = []
    session = make_session(tokens=credentials(server), callbacks=Callbacks(on_refresh=told.append))
    reach(session, server.url + API)
    clock.advance(86400 - 20)
    ends = crowd(clock, session, server.url + API)
    assert [end.generations for end in ends] == [[2]] * CROWD
    assert [report.reason for report in told] == [TokenReason.MISSING, TokenReason.MANDATORY]


def test_failed_advisory_refresh_harms_nobody(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T5, T6: while the old token lives, a token endpoint that is down fails no call."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    clock.advance(86400 - 120)
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503), path=TOKEN_PATH),))
    ends = crowd(clock, session, server.url + API)
    assert [end.generations for end in ends] == [[1]] * CROWD
    assert len(server.ledger.token_calls()) == 1 + 3
    server.plan = FaultPlan()
    clock.advance(6)
    assert reach(session, server.url + API).generations == [2]


def test_token_without_lifetime_is_refreshed_on_401_only(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """T5: a token of unknown lifetime is used for a year, and until it is refused."""
    server.plan = FaultPlan(
        rules=(
            FaultRule(
                fault=faults.answer(
                    200, json={"access_token": server.issue_token(lifetime=1e9), "expires_in": None}
                ),
                path=TOKEN_PATH,
                nth=(1,),
            ),
        )
    )
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    clock.advance(365 * 86400)
    assert reach(session, server.url + API).generations == [1]
    assert len(server.ledger.token_calls()) == 1
    server.revoke_tokens()
    assert reach(session, server.url + API).generations == [1, 2]
    assert len(server.ledger.token_calls()) == 2
