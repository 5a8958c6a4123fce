"""Stories of redirects, idempotency keys, methods and routes (rules O1 to O3, D15 and I)."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from stage import Stage, check, only

from weatherglass.testing import FaultPlan, IdempotencyMode, faults, rules_of

QUEUES = "/api/v2/routing/queues"
KEYS: dict[str, Any] = {
    "key": "deterministic",
    "honours_keys": True,
    "done_codes": ("duplicate.name",),
}


def test_hops_of_a_redirect() -> None:
    """O2, D15: the hops of a redirect are attempts of one call, each with its own origin."""
    with Stage() as stage:
        stage.get(stage.session(), f"/redirect?to={stage.server.other_url}/redirect?to=/echo")
        story = only(check(stage))
        spans = [span for span in stage.exported.spans() if span.kind == "CLIENT"]
    assert [(a.status, a.resend_reason) for a in story.attempts] == [
        (302, None),
        (302, "redirect"),
        (200, "redirect"),
    ]
    assert [span.attributes["server.address"] for span in spans] == [
        "127.0.0.1",
        "localhost",
        "localhost",
    ]
    assert len({span.parent_id for span in spans}) == 1


def test_retry_after_a_redirect() -> None:
    """O1: delays and waits after a redirect are told of the server that asked for them."""
    with Stage() as stage:
        stage.server.plan = FaultPlan(
            rules=rules_of(faults.answer(503, retry_after=3), faults.answer(502), path="/echo")
        )
        stage.get(stage.session(), f"/redirect?to={stage.server.other_url}/echo")
        story = only(check(stage))
        waited = {
            point.attributes["server.address"]
            for point in stage.exported.points()
            if point.name == "weatherglass.wait.duration"
        }
    assert [attempt.status for attempt in story.attempts] == [302, 503, 502, 200]
    assert waited == {"localhost"}


def test_too_many_redirects() -> None:
    """O2: a call that ends in the session and not on the wire is told as what it raised."""
    with Stage() as stage:
        session = stage.session()
        session.max_redirects = 2
        stage.script(*[faults.redirect("/echo")] * 9)
        raised = stage.get(session)
        story = only(check(stage))
    assert isinstance(raised, requests.TooManyRedirects)
    assert (story.outcome, story.exception) == ("failed", "requests.exceptions.TooManyRedirects")
    assert len(story.attempts) == 3


def test_redirect_that_is_not_followed() -> None:
    """O2: without following it, a redirect is a success like any other."""
    with Stage() as stage:
        stage.get(stage.session(), "/redirect?to=/echo", allow_redirects=False)
        story = only(check(stage))
    assert (story.outcome, [attempt.status for attempt in story.attempts]) == ("success", [302])


def test_key_that_was_sent_once() -> None:
    """O1, I3: a key is counted once for its call, with its source."""
    with Stage() as stage:
        stage.play(stage.session(idempotency=KEYS), "POST", QUEUES, json={"name": "one"})
        story = only(check(stage))
        entry = only(stage.server.ledger.requests())
        report = stage.reports[0]
    assert story.key_source == "deterministic"
    assert entry.idempotency_key == report.idempotency_key


def test_replay_that_the_server_recognised() -> None:
    """O1, I5: an answer that the server says to have given before is told as replayed."""
    plan = FaultPlan.script(faults.lose(), idempotency=IdempotencyMode.STRIPE)
    with Stage(plan) as stage:
        stage.play(stage.session(idempotency=KEYS), "POST", QUEUES, json={"name": "one"})
        story = only(check(stage))
        executions = stage.server.ledger.executions()
    assert (story.outcome, story.replay, len(story.attempts)) == ("success", "replayed", 2)
    assert len(executions) == 1


def test_replay_that_is_ambiguous() -> None:
    """O1, I5: "it exists already", said to a replay, is told as ambiguous."""
    with Stage(FaultPlan.script(faults.lose())) as stage:
        stage.play(stage.session(idempotency=KEYS), "POST", QUEUES, json={"name": "one"})
        story = only(check(stage))
    assert (story.outcome, story.replay) == ("failed", "ambiguous_replay")


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        ({"idempotency_key": "of-the-call"}, "caller"),
        ({"headers": {"Idempotency-Key": "of-the-caller"}}, "caller"),
        ({"data": iter([b"once"])}, "per_call_one_shot"),
    ],
)
def test_sources_of_keys(arguments: dict[str, Any], source: str) -> None:
    """O1, I1, I6: where a key came from is told, and its value is not."""
    with Stage() as stage:
        stage.play(stage.session(idempotency=KEYS), "POST", "/echo", **arguments)
        story = only(check(stage))
        key = stage.server.ledger.requests()[0].idempotency_key
        exported = stage.exported.traces() + stage.exported.metrics()
    assert story.key_source == source
    assert key is not None
    assert key.encode() not in exported
    assert not any(key in repr(vars(record)) for record in stage.logs)


def test_key_that_a_redirect_leaves_behind() -> None:
    """O1, I3: a key is told as sent again only where it was: not to what a POST turned into."""
    with Stage() as stage:
        session = stage.session(idempotency=KEYS)
        stage.play(session, "POST", "/redirect?to=/echo&status=303", data=b"x")
        check(stage)
        keys = [entry.idempotency_key for entry in stage.server.ledger.requests()]
        point = only(
            point
            for point in stage.exported.points()
            if point.name == "weatherglass.idempotency.keys"
        )
    assert [key is not None for key in keys] == [True, False]
    assert point.attributes["weatherglass.idempotency.key_reused"] is False


@pytest.mark.parametrize(
    ("method", "told", "original", "name"),
    [
        ("HEAD", "HEAD", None, "HEAD"),
        ("QUERY", "QUERY", None, "QUERY"),
        ("patch", "PATCH", None, "PATCH"),
        ("PURGE", "_OTHER", "PURGE", "HTTP"),
    ],
)
def test_methods(method: str, told: str, original: str | None, name: str) -> None:
    """O3, O6: a method that is not known is told as another, and as sent on the span alone."""
    with Stage() as stage:
        stage.script(faults.answer(200), method="*")
        stage.play(stage.session(), method, "/echo")
        check(stage)
        span = only(span for span in stage.exported.spans() if span.kind == "CLIENT")
        point = only(
            point
            for point in stage.exported.points()
            if point.name == "http.client.request.duration"
        )
    assert span.name == name
    assert span.attributes["http.request.method"] == told
    assert span.attributes.get("http.request.method_original") == original
    assert point.attributes["http.request.method"] == told


def test_route_template() -> None:
    """O3, O6: the caller's route names the attempts' spans; without one, no path is told there."""
    with Stage() as stage:
        session = stage.session()
        stage.get(session, "/status/200", url_template="/status/{code}")
        stage.get(session, "/status/204")
        check(stage)
        spans = [span for span in stage.exported.spans() if span.kind == "CLIENT"]
        labels = {
            value
            for point in stage.exported.points()
            for value in point.attributes.values()
            if isinstance(value, str)
        }
    assert [span.name for span in spans] == ["GET /status/{code}", "GET"]
    assert [span.attributes.get("url.template") for span in spans] == ["/status/{code}", None]
    assert not [label for label in labels if "status" in label]
