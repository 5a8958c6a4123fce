"""What a breaker is told of an attempt that it admitted (rule B4).

=====================  ======================  =====================  =======================
result                 run of failures         rates                  a probe
=====================  ======================  =====================  =======================
``Success``            ends it                 a call                 closes
``Failed``             one more                a failure              reopens, for longer
``Alive``              untouched, unless it    nothing                closes
                       ``ends_run``
``Ignored``            untouched               nothing                gives its place back
``MaintenanceFailure`` opens at once           nothing                reopens until the
                                                                      window's end
=====================  ======================  =====================  =======================
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Success:
    """The call succeeded."""

    duration: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The server failed, or the network did."""

    duration: float
    """Seconds."""
    hold: float | None = None
    """Seconds that a 503's Retry-After asked for (rule B7)."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The server answered for itself, though not with a success: a 4xx, a permanent 500."""

    ends_run: bool = False
    """Whether it also ends a run of failures: a permanent 500 does, a 4xx does not."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Says nothing of the server: a 401, a 429, a refusal of our own, a cancelled call."""


@dataclass(frozen=True, slots=True)
class MaintenanceFailure:
    """A failure inside a maintenance window that shows the server down (rules M3 and B7)."""

    window: str
    """The window's name."""
    ends_in: float
    """Seconds until the window's end."""
    probe_interval: float
    """Seconds between probes until then."""
    hold: float | None = None
    """Seconds that a 503's Retry-After asked for."""


BreakerResult = Success | Failed | Alive | Ignored | MaintenanceFailure
