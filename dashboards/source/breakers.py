"""The board on what stands between a call and a server: breakers, tokens, keys, maintenance."""

from __future__ import annotations

from typing import Any

from dashboards.source import looks
from dashboards.source.boards import Row, dashboard
from dashboards.source.panels import Panel, graph, table, target, timeline
from dashboards.source.queries import (
    DOWN,
    PLANNED,
    RANGE,
    UNPLANNED,
    equal,
    highest,
    increase,
    label,
    legend,
    lowest,
    most,
    per_minute,
    quantile,
    rate,
    ratio,
    select,
    total,
    unequal,
    zero_if_none,
)
from dashboards.source.shared import maintenance_timeline, open_instances, token_time_left
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Metric
from weatherglass.vocabulary import BreakerState

_LOOKS_DOWN = 0.1
"""The share of attempts from which on an origin looks down; the alert on overruns wants half."""

_WINDOW = (registry.MAINTENANCE_WINDOW, registry.SERVER_ADDRESS)


def board() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "weatherglass-breakers",
        "Weatherglass 3: Breakers, tokens and maintenance",
        "What keeps calls from servers and why: breakers, tokens, idempotency keys and maintenance"
        " windows.",
        [
            Row("Maintenance", ((maintenance_timeline((24, 4)),),)),
            Row(
                "Breakers",
                (
                    (_worst_state(), open_instances((8, 8))),
                    (_refusals(), _causes(), _transitions()),
                ),
            ),
            Row(
                "Tokens",
                ((token_time_left((6, 8)), *_refreshes()),),
            ),
            Row("Idempotency keys", ((_keys(), _replays()),)),
            Row(
                "Windows against what was seen in them",
                (
                    (_announced(), _seen()),
                    (_overruns(), _outside(), _feeds()),
                ),
            ),
        ],
    )


def _by_label(
    title: str, description: str, counted: str, by: str, *, size: tuple[int, int], none: str
) -> Panel:
    return graph(
        title,
        description,
        [target(zero_if_none(most(per_minute(counted)), attribute=by, word=none), legend(by))],
        unit="cpm",
        size=size,
        stacked=True,
    )


def _worst_state() -> Panel:
    by = registry.BREAKER_NAME
    # Every state of a breaker has a series: 0, or the number of sessions whose breaker is in it.
    numbers = [
        f"{place} * ({_in_state(state)} > bool 0)"
        for place, (state, _, _) in enumerate(looks.STATES)
    ]
    return timeline(
        "Worst state of each breaker",
        "Of all instances, the state that is worst. Open: calls fail at once. Half-open: probes go"
        " out. Back and forth: the breaker flaps, because its server is half well; see what opens"
        " it below. Forced open and disabled are an operator's doing.",
        [target(most(highest(" or ".join(numbers), by)), legend(by))],
        words={place: (text, colour) for place, (_, text, colour) in enumerate(looks.STATES)},
        no_value="no breaker",
        size=(16, 8),
    )


def _in_state(state: BreakerState) -> str:
    return select(registry.BREAKER_STATUS, equal(registry.BREAKER_STATE, state.value))


def _refusals() -> Panel:
    return _by_label(
        "Refusals by breaker",
        "Calls and retries per minute that an open breaker kept from its server: how much the"
        " application misses while it is open.",
        total(rate(select(registry.BREAKER_REFUSALS)), registry.BREAKER_NAME),
        registry.BREAKER_NAME,
        size=(6, 8),
        none="no refusal",
    )


def _causes() -> Panel:
    return _by_label(
        "Transitions by cause",
        "Changes of state per minute by why. probe_failed again and again: the server is still"
        " down. slow_call_rate: it answers, but too late.",
        total(rate(select(registry.BREAKER_TRANSITIONS)), registry.BREAKER_CAUSE),
        registry.BREAKER_CAUSE,
        size=(6, 8),
        none="no transition",
    )


