"""collector/tail-sampling.yaml at work: which traces are kept, and that they are kept whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from collecting import PATIENCE, SAMPLING, Application, shape, trace_store, traces_of, whole
from stack.processes import Collector

from weatherglass.telemetry import registry
from weatherglass.testing import OtlpReceiver, faults

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("collector_binary")]

SLOW = 1.5
"""Seconds from which a call is slow here."""
SOON = {
    "COLLECTOR_DECISION_WAIT": "20s",
    "COLLECTOR_DECISION_WAIT_AFTER_ROOT": "1s",
    "COLLECTOR_SLOW_MS": f"{SLOW * 1000:.0f}",
    "COLLECTOR_SHARE": "0",
}


def boring(app: Application) -> None:
    app.calls(None)


def failing(app: Application) -> None:
    app.calls(faults.answer(404))


def redirected(app: Application) -> None:
    """Sent twice, and nothing was wrong."""
    app.calls(faults.redirect("/echo"), None)


def given_up(app: Application) -> None:
    app.calls(faults.answer(503), retry={"max_retries": 0})


def slow(app: Application) -> None:
    app.calls(faults.delay(SLOW + 0.2))


WORTH_KEEPING = {
    "errors": failing,
    "resends": redirected,
    "give-ups": given_up,
    "slow-calls": slow,
}
"""For each policy, a call that it is there for."""


@contextmanager
def sampled(
    config: Path, folder: Path, receiver: OtlpReceiver, **env: str
) -> Iterator[tuple[Collector, Application]]:
    """A Collector with tail sampling, and an application that exports to it."""
    with trace_store(folder, receiver) as store:
        onward = {"COLLECTOR_PROMETHEUS": receiver.url, "COLLECTOR_TRACES": store}
        with (
            Collector(config, env={**SOON, **onward, **env}) as collector,
            Application(collector.otlp_http_url) as app,
        ):
            yield collector, app


def alone(policy: str, folder: Path) -> Path:
    """The configuration with one of its policies only."""
    config: dict[str, Any] = yaml.safe_load(SAMPLING.read_text(encoding="utf-8"))
    sampling = config["processors"]["tail_sampling"]
    sampling["policies"] = [each for each in sampling["policies"] if each["name"] == policy]
    file = folder / "alone.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


@pytest.mark.parametrize("policy", WORTH_KEEPING)
def test_each_policy_keeps_what_it_is_there_for(policy: str, tmp_path: Path) -> None:
    """A policy by itself keeps its traces, and none of calls that went as they should."""
    call: Callable[[Application], None] = WORTH_KEEPING[policy]
    with OtlpReceiver() as receiver:
        with sampled(alone(policy, tmp_path), tmp_path, receiver) as (collector, app):
            boring(app)
            call(app)
            boring(app)
            app.finish()
            receiver.wait_for(lambda came: whole(came, 1), PATIENCE)
            # Whatever is undecided is decided upon now, so nothing can come later.
            collector.stop()

        kept = receiver.spans("weatherglass.call")

    assert len(kept) == 1
    attempts = receiver.spans(kind="CLIENT")
    assert len(attempts) == kept[0].attributes[registry.ATTEMPTS]
    assert {span.trace_id for span in attempts} == {kept[0].trace_id}


def test_all_policies_together(tmp_path: Path) -> None:
    """All that is worth keeping is kept, all else is dropped, and metrics count every call."""
    with OtlpReceiver() as receiver:
        with sampled(SAMPLING, tmp_path, receiver) as (collector, app):
            for call in (*WORTH_KEEPING.values(), boring, boring, boring):
                call(app)
            app.finish()
            receiver.wait_for(lambda came: whole(came, len(WORTH_KEEPING)), PATIENCE)
            collector.stop()
            calls = receiver.metric(registry.CALL_DURATION.name).count

        assert len(traces_of(receiver.spans())) == len(WORTH_KEEPING)
        assert calls == len(WORTH_KEEPING) + 3


def test_a_share_of_the_rest_is_kept(tmp_path: Path) -> None:
    """With a share of 100 %, calls that went as they should are kept too."""
    with OtlpReceiver() as receiver:
        with sampled(SAMPLING, tmp_path, receiver, COLLECTOR_SHARE="100") as (_, app):
            boring(app)
            boring(app)
            receiver.wait_for(lambda came: whole(came, 2), PATIENCE)

        assert len(receiver.spans()) == 4


def test_calls_that_outlast_the_decision_are_kept_whole(tmp_path: Path) -> None:
    """The failed attempt decides: what its call does later belongs to a trace that is kept."""
    soon = {"COLLECTOR_DECISION_WAIT": "1s"}
    told = faults.answer(429, headers={"Retry-After": "4"})
    with OtlpReceiver() as receiver:
        with sampled(SAMPLING, tmp_path, receiver, **soon) as (_, app):
            app.calls(told, None)
            receiver.wait_for(lambda came: whole(came, 1), PATIENCE)

        spans = receiver.spans()

    assert shape(spans) == ["GET", "GET", "weatherglass.call", "weatherglass.wait"]
    (call,) = receiver.spans("weatherglass.call")
    assert call.status == "UNSET"
    assert call.duration > 4
