"""Windows from a status page in whole calls: found, extended, withdrawn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from feed_crew import (
    ACTIVE,
    UPCOMING,
    UnhurriedClock,
    adapter,
    feed,
    feed_policy,
    pages,
    read,
    settle,
)
from storm_crew import CROWD, HOUR, OPEN, RELEASE, Crew, closed_for, crowd, reach

from weatherglass import (
    CircuitOpen,
    MaintenanceInProgress,
    MaintenanceWindow,
    Session,
)
from weatherglass.policy import MaintenancePolicy, Policy
from weatherglass.testing import FakeServer, FaultPlan, FaultRule, VirtualClock, faults
from weatherglass.vocabulary import BreakerState, GiveUpReason, WaitReason

MakeSession = Callable[..., Session]


@pytest.fixture
def fed(server: FakeServer, clock: VirtualClock, make_session: MakeSession) -> Session:
    """A session that knows from the page alone of a window that has just begun."""
    server.plan = closed_for()
    session = make_session(policy=feed_policy(server))
    clock.advance(601)
    read(session)
    return session


def test_window_of_a_page_is_a_window(server: FakeServer, fed: Session) -> None:
    """M1, M3: in a window that the page announces, one 503 opens, and the next calls fail fast."""
    first = reach(fed, server.url + OPEN)
    assert first.statuses == [503]
    assert first.report.give_up_reason is GiveUpReason.MAINTENANCE
    assert first.report.attempts[0].maintenance == "release"
    second = reach(fed, server.url + OPEN)
    assert isinstance(second.error, MaintenanceInProgress)
    assert len(server.ledger.requests(path=OPEN)) == 1


def test_window_of_a_page_can_be_waited_for(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1, M3: in the mode `wait` a call succeeds after the end that the page announces."""
    server.plan = closed_for()
    session = make_session(maintenance={"feeds": (feed(server),), "mode": "wait"})
    clock.advance(601)
    read(session)
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503, 200]
    assert [wait.reason for wait in end.report.waits] == [WaitReason.MAINTENANCE]
    assert RELEASE.end <= clock.time() - server.started_at < RELEASE.end + 10


def test_window_of_a_page_can_be_ignored(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1, M3: in the mode `ignore` the ordinary rules hold, whatever the page says."""
    server.plan = closed_for(replace(RELEASE, down_until=601.5))
    session = make_session(maintenance={"feeds": (feed(server),), "mode": "ignore"})
    clock.advance(601)
    read(session)
    end = reach(session, server.url + OPEN)
    assert end.statuses[0] == 503
    assert end.status == 200
    assert end.report.maintenance is None


def test_pages_are_read_in_observe_mode(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1, D18: in observe mode windows are known as well, and their calls labelled so."""
    server.plan = closed_for()
    policy = feed_policy(server).new(mode="observe")
    session = make_session(policy=policy)
    clock.advance(601)
    read(session)
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503]
    assert end.report.maintenance == "release"


