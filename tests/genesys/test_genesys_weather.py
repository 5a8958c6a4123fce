"""Bad weather on Genesys Cloud: threads, expiry, outages, maintenance, and what metrics say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from genesys_scenes import NO_RETRIES, PATIENCE, QUEUES, Clock, api_script, session_on
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import weatherglass
from weatherglass.genesys import Session
from weatherglass.telemetry import Recorder
from weatherglass.testing import FakeServer, FaultPlan, Limiting, Maintenance, RateLimit, faults

THREADS = 8


def in_threads(function: Callable[[], Any]) -> list[Any]:
    """What a function returns in threads that begin together."""
    begin, results = threading.Barrier(THREADS), []

    def run() -> None:
        begin.wait(PATIENCE)
        results.append(function())

    threads = [threading.Thread(target=run, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a thread is stuck"
    return results


@pytest.fixture
def busy_server() -> Iterator[FakeServer]:
    """A server in real time, for threads that do not wait for each other."""
    with FakeServer(require_tokens=True) as server:
        yield server


def test_threads_share_one_session_and_one_token(busy_server: FakeServer) -> None:
    """T2: eight threads on one session get one token between them."""
    with session_on(busy_server) as session:
        statuses = in_threads(lambda: session.get(QUEUES).status_code)

    assert statuses == [200] * THREADS
    assert len(busy_server.ledger.token_calls()) == 1


def test_one_expiry_makes_one_refresh(busy_server: FakeServer) -> None:
    """G3: eight threads that meet one expired client-credentials token make one new grant."""
    with session_on(busy_server) as session:
        session.get(QUEUES)
        busy_server.revoke_tokens()
        statuses = in_threads(lambda: session.get(QUEUES).status_code)

    assert statuses == [200] * THREADS
    assert len(busy_server.ledger.token_calls()) == 2


def test_breaker_is_the_region_hosts_own(server: FakeServer) -> None:
    """B5: an outage of one region opens the breaker of its API host, and of no other."""
    with (
        FakeServer(clock=server.clock) as elsewhere,
        session_on(server, policy=NO_RETRIES) as session,
    ):
        session.get("/echo")
        server.plan = api_script(*[faults.answer(503)] * 5)
        for _ in range(5):
            session.get(QUEUES)
        with pytest.raises(weatherglass.CircuitOpen):
            session.get(QUEUES)
        assert session.get(f"{elsewhere.url}/echo").status_code == 200

        states = {name: str(state) for name, state in session.breakers.states().items()}
    assert states == {server.url: "open", elsewhere.url: "closed"}


def test_permanent_codes_leave_the_breaker_shut(server: FakeServer) -> None:
    """B4: errors that show a living server, a 503 ``forbidden`` too, open no breaker."""
    script = [
        faults.answer(503, code="forbidden"),
        faults.answer(500, code="jid.not.found"),
        faults.answer(400, code="wem.learning.server.too.busy"),
    ]
    server.plan = api_script(*script * 4)
    with session_on(server, policy=NO_RETRIES) as session:
        for _ in range(12):
            session.get(QUEUES)
        assert session.get(QUEUES).status_code == 200


def gauge(reader: InMemoryMetricReader, name: str) -> list[tuple[dict[str, Any], float]]:
    """The points of one gauge, each with its attributes."""
    data = reader.get_metrics_data()
    return [
        (dict(point.attributes or {}), point.value)  # type: ignore[union-attr]  # a gauge's points
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def test_headroom_before_the_limit_is_a_gauge(clock: Clock) -> None:
    """G4: how many requests ``inin-ratelimit-*`` say are left is a metric, per credential."""
    reader = InMemoryMetricReader()
    recorder = Recorder(meter_provider=MeterProvider([reader]), runtime=clock)
    plan = FaultPlan(rate_limit=RateLimit(limit=300, algorithm=Limiting.WINDOW))
    with (
        FakeServer(plan, clock=clock, require_tokens=True) as server,
        session_on(server, recorder=recorder) as session,
    ):
        for _ in range(5):
            session.get(QUEUES)
        ((attributes, left),) = gauge(reader, "weatherglass.ratelimit.remaining")

    assert left == 295
    assert "genesys" in attributes.values()


def announced(server: FakeServer, **changes: Any) -> Session:
    return session_on(server, status_feed=server.url, **changes)


@pytest.mark.parametrize(
    ("region", "known"),
    [("mypurecloud.ie", {"dublin"}), ("mypurecloud.de", {"frankfurt"}), ("euw2.pure.cloud", set())],
)
def test_status_feed_tells_of_the_regions_windows_alone(
    clock: Clock, region: str, known: set[str]
) -> None:
    """M1: of the windows on the status page those count that concern the region."""
    windows = (
        Maintenance(name="dublin", start=3600, end=7200, components=("EMEA (Dublin)",)),
        Maintenance(name="frankfurt", start=3600, end=7200, components=("EMEA (Frankfurt)",)),
    )
    with (
        FakeServer(FaultPlan(maintenance=windows), clock=clock) as server,
        announced(server, region=region) as session,
    ):
        (reading,) = session.adapter.read_feeds().values()

    assert {window.name for window in reading.windows} == known
    assert all(window.hosts == ("127.0.0.1",) for window in reading.windows)


def test_calls_fail_fast_in_a_window_of_the_region(clock: Clock) -> None:
    """M3: in a window of the region the first 503 is final, and later calls are refused."""
    window = Maintenance(name="upgrade", start=0, end=3600, components=("EMEA (Dublin)",))
    with (
        FakeServer(FaultPlan(maintenance=(window,)), clock=clock) as server,
        announced(server) as session,
    ):
        session.adapter.read_feeds()
        report = weatherglass.report(session.get(QUEUES))
        assert str(report.give_up_reason) == "maintenance"
        assert "upgrade" in str(report.attempts[0].maintenance)
        with pytest.raises(weatherglass.MaintenanceInProgress):
            session.get(QUEUES)


def test_status_page_that_is_down_changes_nothing(server: FakeServer) -> None:
    """M2: a status page that does not answer leaves every call as it was."""
    with session_on(server, status_feed=server.refused_url()) as session:
        session.adapter.read_feeds()
        assert session.get(QUEUES).status_code == 200
