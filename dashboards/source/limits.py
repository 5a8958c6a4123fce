"""The row on rate limits: what is left of them, what runs into them, and what waits for them."""

from __future__ import annotations

from dashboards.source.boards import Row
from dashboards.source.panels import Panel, graph, target
from dashboards.source.queries import (
    equal,
    least,
    legend,
    lowest,
    most,
    per_minute,
    rate,
    select,
    total,
    zero_if_none,
)
from weatherglass.telemetry import registry
from weatherglass.vocabulary import Kind, WaitReason

_FOR_A_LIMIT = (WaitReason.PACING.value, WaitReason.GATE.value)
"""Why calls wait for a rate limit: before it is reached, and after."""


def row() -> Row:
    """The row."""
    return Row("Rate limits and pacing", ((_left(), _answers(), _waited()),))


def _left() -> Panel:
    by = (registry.SERVER_ADDRESS, registry.CREDENTIAL)
    return graph(
        "Rate limit left",
        "Requests left before the server's rate limit, as it last said, by credential: of all who"
        " share one, in all processes. A saw-tooth that turns before zero is a limit that is used"
        " well. At zero, answers of 429 follow: slow down with pacing (docs/pacing.md), spread the"
        " load, or ask for a higher limit.",
        [target(least(lowest(select(registry.RATELIMIT_REMAINING), *by)), legend(*by))],
        unit="short",
        no_value="no server has told its limit",
        size=(8, 8),
    )


def _answers() -> Panel:
    by = registry.SERVER_ADDRESS
    limited = select(registry.FAILURES, equal(registry.FAILURE_KIND, Kind.RATE_LIMITED.value))
    answers = most(per_minute(total(rate(limited), by)))
    return graph(
        "Answers that a limit is reached",
        "Failures of the kind rate_limited per minute, by origin. What pacing is there to avoid."
        " Some with pacing, too: others use the same limit, and took what was left.",
        [target(zero_if_none(answers, attribute=by, word="no answer"), legend(by))],
        unit="cpm",
        size=(8, 8),
        stacked=True,
    )


def _waited() -> Panel:
    by = registry.WAIT_REASON
    waited = select(registry.WAIT_DURATION, equal(by, *_FOR_A_LIMIT), part="sum")
    seconds = per_minute(total(rate(waited), by))
    return graph(
        "Time waited for rate limits",
        "Seconds that all threads together waited per minute: 60 is one thread that does nothing"
        " else. Pacing: a limit is near, and calls are spaced out before it. Gate: it was reached,"
        " and all of one credential wait for its end. A bulk job is as fast as its limit either"
        " way; much pacing and no gate is the healthy one.",
        [target(zero_if_none(seconds, attribute=by, word="no wait"), legend(by))],
        unit="s",
        size=(8, 8),
        stacked=True,
    )
