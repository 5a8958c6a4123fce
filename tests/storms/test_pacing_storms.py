"""Pacing at work: many threads against the limits of a real server, alone and beside others."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import requests
from storm_crew import API

import weatherglass
from weatherglass import Policy, Session
from weatherglass.policy import LimitHeaders, PacingPolicy
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    Limiting,
    RateLimit,
    VirtualClock,
)

LIMIT, WINDOW = 300, 60.0
MINUTES = 3
END = MINUTES * WINDOW

HEADERS = LimitHeaders(
    name="fake server",
    limit="inin-ratelimit-allowed",
    used="inin-ratelimit-count",
    reset="inin-ratelimit-reset",
)
POLICY = Policy(limit_headers=(HEADERS,), pacing=PacingPolicy(enabled=True))

WORK = 0.02
"""Seconds that a thread takes between two calls."""


@dataclass
class Job:
    """What the threads of one session have reached."""

    done: list[float] = field(default_factory=list)
    """When each call ended well."""
    refused: int = 0
    """Attempts that were answered by 429."""
    waited: int = 0
    """Waits that pacing has asked for."""

    @property
    def longest_pause(self) -> float:
        moments = [0.0, *sorted(self.done), END]
        return max(after - before for before, after in itertools.pairwise(moments))


class Stage:
    """A limited server, and all that send to it with one token."""

    def __init__(self, server: FakeServer, clock: VirtualClock) -> None:
        self.server, self.clock = server, clock
        self.url = server.url + API
        self._never = threading.Event()
        grant = requests.post(
            server.token_url,
            data={"grant_type": "client_credentials"},
            auth=(CLIENT_ID, CLIENT_SECRET),
            timeout=30,
        )
        self._headers = {"Authorization": f"Bearer {grant.json()['access_token']}"}

    def run(
        self, threads: int, *, sessions: int = 1, strangers: Sequence[Callable[[], None]] = ()
    ) -> list[Job]:
        """Let every session call as fast as it can, until the time is over."""
        opened = [Session(policy=POLICY, runtime=self.clock) for _ in range(sessions)]
        jobs = [Job() for _ in opened]
        try:
            work = [
                self._worker(session, job)
                for session, job in zip(opened, jobs, strict=True)
                for _ in range(threads)
            ]
            self.clock.run_together([*work, *strangers], timeout=300)
        finally:
            for session in opened:
                session.close()
        return jobs

    def _worker(self, session: Session, job: Job) -> Callable[[], None]:
        def work() -> None:
            while self.clock.monotonic() < END:
                answer = session.get(self.url, headers=self._headers)
                report = weatherglass.report(answer)
                job.refused += sum(attempt.status == 429 for attempt in report.attempts)
                job.waited += sum(wait.reason == "pacing" for wait in report.waits)
                if answer.status_code == 200:
                    job.done.append(self.clock.monotonic())
                self.rest(WORK)

        return work

    def stranger(self, pause: float, *, greedy: bool) -> Callable[[], None]:
        """Somebody else: sends on average every ``pause`` seconds, and heeds 429 unless greedy."""

        def send() -> None:
            with requests.Session() as plain:
                while self.clock.monotonic() < END:
                    answer = plain.get(self.url, headers=self._headers, timeout=30)
                    if answer.status_code == 429 and not greedy:
                        self.rest(float(answer.headers["Retry-After"]))
                    else:
                        self.rest(2 * pause * self.clock.random())

        return send

    def rest(self, seconds: float) -> None:
        self.clock.wait(self._never, seconds)


@pytest.fixture(params=list(Limiting))
def limiting(request: pytest.FixtureRequest) -> Limiting:
    """Both ways in which servers count."""
    algorithm: Limiting = request.param
    return algorithm


@pytest.fixture
def stage(limiting: Limiting) -> Iterator[Stage]:
    """A server whose limit is 300 requests a minute."""
    limit = RateLimit(limit=LIMIT, window=WINDOW, path="/api/*", algorithm=limiting)
    clock = VirtualClock()
    with FakeServer(plan=FaultPlan(rate_limit=limit), clock=clock) as server:
        yield Stage(server, clock)


@pytest.mark.parametrize("threads", [8, 16])
def test_alone_at_full_speed(stage: Stage, threads: int) -> None:
    """G4: a bulk job gets no 429 at all, and still uses at least nine tenths of the limit."""
    (job,) = stage.run(threads)
    assert job.refused == 0
    assert not [entry for entry in stage.server.ledger.requests() if entry.status == 429]
    assert len(job.done) >= 0.9 * LIMIT * MINUTES
    assert job.longest_pause <= 3


def test_two_sessions_share_fairly(stage: Stage) -> None:
    """G4: two sessions with one token get 429s next to never, and neither gets the most of it."""
    jobs = stage.run(8, sessions=2)
    reached = [len(job.done) for job in jobs]
    assert sum(reached) >= 0.9 * LIMIT * MINUTES
    assert min(reached) >= 0.3 * sum(reached)
    assert sum(job.refused for job in jobs) <= 2 * MINUTES


def test_modest_strangers_are_left_their_part(stage: Stage) -> None:
    """G4: somebody who sends two requests a second goes on almost as if alone."""
    (job,) = stage.run(8, strangers=[stage.stranger(0.5, greedy=False)])
    sent = stage.server.ledger.requests(path=API)
    refused = [entry for entry in sent if entry.status == 429]
    assert len(refused) <= 0.03 * len(sent)
    assert job.refused <= 2 * MINUTES
    assert len(job.done) >= 0.5 * LIMIT * MINUTES
    assert job.longest_pause <= WINDOW / 2


@pytest.mark.parametrize(("pause", "greedy"), [(0.02, False), (0.05, True)])
def test_strangers_who_take_all_do_not_stop_us(stage: Stage, pause: float, greedy: bool) -> None:
    """G4: beside others who take whatever they get, we get a part, in every window."""
    (job,) = stage.run(8, strangers=[stage.stranger(pause, greedy=greedy)])
    assert len(job.done) >= 0.15 * LIMIT * MINUTES
    assert job.longest_pause <= WINDOW + 3


def test_small_jobs_are_not_slowed_down(stage: Stage) -> None:
    """G4: up to the start of pacing nobody waits."""
    with Session(policy=POLICY, runtime=stage.clock) as session:
        for _ in range(LIMIT // 2 - 1):
            answer = session.get(stage.url, headers=stage._headers)
            assert weatherglass.report(answer).waits == ()
    assert stage.clock.monotonic() == 0
