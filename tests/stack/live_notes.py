"""What an application hears of its own calls, counted: the other side of the live figures.

Plain counters behind the callbacks of a session, fit to be written as JSON. What telemetry says
of the same things is asked of Prometheus, elsewhere.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import weatherglass
from weatherglass.decide.breaker import Transition
from weatherglass.report import Attempt, CallReport
from weatherglass.tokens import RefreshReport


class Notes:
    """Counts what the callbacks of one or more sessions are told; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("retries", "give_ups", "transitions", "refreshes", "calls")
        }

    def callbacks(self, **others: Any) -> weatherglass.Callbacks:
        """Callbacks that write here; ``others`` are further ones."""
        return weatherglass.Callbacks(
            on_retry=self._retried,
            on_give_up=self._gave_up,
            on_call=self._ended,
            on_transition=self._moved,
            on_refresh=self._refreshed,
            **others,
        )

    def to_dict(self) -> dict[str, dict[str, int]]:
        """All counters as plain JSON types."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._counts.items()}

    def _retried(self, attempt: Attempt) -> None:
        assert attempt.failure is not None
        self._count("retries", str(attempt.failure.kind))

    def _gave_up(self, report: CallReport) -> None:
        self._count("give_ups", str(report.give_up_reason))

    def _ended(self, report: CallReport) -> None:
        self._count("calls", str(report.outcome))

    def _moved(self, transition: Transition) -> None:
        words = (transition.previous, transition.state, transition.cause)
        self._count("transitions", " ".join(map(str, words)))

    def _refreshed(self, report: RefreshReport) -> None:
        self._count("refreshes", f"{report.reason} {'ok' if report.succeeded else 'failed'}")

    def _count(self, name: str, word: str) -> None:
        with self._lock:
            self._counts[name][word] += 1
