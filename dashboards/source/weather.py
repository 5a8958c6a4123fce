"""The board that is looked at first, which says whether it is us, them, or planned."""

from __future__ import annotations

from typing import Any

from dashboards.source import looks
from dashboards.source.boards import Row, dashboard
from dashboards.source.panels import Panel, bars, graph, stat, target
from dashboards.source.queries import (
    OURS,
    PLANNED,
    RANGE,
    UNPLANNED,
    calls,
    equal,
    highest,
    how_many,
    increase,
    legend,
    lowest,
    most,
    quantile,
    rate,
    ratio,
    select,
    share,
    silence,
    total,
    unequal,
    unlike,
    zero_if_none,
)
from dashboards.source.shared import (
    OPEN,
    failures_by_kind,
    maintenance_timeline,
    open_instances,
    token_time_left,
)
from weatherglass.telemetry import registry
from weatherglass.vocabulary import GiveUpReason, Outcome

_FAILED = unequal(registry.FAILURE_KIND, registry.NO_FAILURE)
_UNPLANNED = equal(registry.MAINTENANCE, UNPLANNED)
_PLANNED = equal(registry.MAINTENANCE, PLANNED)

_ILL = unequal(registry.FAILURE_KIND, registry.NO_FAILURE, *OURS)
_EXPECTED = (GiveUpReason.MAINTENANCE.value, GiveUpReason.CLOSED.value)
"""Why calls end without being held against anybody: a window, or the end of their session."""

_FAILING = 0.05
"""The share of unplanned failures from which on an origin counts as failing."""


def board() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "weatherglass-weather",
        "Weatherglass 1: Weather",
        "Is it us, is it them, is it planned? Read the first row from left to right.",
        [
            Row(
                "Is it us, is it them, is it planned?",
                (
                    (*_us(), *_them(), *_planned()),
                    (maintenance_timeline((16, 5)), _last_data(), _token()),
                ),
            ),
            Row(
                "Calls and failures",
                (
                    (_calls_by_outcome(), failures_by_kind((12, 9))),
                    (_failure_ratio(), _share_by_origin()),
                ),
            ),
            Row("What waiting costs", ((_call_against_attempt(), _waiting()),)),
            Row(
                "Protection, tokens and data",
                ((open_instances((8, 8)), token_time_left((8, 8)), _silent()),),
            ),
        ],
    )


def _success() -> str:
    """The share of calls that the recording rules hold against no error budget."""
    count = registry.CALL_DURATION
    ended = equal(registry.OUTCOME, Outcome.GAVE_UP.value, Outcome.REFUSED.value)
    failed = equal(registry.OUTCOME, Outcome.FAILED.value)
    answered = unlike(registry.ERROR_TYPE, "4..")
    bad = total(
        f"{rate(select(count, ended, part='count'))}"
        f" or {rate(select(count, failed, answered, part='count'))}"
    )
    expected = total(rate(select(registry.GIVE_UPS, equal(registry.GIVE_UP_REASON, *_EXPECTED))))
    every = total(rate(calls()))
    return ratio(
        f"({every} - clamp_min(({bad} or 0 * {every}) - ({expected} or 0 * {every}), 0))", every
    )


def _us() -> list[Panel]:
    refused = select(
        registry.CALL_DURATION,
        equal(registry.OUTCOME, Outcome.REFUSED.value),
        unequal(registry.ERROR_TYPE, *_EXPECTED),
        part="count",
    )
    given_up = select(registry.GIVE_UPS, unequal(registry.GIVE_UP_REASON, *_EXPECTED))
    return [
        stat(
            "Us: calls that succeed",
            "The share of calls that end well, after all their retries: what the application and"
            " its users feel. As for the alerts, an answer like 404 is not held against them, nor"
            " is what a maintenance window ended. Below 99 %, see which origin and kind it is,"
            " further down.",
            _success(),
            unit="percentunit",
            steps=looks.thresholds(looks.RED, (0.95, looks.YELLOW), (0.99, looks.GREEN)),
            no_value="no calls",
            decimals=1,
        ),
        stat(
            "Us: calls given up",
            "Calls in the time shown that failed for good although trying again could have helped:"
            " retries, deadline or budget ran out. Those that a maintenance window ended are not"
            " among them. The board on failures tells the reasons.",
            zero_if_none(total(increase(given_up, RANGE))),
            unit="short",
            steps=looks.thresholds(looks.GREEN, (0.5, looks.ORANGE)),
            no_value="no data",
            decimals=0,
        ),
        stat(
            "Us: calls refused",
            "Calls in the time shown that were never sent, mostly because a breaker was open."
            " This is protection at work; its cause is an origin that is down. Those that a"
            " maintenance window refused are counted as planned.",
            zero_if_none(total(increase(refused, RANGE))),
            unit="short",
            steps=looks.thresholds(looks.GREEN, (0.5, looks.ORANGE)),
            no_value="no data",
            decimals=0,
        ),
    ]


