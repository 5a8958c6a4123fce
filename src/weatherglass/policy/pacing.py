"""The settings of pacing: slowing down before a rate limit is reached (rule G4)."""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.policy.knobs import check, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingPolicy:
    """Whether and from when calls are spread out, so that a rate limit is not reached (G4)."""

    enabled: bool = knob(
        False, "Spread calls out before the rate limit that headers tell of is reached.", type=bool
    )
    start: float = knob(
        0.5,
        "Share of the limit that may be used at full speed.",
        type=float,
        minimum=0,
        maximum=1,
    )
    max_wait: float = knob(
        60.0,
        "Seconds: the longest that one call waits while requests are left.",
        type=float,
        above=0,
        maximum=86400,
    )

    def __post_init__(self) -> None:
        check(self, "pacing")