def test_page_is_read_in_the_background(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2: the first call has the page read, does not wait for it, and the next knows of it."""
    page = faults.hold("page", of=None)
    server.plan = FaultPlan(maintenance=(RELEASE,), rules=(FaultRule(fault=page, path=UPCOMING),))
    session = make_session(policy=feed_policy(server))
    clock.advance(300)
    assert reach(session, server.url + OPEN).statuses == [200]
    server.wait_held("page")
    assert adapter(session).live.calendar.empty
    server.release("page")
    settle()
    assert [w.name for w in adapter(session).live.calendar.windows] == ["release"]


def test_windows_of_one_host_do_not_affect_another(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1: a page's windows concern the feed's hosts and no other."""
    server.plan = FaultPlan(
        maintenance=(replace(RELEASE, path="/nowhere"),),
        rules=(FaultRule(fault=faults.answer(503), path=OPEN, nth=(1, 2)),),
    )
    session = make_session(policy=feed_policy(server))
    clock.advance(601)
    read(session)
    assert reach(session, server.url + OPEN).statuses == [503]
    other = reach(session, server.other_url + OPEN)
    assert other.statuses == [503, 200]
    assert other.report.maintenance is None


def test_components_choose_among_the_windows(server: FakeServer, make_session: MakeSession) -> None:
    """M1: of a page for the whole world, the maintenance of other regions is none of ours."""
    elsewhere = replace(RELEASE, name="elsewhere", components=("Asia",))
    server.plan = FaultPlan(maintenance=(RELEASE, elsewhere))
    session = make_session(policy=feed_policy(server, components=("americas*",)))
    assert [window.name for window in read(session)["page"].windows] == ["release"]


def test_page_is_read_again_when_its_time_is_over(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2: within the TTL one reading serves all calls; after it the next call has it read."""
    session = make_session(policy=feed_policy(server, ttl=100))
    for _ in range(5):
        reach(session, server.url + OPEN)
        settle()
        clock.advance(10)
    assert [entry.path for entry in pages(server)] == [UPCOMING, ACTIVE]
    clock.advance(65)
    reach(session, server.url + OPEN)
    settle()
    assert len(pages(server)) == 4


def test_refused_calls_have_the_page_read(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2, B6: while a breaker refuses all calls, they still have the page read."""
    server.plan = closed_for()
    session = make_session(policy=feed_policy(server, ttl=10))
    clock.advance(601)
    read(session)
    reach(session, server.url + OPEN)
    clock.advance(12)
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)
    settle()
    assert len(pages(server)) == 4


def test_export_has_the_page_read(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2, M4: where nobody calls, an export of telemetry keeps the windows fresh."""
    server.plan = closed_for()
    session = make_session(policy=feed_policy(server))
    adapter(session).feed_ages()
    settle()
    clock.advance(40)
    assert adapter(session).feed_ages() == {"page": 40}
    # Windows without hosts of their own are those of the hosts that were called.
    assert [name for name, *_ in adapter(session).maintenance_windows()] == ["release"]


def test_nothing_is_read_without_a_call(server: FakeServer, make_session: MakeSession) -> None:
    """M2, D14: a session that nobody uses begins no thread and sends nothing."""
    make_session(policy=feed_policy(server)).close()
    settle()
    assert len(server.ledger) == 0


def test_page_is_not_reached_through_the_breaker(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2: an open breaker, an empty budget and a gate of the API do not keep the page away."""
    server.plan = closed_for()
    session = make_session(policy=feed_policy(server))
    adapter(session).live.gates.hold(f"{server.url}|none", 1000)
    session.breakers.force_open(server.url)
    clock.advance(601)
    assert read(session)["page"].good
    assert session.breakers.state(server.url) is BreakerState.FORCED_OPEN
    assert all(entry.token is None for entry in pages(server))


def test_window_that_the_page_ends_early(
    server: FakeServer, clock: VirtualClock, fed: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """M5: when the page withdraws a window, it ends, and a probe is made in seconds."""
    caplog.set_level(logging.INFO, "weatherglass")
    reach(fed, server.url + OPEN)
    server.plan = FaultPlan()
    assert read(fed)["page"].windows == ()
    clock.advance(5)
    assert reach(fed, server.url + OPEN).statuses == [200]
    assert fed.breakers.state(server.url) is BreakerState.CLOSED
    told = [line.message.partition(":")[0] for line in caplog.records]
    assert told.count("maintenance started") == told.count("maintenance ended") == 1


def test_server_that_asks_to_be_left_alone_is_left_alone(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5, B7: what the page withdraws does not cut a Retry-After short."""
    server.plan = closed_for(replace(RELEASE, fault=faults.answer(503, retry_after=90)))
    session = make_session(policy=feed_policy(server))
    clock.advance(601)
    read(session)
    reach(session, server.url + OPEN)
    adapter(session).live.gates.reset_after_fork()
    server.plan = FaultPlan()
    read(session)
    answer = session.breakers.data(server.url)
    assert answer.probe_at - clock.monotonic() >= 90


def test_those_who_wait_hear_of_an_early_end() -> None:
    """M5: a call that waits for a window's end does not wait on when the page withdraws it."""
    clock = UnhurriedClock()
    with FakeServer(closed_for(), clock=clock) as server:
        settings = {"feeds": (feed(server, ttl=60),), "mode": "wait"}
        with Session(runtime=clock, policy=Policy().new(maintenance=settings)) as session:
            clock.advance(601)
            read(session)
            server.plan = FaultPlan.script(faults.answer(503), path=OPEN)
            end = reach(session, server.url + OPEN)
            took = clock.time() - server.started_at - 601
    assert end.statuses == [503, 200]
    assert took < 60 * 1.1 + 2 * 30 + 10, "a TTL, and two looks at what is known"
    assert end.report.maintenance == "release"


def test_fleet_comes_back_spread_out_though_it_looks_for_news() -> None:
    """M3: who looks for news every 30 s does not come back at the first look after the end."""
    clock = UnhurriedClock()
    with FakeServer(closed_for(), clock=clock) as server:
        settings = {"feeds": (feed(server),), "mode": "wait"}
        policy = Policy().new(maintenance=settings)
        with Session(runtime=clock, policy=policy, pool_maxsize=32) as session:
            clock.advance(601)
            read(session)
            ends = crowd(clock, session, server.url + OPEN)
        came = [e.arrived_at for e in server.ledger.requests(path=OPEN) if e.status == 200]
    assert [end.status for end in ends] == [200] * CROWD
    after = sorted(at - server.started_at - RELEASE.end for at in came)
    assert 0 <= after[0] < 2 < after[-1] < 10
    assert len(set(after)) >= CROWD - 1, "some came back at the same moment"


def test_fleet_comes_back_spread_out_from_an_early_end() -> None:
    """M5: those who hear of an early end do not all come back as soon as they hear of it."""
    clock = UnhurriedClock()
    with FakeServer(closed_for(), clock=clock) as server:
        settings = {"feeds": (feed(server, ttl=60),), "mode": "wait"}
        policy = Policy().new(maintenance=settings)
        with Session(runtime=clock, policy=policy, pool_maxsize=32) as session:
            clock.advance(601)
            read(session)
            assert reach(session, server.url + OPEN, deadline=20).statuses == [503]
            server.plan = FaultPlan()
            ends = crowd(clock, session, server.url + OPEN)
        came = [e.arrived_at for e in server.ledger.requests(path=OPEN) if e.status == 200]
    assert [end.status for end in ends] == [200] * CROWD
    assert max(came) - min(came) > 1
    assert len(set(came)) >= CROWD - 1, "some came back at the same moment"
    assert max(came) - server.started_at < 601 + 60 * 1.1 + 2 * 30 + 10


def test_window_that_the_page_makes_shorter(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5: an end that is moved forward counts, however long the probes are apart."""
    server.plan = closed_for()
    settings = {"feeds": (feed(server),), "probe_interval": 3000}
    session = make_session(maintenance=settings)
    clock.advance(601)
    read(session)
    reach(session, server.url + OPEN)
    server.plan = closed_for(replace(RELEASE, end=900))
    read(session)
    clock.advance(100)
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)
    clock.advance(900 - 701 + 5)
    assert reach(session, server.url + OPEN).statuses == [200]


def test_window_of_one_page_ends_while_that_of_another_goes_on(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, tmp_path: Path
) -> None:
    """M1, M5: of two windows that overlap, the end of one does not end the other."""
    server.plan = closed_for()
    path = tmp_path / "windows.toml"
    (window,) = server.maintenance_windows()
    path.write_text(
        f'[[windows]]\nname = "ours"\nstart = {window.start.isoformat()}\n'
        f"end = {window.end.isoformat()}\n"
    )
    session = make_session(maintenance={"feeds": (feed(server),), "file": str(path)})
    clock.advance(601)
    read(session)
    reach(session, server.url + OPEN)
    path.write_text("")
    read(session)
    clock.advance(6)
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)
    server.plan = FaultPlan()
    read(session)
    clock.advance(6)
    assert reach(session, server.url + OPEN).statuses == [200]


def test_window_that_is_withdrawn_and_announced_again(
    server: FakeServer, clock: VirtualClock, fed: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """M1, M5: a window that comes back under its old name is a window as before."""
    caplog.set_level(logging.INFO, "weatherglass")
    reach(fed, server.url + OPEN)
    server.plan = FaultPlan()
    read(fed)
    clock.advance(5)
    assert reach(fed, server.url + OPEN).statuses == [200]
    server.plan = closed_for()
    read(fed)
    assert reach(fed, server.url + OPEN).report.give_up_reason is GiveUpReason.MAINTENANCE
    told = [line.message.partition(":")[0] for line in caplog.records]
    assert told.count("maintenance started") == 2
    assert told.count("maintenance ended") == 1


def test_window_that_overruns_is_extended(
    server: FakeServer, clock: VirtualClock, fed: Session
) -> None:
    """M5, B7: an end that the page moves keeps the slow probes going; without, ordinary rules."""
    longer = replace(RELEASE, end=RELEASE.end + HOUR)
    reach(fed, server.url + OPEN)
    server.plan = closed_for(longer)
    read(fed)
    clock.advance(RELEASE.end - 601 + 1)
    probe = reach(fed, server.url + OPEN)
    assert probe.statuses == [503]
    assert probe.report.give_up_reason is GiveUpReason.MAINTENANCE
    refused = reach(fed, server.url + OPEN)
    assert isinstance(refused.error, MaintenanceInProgress)
    assert refused.error.next_probe_in == 30


def test_window_that_overruns_without_a_word(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5: when the page says nothing of an overrun, it is a failure like any other."""
    server.plan = closed_for(replace(RELEASE, down_until=RELEASE.end + HOUR))
    session = make_session(policy=feed_policy(server))
    clock.advance(601)
    read(session)
    reach(session, server.url + OPEN)
    clock.advance(RELEASE.end - 601 + 1)
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503]
    assert end.report.attempts[0].maintenance is None
    assert type(reach(session, server.url + OPEN).error) is CircuitOpen


def test_crowd_has_the_page_read_once(server: FakeServer, make_session: MakeSession) -> None:
    """M2: however many threads call at once, one of them has the page read, once."""
    session = make_session(policy=feed_policy(server))
    ends = Crew([lambda: reach(session, server.url + OPEN)] * CROWD).join()
    settle()
    assert [end.status for end in ends] == [200] * CROWD
    assert len(pages(server)) == 2


def test_windows_of_all_sources_stand_side_by_side(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, tmp_path: Path
) -> None:
    """M1: policy, page and file each have their own windows, and replace their own alone."""
    path = tmp_path / "windows.toml"
    path.write_text(
        '[[windows]]\nname = "by file"\nstart = 2026-01-02T00:00:00Z\nend = 2026-01-02T01:00:00Z\n'
    )
    server.plan = FaultPlan(maintenance=(RELEASE,))
    (window,) = server.maintenance_windows()
    static = MaintenanceWindow(name="static", start=window.start, end=window.end)
    policy = Policy(
        maintenance=MaintenancePolicy(
            windows=(static,), file=str(path), feeds=(feed(server, ttl=3600),)
        )
    )
    session = make_session(policy=policy)

    def names() -> set[str]:
        return {window.name for window in adapter(session).live.calendar.windows}

    assert set(read(session)) == {"page", "file"}
    assert names() == {"static", "release", "by file"}
    path.write_text("")
    clock.advance(15)
    reach(session, server.url + OPEN)
    settle()
    assert names() == {"static", "release"}
    assert len(pages(server)) == 2, "the page was read again"