def _them() -> list[Panel]:
    failing = f"{_ratio_by_origin()} > {_FAILING:g}"
    breakers = select(registry.BREAKER_STATUS)
    opened = highest(select(registry.BREAKER_STATUS, OPEN), registry.BREAKER_NAME)
    return [
        stat(
            "Them: failing origins",
            f"Origins of which more than {_FAILING:.0%} of the attempts fail. Not counted is what"
            " was planned, and what answers our asking (401, 403, 404 and other 4xx, but not 408"
            " and 429). One: it is theirs; tell them, unless it says that we ask too often. All at"
            " once: look at our own network, proxy and DNS first.",
            zero_if_none(how_many(failing)),
            unit="short",
            steps=looks.thresholds(looks.GREEN, (1, looks.RED)),
            no_value="no data",
        ),
        stat(
            "Them: open breakers",
            "Breakers that are open in at least one instance: calls to these origins fail at once,"
            " to spare them and us. They close by themselves when a probe succeeds.",
            zero_if_none(how_many(f"{opened} > 0"), present=breakers),
            unit="short",
            steps=looks.thresholds(looks.GREEN, (1, looks.RED)),
            no_value="no breaker",
        ),
    ]


def _planned() -> list[Panel]:
    by = registry.MAINTENANCE_WINDOW
    active = select(registry.MAINTENANCE_ACTIVE)
    attempts = total(increase(select(registry.ATTEMPT_COUNT, _FAILED, _PLANNED), RANGE))
    ended = select(
        registry.GIVE_UPS, equal(registry.GIVE_UP_REASON, GiveUpReason.MAINTENANCE.value)
    )
    failures = f"({zero_if_none(attempts)}) + ({zero_if_none(total(increase(ended, RANGE)))})"
    return [
        stat(
            "Planned: windows in force",
            "Maintenance windows that are in force now. Failures of their origins are expected"
            " until they end; alerts on them are quiet.",
            total(f"{highest(active, by)} > bool 0"),
            unit="short",
            steps=looks.thresholds(looks.GREEN, (1, looks.BLUE)),
            no_value="none known",
        ),
        stat(
            "Planned: next window in",
            "Time until the next announced window begins. None announced, although you know of"
            " one? Then policy, file and status page lack it, or the feed is not read: see its age"
            " on the board on breakers, tokens and maintenance.",
            lowest(f"{select(registry.MAINTENANCE_TIME_TO_START)} > 0"),
            unit="s",
            steps=looks.thresholds(looks.BLUE, (3600, looks.GREEN)),
            no_value="none announced",
        ),
        stat(
            "Planned: failures",
            "Failed attempts inside of maintenance windows, and calls that a window ended or kept"
            " from being sent, in the time shown. They are told apart everywhere and counted in no"
            " alert on failures.",
            failures,
            unit="short",
            steps=looks.thresholds(looks.GREEN, (0.5, looks.BLUE)),
            no_value="no data",
            decimals=0,
        ),
    ]


def _last_data() -> Panel:
    return stat(
        "Last data received",
        "Time since any instance of the selection last sent something. No data is not zero: when"
        " this is red, every other panel tells of the past. Check the process, its exporter, the"
        " Collector and Prometheus, in this order; `weatherglass doctor` helps. Also red as long"
        " as no call was ever made.",
        silence(),
        unit="s",
        steps=looks.thresholds(looks.GREEN, (120, looks.YELLOW), (300, looks.RED)),
        no_value="nothing for 6 h",
        no_value_colour=looks.RED,
        size=(4, 5),
        decimals=0,
    )


def _token() -> Panel:
    return stat(
        "Token time left",
        "The shortest time until a token in use expires. Near zero while calls are made, refreshes"
        " fail and calls will follow: see the board on breakers, tokens and maintenance. A token"
        " that nobody needs may run out: the next call fetches another.",
        lowest(select(registry.TOKEN_TTL)),
        unit="s",
        steps=looks.thresholds(looks.RED, (30, looks.YELLOW), (60, looks.GREEN)),
        no_value="no token",
        size=(4, 5),
    )