def _transitions() -> Panel:
    by = (
        registry.BREAKER_NAME,
        registry.BREAKER_PREVIOUS_STATE,
        registry.BREAKER_STATE,
        registry.BREAKER_CAUSE,
    )
    counted = total(increase(select(registry.BREAKER_TRANSITIONS), RANGE), *by)
    return table(
        "Transitions in detail",
        "Changes of state in the time shown. As many from closed to open as back: it healed each"
        " time. Many of both: it flaps; raise its thresholds or ask the server's operators.",
        [target(f"{counted} > 0", "transitions", instant=True, format_="table")],
        columns={
            label(registry.BREAKER_NAME): "Breaker",
            label(registry.BREAKER_PREVIOUS_STATE): "From",
            label(registry.BREAKER_STATE): "To",
            label(registry.BREAKER_CAUSE): "Cause",
            "Value #A": "Transitions",
        },
        size=(12, 8),
        unit="short",
        no_value="no transition",
        sort_by="Transitions",
    )


def _refreshes() -> tuple[Panel, ...]:
    source, reason, error = registry.TOKEN_SOURCE, registry.TOKEN_REASON, registry.ERROR_TYPE
    refreshed: Metric = registry.TOKEN_REFRESH_DURATION
    failed = select(refreshed, unequal(error, ""), part="count")
    return (
        graph(
            "p95 of token refreshes by source",
            "How long a new token takes. Calls wait for it where the old one is no longer good, so"
            " slow refreshes are slow calls. Points lead to traces.",
            [target(quantile(0.95, refreshed, by=(source,)), legend(source), exemplars=True)],
            unit="s",
            no_value="no refreshes came in",
            size=(6, 8),
        ),
        _by_label(
            "Token refreshes by reason",
            "Refreshes per minute. Advisory ones, ahead of time, are healthy. Mandatory: nobody"
            " called for a while. Unauthorized: the server refused a token that was still good by"
            " our clock, so it was revoked or clocks differ.",
            total(rate(select(refreshed, part="count")), reason),
            reason,
            size=(6, 8),
            none="no refresh",
        ),
        _by_label(
            "Failed token refreshes by error",
            "Refreshes per minute that failed. Calls go on with the old token while it is good:"
            " the time left says how long. A 400 or 401 is a matter of credentials, all else of"
            " the token endpoint.",
            total(rate(failed), error),
            error,
            size=(6, 8),
            none="no failure",
        ),
    )


def _keys() -> Panel:
    return _by_label(
        "Idempotency keys by source",
        "Keys sent per minute by where they came from: the caller, the request's content, or made"
        " for one call.",
        total(rate(select(registry.IDEMPOTENCY_KEYS)), registry.KEY_SOURCE),
        registry.KEY_SOURCE,
        size=(12, 7),
        none="no key",
    )


def _replays() -> Panel:
    by = registry.SERVER_ADDRESS
    reused = select(registry.IDEMPOTENCY_KEYS, equal(registry.KEY_REUSED, "true"))
    return _by_label(
        "Keys sent more than once by origin",
        "Keys per minute that were sent again, so that the server can tell a replay from a second"
        " order. If doubles turn up all the same, the server does not honour keys: tell them.",
        total(rate(reused), by),
        by,
        size=(12, 7),
        none="no replay",
    )


