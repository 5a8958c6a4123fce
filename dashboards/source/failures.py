"""The board on what fails, how often it is tried again, and how long that is waited for."""

from __future__ import annotations

from typing import Any, Final

from dashboards.source import limits, looks
from dashboards.source.boards import Row, dashboard
from dashboards.source.panels import Panel, bars, graph, heat_map, table, target
from dashboards.source.queries import (
    RANGE,
    increase,
    label,
    least,
    legend,
    lowest,
    mean,
    most,
    per_minute,
    quantile,
    rate,
    select,
    total,
    unequal,
    zero_if_none,
)
from dashboards.source.shared import failures_by_kind, maintenance_timeline
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Metric

UID: Final = "weatherglass-failures"


def board() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        UID,
        "Weatherglass 2: Failures and retries",
        "What fails and where, what is done about it, and what that costs. Points on the latency"
        " graphs are exemplars: each leads to a trace.",
        [
            Row("Maintenance", ((maintenance_timeline((24, 4)),),)),
            Row(
                "What goes wrong",
                (
                    (failures_by_kind((12, 9)), _failures_by_origin()),
                    (_failures_by_code(), _detail()),
                ),
            ),
            Row(
                "Retries and give-ups",
                (
                    (_retries_by_wait(), _retries_by_kind(), _give_ups()),
                    (_attempts_per_call(), _calls_by_attempts()),
                ),
            ),
            Row("Waits", ((_waits(), _longest_waits()),)),
            Row("What servers say on when to come back", (_retry_after(),)),
            Row(
                "Latency and traces",
                ((_attempt_latency(), _failed_latency(), _call_latency()),),
            ),
            limits.row(),
            Row("Budgets and the library itself", ((_budgets(), *_library()),)),
        ],
    )


def _counted(
    title: str,
    description: str,
    metric: Metric,
    by: str,
    *,
    size: tuple[int, int],
    none: str,
    overrides: list[looks.Override] | None = None,
) -> Panel:
    """A counter of rare things, per minute and by one label."""
    # By origin or by code there may be a hundred; the other labels have fewer values than that.
    counted = most(per_minute(total(rate(select(metric)), by)))
    return graph(
        title,
        description,
        [target(zero_if_none(counted, attribute=by, word=none), legend(by))],
        unit="cpm",
        size=size,
        stacked=True,
        overrides=overrides,
    )


def _failures_by_origin() -> Panel:
    return _counted(
        "Failures by origin",
        "Failed attempts per minute by server, planned ones included: what each server costs us.",
        registry.FAILURES,
        registry.SERVER_ADDRESS,
        size=(12, 9),
        none="no failure",
    )


def _failures_by_code() -> Panel:
    return _counted(
        "Failures by error code",
        "The servers' own error codes; GENERIC where a server gave none, _OTHER where there were"
        " too many or it was no plain code. Look a code up in the server's documentation.",
        registry.FAILURES,
        registry.FAILURE_CODE,
        size=(9, 9),
        none="no failure",
    )


def _detail() -> Panel:
    by = (
        registry.SERVER_ADDRESS,
        registry.FAILURE_KIND,
        registry.FAILURE_CODE,
        registry.HTTP_RESPONSE_STATUS_CODE,
    )
    counted = total(increase(select(registry.FAILURES), RANGE), *by)
    link = {
        "title": "Show this origin alone",
        "url": f"/d/{UID}?var-origin=${{__value.text}}&${{datasource:queryparam}}"
        "&${job:queryparam}&${instance:queryparam}&${__url_time_range}",
    }
    return table(
        "Failures in detail",
        "Failed attempts in the time shown, the most frequent first. Click on an origin to see it"
        " alone. Ask the server's operators about a line with its code and status in hand.",
        [target(f"{counted} > 0", "failures", instant=True, format_="table")],
        columns={
            label(registry.SERVER_ADDRESS): "Origin",
            label(registry.FAILURE_KIND): "Kind",
            label(registry.FAILURE_CODE): "Code",
            label(registry.HTTP_RESPONSE_STATUS_CODE): "Status",
            "Value #A": "Failures",
        },
        size=(15, 9),
        unit="short",
        no_value="no failure",
        sort_by="Failures",
        overrides=[
            {
                "matcher": {"id": "byName", "options": "Origin"},
                "properties": [{"id": "links", "value": [link]}],
            },
            {
                "matcher": {"id": "byName", "options": "Failures"},
                "properties": [{"id": "decimals", "value": 0}],
            },
        ],
    )


def _retries_by_wait() -> Panel:
    return _counted(
        "Retries by reason for the wait",
        "Retries per minute by what was waited for before them: our own backoff, the server's"
        " Retry-After, a gate, the end of maintenance, or a new token.",
        registry.RETRIES,
        registry.WAIT_REASON,
        size=(8, 8),
        none="no retry",
    )


def _retries_by_kind() -> Panel:
    return _counted(
        "Retries by kind of failure",
        "Retries per minute by the failure that they answer. Many retries of rate_limited: ask for"
        " less, or for a higher limit.",
        registry.RETRIES,
        registry.FAILURE_KIND,
        size=(8, 8),
        none="no retry",
        overrides=looks.kinds(),
    )


def _give_ups() -> Panel:
    return _counted(
        "Give-ups by reason",
        "Calls per minute that failed for good although trying again could have helped. Exhausted"
        " retries or budgets: the server is down for longer than the policy bears. Deadline: the"
        " caller wants it sooner. The runbooks in docs/runbooks.md go on from here.",
        registry.GIVE_UPS,
        registry.GIVE_UP_REASON,
        size=(8, 8),
        none="no give-up",
    )