def _calls_by_outcome() -> Panel:
    by = registry.OUTCOME
    return graph(
        "Calls by outcome",
        "Calls per second by how they ended. Failed: trying again could not help. Gave up: it"
        " could have, but retries, time or budget ran out. Refused: never sent.",
        [target(total(rate(calls()), by), legend(by))],
        unit="reqps",
        no_value="no calls came in",
        size=(12, 9),
        stacked=True,
        overrides=looks.outcomes(),
    )


def _ratio_by_origin() -> str:
    by = registry.SERVER_ADDRESS
    failed = total(rate(select(registry.ATTEMPT_COUNT, _ILL, _UNPLANNED)), by)
    every = total(rate(select(registry.ATTEMPT_COUNT)), by)
    # An origin that has never failed has no counter of failures.
    return ratio(f"({failed} or 0 * {every})", every)


def _failure_ratio() -> Panel:
    by = registry.SERVER_ADDRESS
    return graph(
        "Failure ratio by origin",
        "The share of attempts that fail, without what was planned and without 4xx other than 408"
        " and 429. One line up: their trouble. All lines up: ours. Of many origins, the worst 20.",
        [target(most(_ratio_by_origin()), legend(by))],
        unit="percentunit",
        no_value="no attempts came in",
        size=(12, 8),
        highest=1,
        steps=looks.thresholds(looks.GREEN, (_FAILING, looks.RED)),
    )


def _share_by_origin() -> Panel:
    by = registry.SERVER_ADDRESS
    every = total(increase(select(registry.ATTEMPT_COUNT, _FAILED), RANGE))
    unplanned, planned = (
        share(total(increase(select(registry.ATTEMPT_COUNT, _FAILED, which), RANGE), by), every)
        for which in (_UNPLANNED, _PLANNED)
    )
    return bars(
        "Share of failures by origin",
        "Of all failed attempts in the time shown, how many are whose; planned ones in blue,"
        " on bars of their own. Start with the longest bar. Of many origins, the worst 20.",
        [
            target(most(unplanned), legend(by), instant=True),
            target(most(planned), legend(by) + looks.PLANNED_SUFFIX, instant=True),
        ],
        unit="percentunit",
        size=(12, 8),
        no_value="no failure",
        highest=1,
        overrides=[looks.fixed(".*", looks.RED), looks.fixed(".* \\(planned\\)", looks.BLUE)],
    )


def _call_against_attempt() -> Panel:
    sent = unequal(registry.OUTCOME, Outcome.REFUSED.value)
    return graph(
        "p95 of calls and of attempts",
        "What waiting costs: 95 of 100 calls, with all their attempts and waits, take no longer"
        " than the upper line; single attempts than the lower one. A gap is retries and waits. Both"
        " up: the servers are slow. Refused calls, which take no time, are left out, and attempts"
        " of more than 10 s are shown as 10 s. Points are exemplars and lead to traces.",
        [
            target(quantile(0.95, registry.CALL_DURATION, sent), "calls", exemplars=True),
            target(quantile(0.95, registry.REQUEST_DURATION), "attempts", exemplars=True),
        ],
        unit="s",
        no_value="no calls came in",
        size=(12, 8),
        overrides=[looks.fixed("calls", looks.RED), looks.fixed("attempts", looks.BLUE)],
    )


def _waiting() -> Panel:
    by = registry.WAIT_REASON
    waited = total(rate(select(registry.WAIT_DURATION, part="sum")), by)
    spent = total(rate(select(registry.CALL_DURATION, part="sum")))
    return graph(
        "Share of call time spent waiting",
        "How much of the calls' time is waiting, and for what: our backoff, a server's Retry-After,"
        " a rate limit that is near (pacing) or reached (gate), maintenance, or a token that"
        " another thread fetches. May pass 100 % for a moment: a wait counts when it ends, its call"
        " only later.",
        [
            target(
                zero_if_none(share(waited, spent), attribute=by, word="no waits"),
                legend(by),
            )
        ],
        unit="percentunit",
        size=(12, 8),
        stacked=True,
    )


def _silent() -> Panel:
    return graph(
        "Time since last data by instance",
        "A line that climbs is a process that has ended or no longer exports. Six hours after its"
        " last sample it is forgotten. Of many, the 20 longest.",
        [target(most(silence("job", "instance")), "{{job}} · {{instance}}")],
        unit="s",
        no_value="nothing within six hours",
        size=(8, 8),
    )
