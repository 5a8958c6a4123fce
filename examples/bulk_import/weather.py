"""The bad weather of a practice run, as data: what goes wrong, and when.

What strikes single requests is drawn from the server's seed for the n-th of them, so it is the same
in every run, however the threads are timed.
"""

from __future__ import annotations

from weatherglass.testing import FaultPlan, FaultRule, Maintenance, RateLimit, faults
from weatherglass.testing.faults import Fault

from .queues import QUEUES

PER_MINUTE = 300
"""The rate limit of Genesys Cloud for one token."""
WINDOW = "upgrade of the routing service"
"""The maintenance window, as the status page names it."""

_WINDOW_BEGINS = 0.55
"""The share of the import that is done by then."""
_WINDOW_SECONDS = 90.0
_CHANCES: tuple[tuple[str, Fault, float], ...] = (
    ("reset, not executed", faults.reset(), 0.008),
    ("reset, executed", faults.lose(), 0.010),
    ("answer broken off", faults.cut(), 0.008),
    ("503, not executed", faults.answer(503), 0.008),
    ("502, executed", faults.answer(502, form="html", after_execution=True), 0.006),
    ("504, executed", faults.answer(504, code="request.timeout", after_execution=True), 0.006),
    ("500, executed", faults.answer(500, after_execution=True), 0.004),
    # A gateway that speaks of a request as not arrived, although it has passed it on.
    ("408, executed", faults.answer(408, code="client.timeout", after_execution=True), 0.006),
    ("500, not executed", faults.answer(500), 0.003),
    (
        "400",
        faults.answer(400, code="bad.request", message="The division is not yours to use."),
        0.003,
    ),
)


def weather(count: int) -> FaultPlan:
    """The weather for an import of so many rows."""
    # What a minute allows is done at once, the rest at the limit's pace.
    start = max(5.0, _WINDOW_BEGINS * (count - PER_MINUTE) * 60 / PER_MINUTE)
    return FaultPlan(
        rules=(
            FaultRule(
                fault=faults.revoke(),
                method="POST",
                path=QUEUES,
                nth=(int(0.8 * count),),
                name="token revoked",
            ),
            *(
                FaultRule(fault=fault, method="POST", path=QUEUES, probability=chance, name=name)
                for name, fault, chance in _CHANCES
            ),
            FaultRule(
                fault=faults.answer(503), method="GET", path=QUEUES, probability=0.05, name="503"
            ),
        ),
        maintenance=(Maintenance(name=WINDOW, start=start, end=start + _WINDOW_SECONDS),),
        rate_limit=RateLimit(limit=PER_MINUTE, window=60.0),
    )