def _announced() -> Panel:
    def now(expression: str, name: str) -> dict[str, Any]:
        return target(expression, name, instant=True, format_="table")

    in_force = looks.mapping({0: ("no", looks.GREY), 1: ("yes", looks.BLUE)})
    return table(
        "Announced windows",
        "Every window that is known, and how long until it begins and ends; negative is past."
        " Windows recur under one name: then the next one is told.",
        [
            now(highest(select(registry.MAINTENANCE_ACTIVE), *_WINDOW), "in force"),
            now(lowest(select(registry.MAINTENANCE_TIME_TO_START), *_WINDOW), "begins in"),
            now(lowest(select(registry.MAINTENANCE_TIME_TO_END), *_WINDOW), "ends in"),
        ],
        columns={
            label(registry.MAINTENANCE_WINDOW): "Window",
            label(registry.SERVER_ADDRESS): "Origin",
            "Value #A": "In force",
            "Value #B": "Begins in",
            "Value #C": "Ends in",
        },
        size=(12, 8),
        unit="s",
        no_value="no window is known",
        sort_by="In force",
        overrides=[
            {
                "matcher": {"id": "byName", "options": "In force"},
                "properties": [
                    {"id": "unit", "value": "none"},
                    {"id": "mappings", "value": in_force},
                ],
            }
        ],
    )


def _seen() -> Panel:
    by = registry.FAILURE_KIND
    inside = select(registry.ATTEMPT_COUNT, equal(registry.MAINTENANCE, PLANNED))
    return graph(
        "Attempts inside of windows",
        "What was met while a window was in force, per second; none is success. Nothing but"
        " success: the window was not needed, or is over early. Failures of other kinds than"
        " unavailable: not only maintenance.",
        [
            target(
                zero_if_none(total(rate(inside), by), attribute=by, word="no attempt"), legend(by)
            )
        ],
        unit="reqps",
        size=(12, 8),
        stacked=True,
        overrides=looks.kinds(),
    )


def _down_outside() -> str:
    return rate(
        select(
            registry.ATTEMPT_COUNT,
            equal(registry.FAILURE_KIND, *DOWN),
            equal(registry.MAINTENANCE, UNPLANNED),
        )
    )


def _overruns() -> Panel:
    by, origin = registry.MAINTENANCE_WINDOW, registry.SERVER_ADDRESS
    # Only the last hour: an origin that is down a day later has another reason. Where windows
    # recur under one name, the time to the end is of the next one: when it was last in force tells.
    active = select(registry.MAINTENANCE_ACTIVE)
    since = (
        f"-1 * ({select(registry.MAINTENANCE_TIME_TO_END)} > -3600 < 0)"
        f" or time() - max_over_time(timestamp({active} == 1)[1h:1m])"
    )
    over = f"({highest(since, by, origin)} unless {highest(active, by, origin)} == 1)"
    outside = rate(select(registry.ATTEMPT_COUNT, equal(registry.MAINTENANCE, UNPLANNED)))
    down = ratio(total(_down_outside(), origin), total(outside, origin))
    overrun = highest(f"{over} and on ({label(origin)}) {down} > {_LOOKS_DOWN:g}", by)
    return graph(
        "Maintenance overruns",
        "Time since a window ended, for as long as more than a tenth of the attempts still find"
        " one of its origins down, up to an hour. Any line above zero is an overrun: ask those who"
        " maintain it for a new end, and announce it.",
        [target(zero_if_none(overrun, attribute=by, word="no overrun"), legend(by))],
        unit="s",
        size=(8, 8),
    )


def _outside() -> Panel:
    return _by_label(
        "Outages outside of windows",
        "Failures per minute that look like an origin that is down (503 and the network), while no"
        " window explains them. If somebody did maintain, the window was not announced to us.",
        total(_down_outside(), registry.SERVER_ADDRESS),
        registry.SERVER_ADDRESS,
        size=(8, 8),
        none="no outage",
    )


def _feeds() -> Panel:
    by = registry.MAINTENANCE_FEED
    return graph(
        "Age of maintenance feeds",
        "Time since each feed of windows was last read well, in the instance that is worst off; of"
        " one that never was, since it was first tried. A saw-tooth as high as the feed's ttl is"
        " healthy. One that goes on growing is a feed that fails: new windows are not known to us."
        " No data: windows come from the policy or a file alone.",
        [target(highest(select(registry.MAINTENANCE_FEED_AGE), by), legend(by))],
        unit="s",
        no_value="no feed is known",
        size=(8, 8),
    )
