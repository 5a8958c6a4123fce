"""Scenes of rate limits: told in each way, run into, and kept away from by pacing."""

from __future__ import annotations

from collections.abc import Callable

from theatre import Theatre

import weatherglass
from weatherglass.testing import FaultPlan, Limiting, RateLimit, Telling
from weatherglass.vocabulary import ObservedDecision, WaitReason

QUEUES = "/api/v2/routing/queues"
HEADERS = weatherglass.LimitHeaders(
    name="inin",
    limit="inin-ratelimit-allowed",
    used="inin-ratelimit-count",
    reset="inin-ratelimit-reset",
)


def rate_limits(theatre: Theatre) -> None:
    """Run into without pacing, by each way of counting and of telling."""
    for algorithm in Limiting:
        for telling in Telling:
            limit = RateLimit(limit=2, window=10, algorithm=algorithm, telling=telling)
            stage = theatre.stage(FaultPlan(rate_limit=limit))
            session = stage.session()
            for _ in range(5):
                stage.get(session, QUEUES)


def pacing(theatre: Theatre) -> None:
    """A job at full speed, which is never refused; and what it would have waited for."""
    for algorithm in Limiting:
        for mode in ("active", "observe"):
            limit = RateLimit(limit=6, window=20, algorithm=algorithm)
            stage = theatre.stage(FaultPlan(rate_limit=limit))
            session = stage.session(
                pacing={"enabled": True}, limit_headers=(HEADERS,), mode=mode, name=f"paced {mode}"
            )
            for _ in range(12):
                stage.get(session, QUEUES)
            if mode == "active":
                assert {wait.reason for report in stage.reports for wait in report.waits} == {
                    WaitReason.PACING
                }
                assert stage.server.ledger.by_status() == {200: 12}
            else:
                observed = [each for report in stage.reports for each in report.observed]
                assert ObservedDecision.PACING_WAIT in observed


SCENES: tuple[Callable[[Theatre], None], ...] = (rate_limits, pacing)
