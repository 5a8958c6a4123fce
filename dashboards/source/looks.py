"""Colours and words that mean the same on every board: kinds, outcomes, states, windows."""

from __future__ import annotations

from typing import Any, Final

from weatherglass.telemetry import registry
from weatherglass.vocabulary import BreakerState, Kind, Outcome

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
GREY: Final = "#8e8e8e"

PLANNED_SUFFIX: Final = " (planned)"
"""What the name of a planned failure ends with."""

ALL_ATTEMPTS: Final = "all attempts"

KINDS: Final[dict[Kind, str]] = {
    # The server is busy or down: yellow to red.
    Kind.RATE_LIMITED: "yellow",
    Kind.UNAVAILABLE: "red",
    Kind.BAD_GATEWAY: "semi-dark-red",
    Kind.GATEWAY_TIMEOUT: "dark-red",
    Kind.REQUEST_TIMEOUT: "light-red",
    Kind.SERVER_ERROR: "super-light-red",
    # We may not: purple.
    Kind.UNAUTHORIZED: "purple",
    Kind.FORBIDDEN: "semi-dark-purple",
    Kind.ESCALATED: "dark-purple",
    Kind.TOKEN_REFRESH: "light-purple",
    Kind.REAUTHENTICATION: "super-light-purple",
    # What we asked was wrong: blue.
    Kind.CONFLICT: "light-blue",
    Kind.NOT_FOUND: "super-light-blue",
    Kind.INVALID_REQUEST: "blue",
    Kind.CLIENT_ERROR: "semi-dark-blue",
    Kind.INVALID_CALL: "dark-blue",
    # The network: orange, and yellow where one shade is not enough.
    Kind.DNS: "dark-orange",
    Kind.CONNECT_REFUSED: "semi-dark-orange",
    Kind.CONNECT_TIMEOUT: "orange",
    Kind.TLS_HANDSHAKE: "light-orange",
    Kind.TLS_CERTIFICATE: "super-light-orange",
    Kind.PROXY: "dark-yellow",
    Kind.CONNECTION_RESET: "semi-dark-yellow",
    Kind.READ_TIMEOUT: "light-yellow",
    Kind.TRUNCATED_BODY: "super-light-yellow",
    Kind.MALFORMED_RESPONSE: "#b877d9",
    Kind.NETWORK_OTHER: "#705da0",
    # We did not ask: grey.
    Kind.CIRCUIT_OPEN: "#5c5c5c",
    Kind.MAINTENANCE: "#777777",
    Kind.DEADLINE: "#929292",
    Kind.CLOSED: "#adadad",
}

OUTCOMES: Final[dict[Outcome, str]] = {
    Outcome.SUCCESS: "green",
    Outcome.FAILED: "orange",
    Outcome.GAVE_UP: "red",
    Outcome.REFUSED: "purple",
}

STATES: Final[tuple[tuple[BreakerState, str, str], ...]] = (
    (BreakerState.CLOSED, "closed", GREEN),
    (BreakerState.DISABLED, "disabled", GREY),
    (BreakerState.HALF_OPEN, "half-open", YELLOW),
    (BreakerState.OPEN, "open", RED),
    (BreakerState.FORCED_OPEN, "forced open", "dark-red"),
)
"""States from good to bad: a state's place is the number that stands for it in timelines."""

Override = dict[str, Any]


def fixed(pattern: str, colour: str, *more: tuple[str, Any]) -> Override:
    """Give the series whose names match a colour that does not depend on their order."""
    properties = [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]
    properties += [{"id": name, "value": value} for name, value in more]
    return {"matcher": {"id": "byRegexp", "options": f"/^{pattern}$/"}, "properties": properties}


def kinds() -> list[Override]:
    """One colour per kind; planned failures in the colour of their kind, dashed and pale."""
    planned = {
        "matcher": {"id": "byRegexp", "options": "/ \\(planned\\)$/"},
        "properties": [
            {"id": "custom.fillOpacity", "value": 5},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 4]}},
        ],
    }
    coloured = [fixed(f"{kind.value}( \\(planned\\))?", colour) for kind, colour in KINDS.items()]
    return [*coloured, fixed(f"{registry.NO_FAILURE}( \\(planned\\))?", GREEN), planned]


def outcomes() -> list[Override]:
    """One colour per outcome."""
    return [fixed(outcome.value, colour) for outcome, colour in OUTCOMES.items()]


def unstacked_line(name: str, colour: str = GREY) -> Override:
    """A series that is a measure for the others: a dashed line outside of their stack."""
    return fixed(
        name,
        colour,
        ("custom.stacking", {"mode": "none", "group": "A"}),
        ("custom.fillOpacity", 0),
        ("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
    )


def mapping(words: dict[int, tuple[str, str]]) -> list[dict[str, Any]]:
    """Numbers as words with colours."""
    options = {
        str(number): {"text": text, "color": colour, "index": index}
        for index, (number, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def nothing(words: str, colour: str) -> dict[str, Any]:
    """What no data says, with a colour: Grafana would take that of the lowest threshold."""
    result = {"text": words, "color": colour, "index": 0}
    return {"type": "special", "options": {"match": "null+nan", "result": result}}


def thresholds(first: str, *steps: tuple[float, str]) -> dict[str, Any]:
    """Colours by value: the first from below, each other one from its value on."""
    lowest: dict[str, Any] = {"color": first, "value": None}
    return {
        "mode": "absolute",
        "steps": [lowest, *({"color": colour, "value": value} for value, colour in steps)],
    }
