"""Stories of whole processes: with an SDK of our making, with none, and forked (O2, O4, D13)."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from narrative import Told
from registered import check_registered
from retelling import check_story
from stage import only

import weatherglass
from weatherglass.testing import (
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    OtlpReceiver,
    faults,
    rules_of,
)

HERE = Path(__file__).parent
QUEUES = "/api/v2/routing/queues"

WEATHER = FaultPlan(
    rules=(
        *rules_of(faults.answer(503), path=TOKEN_PATH),
        *rules_of(
            faults.answer(429, retry_after=2),
            faults.reset(),
            None,
            faults.revoke(),
            None,
            faults.redirect("/echo"),
            faults.answer(404),
            faults.daily_limit(),
            *[faults.answer(503)] * 9,
            path=QUEUES,
        ),
    )
)


def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of this folder in a process of its own."""
    environment = {name: text for name, text in os.environ.items() if not _steers(name)}
    source = Path(weatherglass.__file__).parents[1]
    return subprocess.run(  # noqa: S603 - programs of this folder
        [sys.executable, str(HERE / program), *arguments],
        env={**environment, "PYTHONPATH": str(source), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _steers(variable: str) -> bool:
    return variable.startswith("OTEL_") or variable.lower().endswith("_proxy")


def test_the_whole_way(tmp_path: Path) -> None:
    """O2, O4: from ``configure()`` over OTLP, a receiver gets the whole story of a process."""
    memory = tmp_path / "memory"
    with FakeServer(WEATHER, require_tokens=True) as server, OtlpReceiver() as receiver:
        ended = run(
            "program_story.py", server.url, str(memory), OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        told = Told(receiver.spans(), receiver.latest())
        ledger = server.ledger.requests()
    memories = pickle.loads(memory.read_bytes())  # noqa: S301 - our own
    check_registered(told.spans, told.points)
    transitions = [
        event["weatherglass.breaker.state"]
        for _, event in told.events("weatherglass.breaker.transition")
    ]
    stories = check_story(told, memories, ledger)
    assert [story.outcome for story in stories if story.policy == "default"] == [
        "success",
        "success",
        "success",
        "failed",
        "gave_up",
        "gave_up",
    ]
    assert transitions == ["open"]
    assert {span.resource["service.name"] for span in told.spans} == {"story"}
    assert len({span.resource["service.instance.id"] for span in told.spans}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork() -> None:
    """O4, D13: a forked child tells its own calls, once, and not again those of its parent."""
    plan = FaultPlan.script(*[faults.answer(200, body="ok")] * 3)
    with FakeServer(plan) as server, OtlpReceiver() as receiver:
        ended = run("program_fork.py", server.url, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert ended.returncode == 0, ended.stderr
        told = Told(receiver.spans(), receiver.latest())
        ledger = server.ledger.requests()
    paths = [str(span.attributes["url.full"])[len(server.url) :] for span in told.attempts()]
    assert Counter(paths) == {"/before": 1, "/child": 1, "/parent": 1}
    assert len(told.calls()) == len({span.trace_id for span in told.calls()}) == 3
    assert len({span.span_id for span in told.spans}) == 6
    assert {entry.path for entry in ledger} == set(paths)


def test_no_sdk() -> None:
    """O4: without an SDK all works, silently; events come through ``logging`` all the same."""
    plan = FaultPlan.script(
        faults.answer(429, retry_after="unparseable"), None, *[faults.answer(503)] * 9
    )
    with FakeServer(plan) as server:
        ended = run("program_without_sdk.py", server.url)
        headers = [entry.header("traceparent") for entry in server.ledger.requests()]
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout)
    assert result["statuses"] == [200, 503]
    assert [(told["weatherglass.event"], told["level"]) for told in result["told"]] == [
        ("weatherglass.retry_after.received", "WARNING"),
        ("weatherglass.retry.scheduled", "INFO"),
        ("weatherglass.retry.scheduled", "INFO"),
        ("weatherglass.retry.scheduled", "INFO"),
        ("weatherglass.breaker.transition", "WARNING"),
        ("weatherglass.call.given_up", "WARNING"),
    ]
    assert set(headers) == {None}


def test_given_up_in_the_log() -> None:
    """O1: the record of a call that gave up says, in its fields, all that one needs to know."""
    with FakeServer(FaultPlan.script(*[faults.answer(503)] * 9)) as server:
        ended = run("program_without_sdk.py", server.url)
        url = server.url
    told = [
        record
        for record in json.loads(ended.stdout)["told"]
        if record["weatherglass.event"] == "weatherglass.call.given_up"
    ]
    first = dict(told[0])
    waited = first.pop("weatherglass.waited")
    assert waited > 0
    assert first == {
        "level": "WARNING",
        "weatherglass.event": "weatherglass.call.given_up",
        "server.address": "127.0.0.1",
        "http.request.method": "GET",
        "url.full": f"{url}/echo",
        "weatherglass.outcome": "gave_up",
        "weatherglass.give_up.reason": "circuit_open",
        "weatherglass.failure.kind": "unavailable",
        "weatherglass.attempts": 3,
    }
    assert only(told[1:])["level"] == "INFO"
