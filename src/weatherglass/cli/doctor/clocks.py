"""Whether clocks agree: tokens, HTTP dates and maintenance windows are judged by them."""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.cli.doctor.findings import Finding, failed, ok, skipped, warning
from weatherglass.cli.doctor.network import NoAnswer, ask
from weatherglass.diagnose.dates import parse_date
from weatherglass.telemetry.redact import redact_url

CHECK = "clock"
NOTICED = 2.0
"""Seconds of difference that are warned of."""
UNBEARABLE = 30.0
"""Seconds of difference that are a failure: tokens are refreshed that much before they expire."""

_ADVICE = "let this machine and the server get their time from NTP"


@dataclass(frozen=True, slots=True)
class Reading:
    """Another clock, and ours just before and after it was read."""

    whose: str
    theirs: float
    resolution: float
    """Seconds by which the other clock may be later than it says."""
    before: float
    after: float

    @property
    def difference(self) -> float:
        """By how much they are ahead of us at least, in seconds; 0 if perhaps not at all."""
        least = self.theirs - self.after
        most = self.theirs + self.resolution - self.before
        if least > 0:
            return least
        return min(most, 0.0)

    @property
    def doubt(self) -> float:
        """How far the difference may be from what is said."""
        return self.resolution + (self.after - self.before)


def judge(reading: Reading) -> Finding:
    """What a reading says of the clocks."""
    off = abs(reading.difference)
    if off <= NOTICED:
        within = f"within {off + reading.doubt:.1f} s"
        return ok(CHECK, f"that of {reading.whose} agrees with this machine's, {within}")
    direction = "ahead of" if reading.difference > 0 else "behind"
    found = f"that of {reading.whose} is {off:.0f} s {direction} this machine's"
    if off <= UNBEARABLE:
        return warning(CHECK, found, f"dates and expiry times are off by as much: {_ADVICE}")
    return failed(
        CHECK,
        found,
        "tokens count as expired or valid when they are not, and Retry-After dates and maintenance"
        f" windows are missed: {_ADVICE}",
    )


def from_date(whose: str, date: str, before: float, after: float, age: str = "") -> Reading | None:
    """The reading of an HTTP Date header; ``None`` if there was no date in it."""
    parsed = parse_date(date, after) if date else None
    if parsed is None:
        return None
    # A cache gives its own Age with the date of the server behind it.
    stale = float(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0.0
    return Reading(whose, parsed[1] + stale, 1.0, before, after)


def of_api(url: str, timeout: float) -> Finding:
    """What the clock of an API says, which is asked with HEAD."""
    try:
        reply = ask("HEAD", url, timeout)
    except NoAnswer as error:
        return failed(CHECK, error.found, error.advice)
    headers = reply.response.headers
    reading = from_date(
        "the API",
        headers.get("Date", ""),
        reply.sent_at,
        reply.received_at,
        headers.get("Age", "").strip(),
    )
    if reading is None:
        return skipped(CHECK, f"{redact_url(url)} answers without a Date header")
    return judge(reading)