def _attempts_per_call() -> Panel:
    by = registry.SERVER_ADDRESS
    return graph(
        "Attempts per call by origin",
        "How many requests a call costs on average. 1 is a server that answers at once; 2 means"
        " twice the load on it.",
        [target(most(mean(registry.CALL_ATTEMPTS, by)), legend(by))],
        unit="short",
        no_value="no calls came in",
        size=(12, 8),
    )


def _calls_by_attempts() -> Panel:
    buckets = total_by_bucket(registry.CALL_ATTEMPTS, RANGE)
    # Grafana sorts buckets by their legends, which must be plain numbers for that.
    return bars(
        "Calls by attempts needed",
        "Calls in the time shown by how many requests they sent: up to the number on the left, and"
        " more than the one above it. Long bars at the bottom: retries that do not help.",
        [target(buckets, "{{le}}", instant=True, format_="heatmap")],
        unit="short",
        size=(12, 8),
        no_value="no calls",
    )


def total_by_bucket(metric: Metric, window: str) -> str:
    """How often each bucket of a histogram was hit within a window."""
    return f"sum by (le) ({increase(select(metric, part='bucket'), window)})"


def _waits() -> Panel:
    return heat_map(
        "How long waits are",
        "How many waits of which length there were, over time. A band that climbs: servers ask for"
        " more and more patience, or backoff grows. Bright spots are exemplars and lead to traces.",
        target(
            total_by_bucket(registry.WAIT_DURATION, "$__rate_interval"),
            "{{le}}",
            exemplars=True,
            format_="heatmap",
        ),
        unit="s",
        no_value="no waits came in",
        size=(12, 9),
    )


def _longest_waits() -> Panel:
    by = registry.WAIT_REASON
    return graph(
        "p95 of waits by reason",
        "95 of 100 waits are no longer than this. Long retry_after: the server's wish. Long gate:"
        " many of ours queue for one server. Long pacing: a limit is near, and calls are spaced"
        " out. Long maintenance: mode `wait` in a window.",
        [target(quantile(0.95, registry.WAIT_DURATION, by=(by,)), legend(by), exemplars=True)],
        unit="s",
        no_value="no waits came in",
        size=(12, 9),
    )


def _retry_after() -> tuple[Panel, ...]:
    def by(attribute: str, title: str, description: str) -> Panel:
        return _counted(
            title,
            description,
            registry.RETRY_AFTER_HEADERS,
            attribute,
            size=(8, 8),
            none="no failure that could say",
        )

    return (
        by(
            registry.RETRY_AFTER_VARIANT,
            "Retry-After by variant",
            "In which form servers say when to come back, per minute; missing where they do not."
            " Unparseable, negative or overflowing ones are the server's mistake: tell them.",
        ),
        by(
            registry.RETRY_AFTER_SOURCE,
            "Retry-After by source",
            "Where servers say it: a header, which one, or the text of the answer.",
        ),
        by(
            registry.RETRY_AFTER_DISPOSITION,
            "Retry-After by what was done with it",
            "Honoured: waited as asked. Floored: waited longer than asked. Refused: beyond the"
            " policy's ceiling, so the call gave up. Ignored: unusable, backoff was used instead.",
        ),
    )


def _attempt_latency() -> Panel:
    return graph(
        "Duration of attempts",
        "Single requests, good or bad. p50 and p99 far apart: some are slow, not all. Click on a"
        " point to see the trace of one.",
        [
            target(quantile(level, registry.REQUEST_DURATION), f"p{level:.0%}"[:-1], exemplars=True)
            for level in (0.5, 0.95, 0.99)
        ],
        unit="s",
        no_value="no attempts came in",
        size=(8, 8),
    )


def _failed_latency() -> Panel:
    by = registry.ERROR_TYPE
    failed = unequal(by, "")
    return graph(
        "p95 of failed attempts by error",
        "How long it takes to fail, by status or exception. Failures that take seconds cost more"
        " than quick ones: see the timeouts in docs/policy.md. Points lead to traces.",
        [
            target(
                quantile(0.95, registry.REQUEST_DURATION, failed, by=(by,)),
                legend(by),
                exemplars=True,
            )
        ],
        unit="s",
        no_value="no failed attempts came in",
        size=(8, 8),
    )


def _call_latency() -> Panel:
    by = registry.OUTCOME
    return graph(
        "p95 of calls by outcome",
        "Whole calls with their waits. A gave_up line at the deadline's height: calls wait as long"
        " as they may and fail all the same. Points lead to traces.",
        [target(quantile(0.95, registry.CALL_DURATION, by=(by,)), legend(by), exemplars=True)],
        unit="s",
        no_value="no calls came in",
        size=(8, 8),
        overrides=looks.outcomes(),
    )


def _budgets() -> Panel:
    by = (registry.SERVER_ADDRESS, registry.BUDGET)
    return graph(
        "Retry budgets left",
        "What is left of each budget in the instance with the least. At zero nothing is retried"
        " there until calls succeed again, which keeps a bad hour from becoming a storm.",
        [target(least(lowest(select(registry.BUDGET_LEVEL), *by)), legend(*by))],
        unit="short",
        no_value="no budget is known",
        size=(8, 8),
    )


def _library() -> tuple[Panel, ...]:
    return (
        _counted(
            "Observe mode: what would be done",
            "Decisions per minute that observe mode tells of and does not carry out: what"
            " switching it off would change.",
            registry.OBSERVED_DECISIONS,
            registry.DECISION,
            size=(8, 8),
            none="no decision",
        ),
        _counted(
            "Callbacks that raise",
            "The application's own callbacks that raised, per minute. Calls go on as if they had"
            " not; the log says where it was raised. Anything above zero is a bug to mend.",
            registry.CALLBACK_ERRORS,
            registry.CALLBACK,
            size=(8, 8),
            none="no error",
        ),
    )
