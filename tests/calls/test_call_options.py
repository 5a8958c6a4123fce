"""Settings at work: those of the session, of one call, of the environment and of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from scenes import Clock, Noting, kinds, reason, statuses

import weatherglass
from weatherglass import (
    Adapter,
    BreakerPolicy,
    Callbacks,
    InvalidPolicy,
    Policy,
    RetryPolicy,
    Rule,
    Session,
    load_policy,
)
from weatherglass.testing import FakeServer, FaultPlan, faults

DOWN = FaultPlan.script(*[faults.answer(503)] * 30)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"deadline": -1}, "deadline is -1, but must be a finite number above 0"),
        ({"deadline": "soon"}, "deadline is 'soon', but must be a finite number"),
        ({"max_retries": -1}, "retry.max_retries is -1, but must be a whole number from 0"),
        ({"raise_failures": "yes"}, "raise_failures is 'yes', but must be true or false"),
    ],
)
def test_nonsense_for_one_call_is_refused(
    server: FakeServer, session: Session, override: dict[str, Any], message: str
) -> None:
    """D16: a nonsense override names field, value and range, and nothing is sent."""
    with pytest.raises(InvalidPolicy) as caught:
        session.request("GET", f"{server.url}/echo", **override)
    assert message in str(caught.value)
    assert len(server.ledger) == 0
    assert session.get(f"{server.url}/echo").ok


def test_unknown_argument_is_a_type_error(server: FakeServer, session: Session) -> None:
    """D16: an argument that does not exist is refused by name, together with those that do."""
    with pytest.raises(TypeError, match=r"max_retrys is not an argument.*max_retries"):
        session.request("GET", f"{server.url}/echo", max_retrys=3)
    assert len(server.ledger) == 0


def test_unknown_argument_is_a_type_error_while_the_breaker_is_open_too(
    server: FakeServer, session: Session
) -> None:
    """D16: that does not depend on the weather."""
    session.breakers.force_open(server.url)
    with pytest.raises(TypeError, match="max_retrys is not an argument"):
        session.request("GET", f"{server.url}/echo", max_retrys=3)
    with pytest.raises(InvalidPolicy, match="deadline is -1"):
        session.request("GET", f"{server.url}/echo", deadline=-1)


@pytest.mark.parametrize("made", [Session, Adapter])
def test_nonsense_for_a_session_is_refused(made: Any) -> None:
    """D16: what is no policy is refused when session or adapter are made."""
    with pytest.raises(InvalidPolicy, match=r"policy is \{'deadline': 3\}, but must be a"):
        made(policy={"deadline": 3})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"callbacks": {"on_call": print}}, "callbacks is a dict, but must be a weatherglass.Call"),
        ({"tokens": lambda: "t"}, "tokens is a function, but must be a token source.*CallableTok"),
        ({"tokens": "secret"}, "tokens is a str, but must be a token source"),
    ],
)
def test_parts_of_the_wrong_type_are_refused_when_a_session_is_made(
    argument: dict[str, Any], message: str
) -> None:
    """D16: not when the first call has been sent."""
    for made in (Session, Adapter):
        with pytest.raises(InvalidPolicy, match=message) as caught:
            made(**argument)
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidPolicy, match=r"callbacks\.on_call is 5, but must be a function"):
        Callbacks(on_call=5)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("option", ["idempotent", "honours_key", "raise_failures"])
def test_a_word_is_no_switch(server: FakeServer, session: Session, option: str) -> None:
    """D16, R3: ``idempotent="no"`` must not make a POST repeatable."""
    with pytest.raises(InvalidPolicy, match=f"{option} is 'no', but must be true or false"):
        session.post(f"{server.url}/echo", **{option: "no"})
    assert len(server.ledger) == 0


def test_overrides_hold_for_one_call(server: FakeServer, session: Session) -> None:
    """D16: what was said of one call does not concern the next."""
    server.plan = FaultPlan.script(*[faults.answer(408)] * 3)
    assert statuses(session.request("GET", f"{server.url}/echo", max_retries=1)) == [408, 408]
    assert statuses(session.get(f"{server.url}/echo")) == [408, 200]


def test_policy_of_a_call_holds_for_all_that_concerns_it_alone(
    server: FakeServer, session: Session
) -> None:
    """D16, C6: retries, rules, timeouts and name are those of the policy given with the call."""
    below = Noting()
    session.adapter.inner = below
    policy = Policy(
        name="teapots",
        rules=(Rule(name="teapot", statuses=(418,), transient=True),),
        retry=RetryPolicy(max_retries=2),
        timeout=weatherglass.TimeoutPolicy(connect=1, read=2),
    )
    server.plan = FaultPlan.script(*[faults.answer(418)] * 9)
    answer = session.request("GET", f"{server.url}/echo", policy=policy)
    assert (statuses(answer), reason(answer)) == ([418] * 3, "retries_exhausted")
    assert weatherglass.report(answer).policy == "teapots"
    assert below.timeouts == [(1, 2)] * 3
    assert statuses(session.get(f"{server.url}/echo")) == [418]
    below.close()


def test_options_can_be_nested(server: FakeServer, session: Session) -> None:
    """D16: inner options are added to the outer ones, and are gone behind their block."""
    server.plan = DOWN
    with weatherglass.options(max_retries=1, url_template="/echo"):
        with weatherglass.options(raise_failures=True), pytest.raises(weatherglass.StatusFailed):
            session.get(f"{server.url}/echo")
        assert len(server.ledger) == 2
        answer = session.get(f"{server.url}/echo")
        assert len(statuses(answer)) == 2
    assert len(server.ledger) == 4


def test_options_do_not_reach_the_calls_of_hooks_and_bodies(
    server: FakeServer, clock: Clock
) -> None:
    """D16: a call that is made in the course of another one does not inherit its options."""
    others: list[requests.Response] = []

    def hook(_answer: requests.Response, **_: Any) -> None:
        others.append(other.get(f"{server.url}/other"))

    server.plan = FaultPlan.script(*[faults.answer(408)] * 9, path="/other")
    with Session(runtime=clock) as session, Session(runtime=clock) as other:
        session.request(
            "GET", f"{server.url}/echo", max_retries=0, deadline=1, hooks={"response": hook}
        )
    assert [len(statuses(answer)) for answer in others] == [6]


def test_policy_from_environment_and_file(server: FakeServer, clock: Clock, tmp_path: Path) -> None:
    """D17: a loaded policy is a policy: the file's and the environment's words hold for calls."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(
        """
        name = "from the file"
        [retry]
        max_retries = 7
        base_delay = 2
        [breaker]
        enabled = false
        [[rules]]
        name = "teapot"
        statuses = [418]
        transient = true
        """
    )
    loaded = load_policy(file, {"WEATHERGLASS_RETRY_MAX_RETRIES": "2"})
    server.plan = FaultPlan.script(faults.answer(418), *[faults.answer(503)] * 30)
    with Session(runtime=clock, policy=loaded.policy) as session:
        answer = session.get(f"{server.url}/echo")
    assert (statuses(answer), reason(answer)) == ([418, 503, 503], "retries_exhausted")
    assert clock.waits == [1.0, 2.0]
    assert weatherglass.report(answer).policy == "from the file"
    assert loaded.origins["retry.max_retries"].startswith("environment variable")
    assert str(file) in loaded.origins["retry.base_delay"]


def test_policy_from_nowhere_is_the_default(server: FakeServer, clock: Clock) -> None:
    """D17: where nothing is said, the loaded policy is that of a plain session."""
    loaded = load_policy(environ={}).policy
    with Session(runtime=clock, policy=loaded) as session, Session(runtime=clock) as plain:
        assert session.policy == plain.policy
        assert session.get(f"{server.url}/echo").ok


def test_policy_loaded_at_the_last_moment_can_be_changed(server: FakeServer, clock: Clock) -> None:
    """D17, D16: what is said in Python comes last."""
    loaded = load_policy(environ={"WEATHERGLASS_RETRY_MAX_RETRIES": "4"}).policy
    policy = loaded.new(breaker={"enabled": False}, retry={"max_delay": 1})
    server.plan = DOWN
    with Session(runtime=clock, policy=policy) as session:
        answer = session.get(f"{server.url}/echo")
    assert kinds(answer) == ["unavailable"] * 5
    assert clock.waits == [0.5] * 4
    assert policy.breaker == BreakerPolicy(enabled=False)
