"""Measures what pacing reaches against limits of 300 requests a minute, alone and beside others.

``PYTHONPATH=src python tools/measure_pacing.py`` prints the table of ``docs/pacing.md``: eight
threads per session, one token, ten minutes in the virtual time of a fake server, which takes about
a minute. The order of threads is the machine's, so that no two runs are quite the same.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from functools import partial

import requests

import weatherglass
from weatherglass import LimitHeaders, PacingPolicy, Policy, Session
from weatherglass.testing import FakeServer, FaultPlan, Limiting, RateLimit, VirtualClock

LIMIT, WINDOW, MINUTES, THREADS = 300, 60.0, 10, 8
END = MINUTES * WINDOW
WORK = 0.02
"""Seconds that a thread takes between two calls."""

HEADERS = LimitHeaders(
    name="fake server",
    limit="inin-ratelimit-allowed",
    used="inin-ratelimit-count",
    reset="inin-ratelimit-reset",
)


@dataclass(frozen=True)
class Others:
    """Who sends besides, with the same token."""

    words: str
    sessions: int = 1
    """Sessions of ours in all."""
    pause: float | None = None
    """Seconds between the requests of a stranger, on average; ``None``: there is none."""
    greedy: bool = False
    """Whether the stranger goes on after a 429 as if nothing had been said."""


SETTINGS = (
    Others("nobody"),
    Others("a second session with pacing", sessions=2),
    Others("a stranger, 2 requests/s", pause=0.5),
    Others("a stranger, 50 requests/s, heeds 429", pause=0.02),
    Others("a stranger, 20 requests/s, heeds nothing", pause=0.05, greedy=True),
)


@dataclass
class Job:
    """What the threads of one session have reached."""

    done: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def longest_pause(self) -> float:
        moments = [0.0, *sorted(self.done), END]
        return max(after - before for before, after in itertools.pairwise(moments))


class Run:
    """All that send to one server, in one time."""

    def __init__(self, url: str, clock: VirtualClock) -> None:
        self._url, self._clock = url, clock
        self._never = threading.Event()

    def worker(self, session: Session, job: Job) -> None:
        """One thread of a bulk job."""
        while self._clock.monotonic() < END:
            answer = session.get(self._url)
            attempts = weatherglass.report(answer).attempts
            job.refused += sum(attempt.status == 429 for attempt in attempts)
            if answer.ok:
                job.done.append(self._clock.monotonic())
            self._rest(WORK)

    def stranger(self, pause: float, *, greedy: bool) -> None:
        """Somebody else."""
        with requests.Session() as plain:
            while self._clock.monotonic() < END:
                answer = plain.get(self._url, timeout=30)
                if answer.status_code == 429 and not greedy:
                    self._rest(float(answer.headers["Retry-After"]))
                else:
                    self._rest(2 * pause * self._clock.random())

    def _rest(self, seconds: float) -> None:
        self._clock.wait(self._never, seconds)


def measure(algorithm: Limiting, others: Others, *, paced: bool = True) -> list[Job]:
    """One run; a job for each session."""
    clock = VirtualClock()
    policy = Policy(limit_headers=(HEADERS,), pacing=PacingPolicy(enabled=paced))
    sessions = [Session(policy=policy, runtime=clock) for _ in range(others.sessions)]
    jobs = [Job() for _ in sessions]
    plan = FaultPlan(rate_limit=RateLimit(limit=LIMIT, window=WINDOW, algorithm=algorithm))
    with FakeServer(plan=plan, clock=clock, require_tokens=False) as server:
        run = Run(f"{server.url}/echo", clock)
        work = [
            partial(run.worker, session, job)
            for session, job in zip(sessions, jobs, strict=True)
            for _ in range(THREADS)
        ]
        if others.pause is not None:
            work.append(partial(run.stranger, others.pause, greedy=others.greedy))
        clock.run_together(work, timeout=600)
    for session in sessions:
        session.close()
    return jobs


def row(algorithm: Limiting, words: str, jobs: list[Job]) -> str:
    """A line of the table."""
    shares = " + ".join(f"{len(job.done) / (LIMIT * MINUTES):.0%}" for job in jobs)
    refused = sum(job.refused for job in jobs)
    pause = max(job.longest_pause for job in jobs)
    return f"| {algorithm} | {words} | {shares.replace('%', ' %')} | {refused} | {pause:.1f} s |"


def main() -> None:
    """Print the table."""
    print("| limit | who else | of the limit | 429 | longest pause |")
    print("|---|---|---|---|---|")
    for algorithm in (Limiting.WINDOW, Limiting.BUCKET):
        print(
            row(algorithm, "nobody, without pacing", measure(algorithm, SETTINGS[0], paced=False))
        )
        for others in SETTINGS:
            print(row(algorithm, others.words, measure(algorithm, others)))


if __name__ == "__main__":
    main()
