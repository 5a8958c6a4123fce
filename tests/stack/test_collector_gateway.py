"""The two tiers of the gateway at work: one balancer, two samplers, and no trace torn apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from collecting import (
    BALANCER,
    PATIENCE,
    SAMPLER,
    Application,
    shape,
    trace_store,
    traces_of,
    whole,
)
from stack.processes import Collector

from weatherglass.telemetry import registry
from weatherglass.testing import OtlpReceiver, faults

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("collector_binary")]

SOON = {
    "COLLECTOR_DECISION_WAIT": "20s",
    "COLLECTOR_DECISION_WAIT_AFTER_ROOT": "1s",
    "COLLECTOR_SHARE": "0",
}
CALLS = 20
"""So many that one sampler gets all of them once in a million runs at most."""
BORING = 5
RETRIED = ["GET", "GET", "weatherglass.call", "weatherglass.wait"]


def attempts_in(receiver: OtlpReceiver) -> float:
    return receiver.metric(registry.ATTEMPT_COUNT.name).value


def test_each_trace_is_decided_upon_by_one_sampler(tmp_path: Path) -> None:
    """All spans of a trace meet in one sampler, both get some, and all metrics pass."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        OtlpReceiver() as metrics,
        OtlpReceiver() as one,
        OtlpReceiver() as two,
        trace_store(tmp_path / "one", one) as first,
        trace_store(tmp_path / "two", two) as second,
        Collector(SAMPLER, env={**SOON, "COLLECTOR_TRACES": first}) as left,
        Collector(SAMPLER, env={**SOON, "COLLECTOR_TRACES": second}) as right,
        Collector(
            BALANCER,
            env={
                "COLLECTOR_PROMETHEUS": metrics.url,
                "COLLECTOR_SAMPLERS": f"[{left.otlp_grpc}, {right.otlp_grpc}]",
            },
        ) as balancer,
        Application(balancer.otlp_http_url) as app,
    ):
        for _ in range(CALLS):
            app.calls(faults.answer(503), None)
        for _ in range(BORING):
            app.calls(None)
        app.finish()
        for receiver in (one, two):
            receiver.wait_for(lambda came: whole(came, 1), PATIENCE)
        metrics.wait_for(lambda came: attempts_in(came) == app.sent, PATIENCE)
        # One after the other, so that each hands on all that it holds.
        for collector in (balancer, left, right):
            collector.stop()

    kept = [traces_of(receiver.spans()) for receiver in (one, two)]
    assert not kept[0].keys() & kept[1].keys()
    assert len(kept[0]) + len(kept[1]) == CALLS
    assert all(shape(spans) == RETRIED for traces in kept for spans in traces.values())
