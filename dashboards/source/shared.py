"""Panels that stand on more than one board."""

from __future__ import annotations

from dashboards.source import looks
from dashboards.source.panels import Panel, Target, graph, target, timeline
from dashboards.source.queries import (
    PLANNED,
    UNPLANNED,
    equal,
    highest,
    label,
    least,
    legend,
    lowest,
    most,
    rate,
    select,
    total,
    unequal,
    zero_if_none,
)
from weatherglass.telemetry import registry
from weatherglass.vocabulary import BreakerState

OPEN = equal(registry.BREAKER_STATE, BreakerState.OPEN.value, BreakerState.FORCED_OPEN.value)
"""The condition that a breaker refuses calls."""


def maintenance_timeline(size: tuple[int, int]) -> Panel:
    """The windows, one line each: on every board, where its first row is read."""
    names = (registry.MAINTENANCE_WINDOW, registry.SERVER_ADDRESS)
    return timeline(
        "Maintenance windows",
        "Windows that policy, file and status feeds know, and when they were in force. Failures"
        " inside of one are planned: wait for its end. Failures that go on after it are an overrun:"
        " see the board on breakers, tokens and maintenance.",
        [target(highest(select(registry.MAINTENANCE_ACTIVE), *names), legend(*names))],
        words={0: ("not in force", "transparent"), 1: ("in force", looks.BLUE)},
        no_value="no window is known",
        size=size,
    )


def failures_by_kind(size: tuple[int, int]) -> Panel:
    """The failure distribution, planned failures beside the others, under all attempts."""
    return graph(
        "Failures by kind",
        "Failed attempts per second by what went wrong, the same colour for a kind everywhere:"
        " yellow and red for a server that is busy or down, orange for the network, purple for"
        " what we may not, blue for requests that are wrong. Pale and dashed is planned. The"
        " dashed grey line is all attempts: if it is not there, there are no data. Look up a kind"
        " in docs/kinds.md.",
        [
            *_by_kind(),
            target(total(rate(select(registry.ATTEMPT_COUNT))), looks.ALL_ATTEMPTS),
        ],
        unit="reqps",
        size=size,
        stacked=True,
        overrides=[*looks.kinds(), looks.unstacked_line(looks.ALL_ATTEMPTS)],
    )


def _by_kind() -> list[Target]:
    by = registry.FAILURE_KIND
    failed = unequal(by, registry.NO_FAILURE)
    unplanned, planned = (
        total(rate(select(registry.ATTEMPT_COUNT, failed, equal(registry.MAINTENANCE, which))), by)
        for which in (UNPLANNED, PLANNED)
    )
    return [
        target(zero_if_none(unplanned, attribute=by, word="no failure"), legend(by)),
        target(planned, legend(by) + looks.PLANNED_SUFFIX),
    ]


def token_time_left(size: tuple[int, int]) -> Panel:
    """How long tokens are still good for, those worst off."""
    by = registry.TOKEN_SOURCE
    return graph(
        "Token time left by source",
        "Time until the token in use expires, in the instance that is worst off. A saw-tooth that"
        " turns before it reaches zero is healthy. A line that runs into zero means that refreshes"
        " fail, or that nobody calls: look at failed refreshes and at the token endpoint.",
        [target(least(lowest(select(registry.TOKEN_TTL), by)), legend(by))],
        unit="s",
        no_value="no token is known",
        size=size,
        lowest=None,
        steps=looks.thresholds(looks.RED, (60, looks.GREEN)),
    )


def open_instances(size: tuple[int, int]) -> Panel:
    """In how many instances breakers are open."""
    by = registry.BREAKER_NAME
    # An instance of several sessions may have a breaker open in one and forced open in another.
    state = label(registry.BREAKER_STATE)
    opened = f"max without ({state}) ({select(registry.BREAKER_STATUS, OPEN)} > bool 0)"
    return graph(
        "Instances with an open breaker",
        "In how many instances each breaker is open. One of many: that instance has a problem. All"
        " of them: the origin has.",
        [target(most(total(opened, by)), legend(by))],
        unit="short",
        no_value="no breaker is known",
        size=size,
    )
