"""Fault plans: data both ways, and exact about which request is struck."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.testing import (
    Action,
    BodyForm,
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    IdempotencyMode,
    Limiting,
    Maintenance,
    RateLimit,
    Spelling,
    VirtualClock,
    faults,
    rules_of,
)
from weatherglass.vocabulary import RetryAfterVariant

TIMEOUT = 20

answers = st.builds(
    faults.answer,
    st.integers(200, 599),
    code=st.none() | st.text(max_size=20),
    message=st.none() | st.text(max_size=20),
    spelling=st.sampled_from(Spelling),
    form=st.sampled_from(BodyForm),
    headers=st.dictionaries(st.text(min_size=1, max_size=9), st.none() | st.text(max_size=9)),
    body=st.none() | st.binary(max_size=20),
    retry_after=st.none() | st.sampled_from(RetryAfterVariant) | st.integers(0, 999),
    after_execution=st.booleans(),
)
any_fault = st.one_of(
    answers,
    st.builds(faults.raw, st.binary(max_size=9)),
    st.builds(faults.reset, after_execution=st.booleans()),
    st.builds(faults.cut, st.none() | st.integers(0, 9), of=st.none() | answers),
    st.builds(faults.drip, st.floats(0, 9), st.integers(1, 9)),
    st.builds(faults.hold, st.text(min_size=1, max_size=9)),
    st.just(faults.idle_close()),
    st.just(faults.serve()),
)
plans = st.builds(
    FaultPlan,
    rules=st.lists(
        st.builds(
            FaultRule,
            fault=any_fault,
            method=st.sampled_from(("*", "GET", "POST")),
            path=st.sampled_from(("*", "/api/*", "/echo")),
            nth=st.lists(st.integers(1, 9), max_size=3),
            probability=st.floats(0, 1),
            since=st.none() | st.floats(0, 9),
            until=st.none() | st.floats(0, 9),
            name=st.text(max_size=9),
        ),
        max_size=3,
    ),
    maintenance=st.lists(
        st.builds(
            Maintenance,
            name=st.text(min_size=1, max_size=9),
            start=st.floats(0, 10),
            end=st.floats(11, 20),
            down_until=st.none() | st.floats(0, 30),
            fault=any_fault,
        ),
        max_size=2,
    ),
    rate_limit=st.none()
    | st.builds(
        RateLimit,
        limit=st.integers(1, 999),
        window=st.floats(0.1, 999),
        algorithm=st.sampled_from(Limiting),
    ),
    idempotency=st.sampled_from(IdempotencyMode),
)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_plan_survives_json(plan: FaultPlan) -> None:
    """A plan written as JSON and read again is the same plan."""
    assert FaultPlan.from_json(plan.to_json()) == plan


@settings(max_examples=60, deadline=None)
@given(any_fault)
def test_fault_survives_json(fault: Fault) -> None:
    """A single fault, too, is JSON both ways, and a label of its own."""
    assert Fault.from_dict(json.loads(json.dumps(fault.to_dict()))) == fault
    assert fault.label


def test_plan_can_be_written_by_hand() -> None:
    """Plain JSON, with only what differs from the defaults, makes a plan."""
    text = """{
        "rules": [{"fault": {"action": "answer", "status": 429, "retry_after": "asctime"},
                   "path": "/api/*", "nth": [1, 2]}],
        "maintenance": [{"name": "move", "start": 10, "end": 20}],
        "rate_limit": {"limit": 5, "algorithm": "window"},
        "idempotency": "stripe"
    }"""
    plan = FaultPlan.from_json(text)
    assert plan.rules[0] == FaultRule(
        fault=faults.answer(429, retry_after=RetryAfterVariant.ASCTIME), path="/api/*", nth=(1, 2)
    )
    assert plan.maintenance[0].fault.status == 503
    assert plan.rate_limit == RateLimit(limit=5, algorithm=Limiting.WINDOW)
    assert plan.idempotency is IdempotencyMode.STRIPE
    assert json.loads(FaultPlan().to_json()) == {}


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ({"rulez": []}, "FaultPlan has no field 'rulez'; there are rules, maintenance"),
        ({"rules": [{"fault": {"action": "explode"}}]}, "action is 'explode', but must be one of"),
        ({"rules": [{"fault": {"action": "answer", "status": 99}}]}, "status is 99, but"),
        ({"rules": [{"fault": "reset"}]}, "fault is 'reset', but must be a Fault"),
        ({"maintenance": [{"name": "m", "start": 2, "end": 1}]}, "must end after its start, 2"),
        ({"rate_limit": {"limit": 0}}, "rate limit is 0"),
        ({"idempotency": "perhaps"}, "idempotency is 'perhaps', but must be one of ignore"),
        ({"rate_limit": {"algorithm": "x"}}, "algorithm is 'x', but must be one of bucket"),
        ({"rate_limit": 5}, "rate_limit is 5, but must be a RateLimit"),
        ({"rules": ["reset"]}, "rules has 'reset', but must have FaultRule objects"),
        ({"maintenance": [{"name": "m", "start": 1, "end": 2, "fault": 503}]}, "fault is 503"),
        ("[]", "a FaultPlan is '\\[\\]', but must be a mapping"),
    ],
)
def test_misspelt_plan_is_refused(plain: Any, complaint: str) -> None:
    """A plan that makes no sense is refused with what is wrong and what is allowed."""
    with pytest.raises(ValueError, match=complaint):
        FaultPlan.from_dict(plain)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: faults.answer(503, form="pdf"), "form is 'pdf', but must be one of json, html"),
        (lambda: faults.answer(503, spelling="odd"), "spelling is 'odd'"),
        (lambda: faults.answer(503, retry_after="later"), "retry_after is 'later'"),
        (lambda: faults.delay(-1), "seconds is -1"),
        (lambda: faults.drip(1, size=0), "size is 0"),
        (lambda: faults.hold(""), "a hold needs the name of a latch"),
        (lambda: faults.delay(1, of=faults.reset()), "of is a reset, but must be an answer"),
        (lambda: faults.reset().new(of=faults.answer(503)), "a reset takes no 'of'"),
        (lambda: FaultRule(fault=faults.reset(), nth=(0,)), "nth is"),
        (lambda: FaultRule(fault=faults.reset(), probability=2), "probability is 2"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(make: Any, complaint: str) -> None:
    """A nonsensical fault or rule fails when it is made."""
    with pytest.raises(ValueError, match=complaint):
        make()


def statuses(server: FakeServer, count: int, path: str = "/echo", method: str = "GET") -> list[int]:
    with requests.Session() as session:
        return [
            session.request(method, server.url + path, timeout=TIMEOUT).status_code
            for _ in range(count)
        ]


def test_script_is_followed_step_by_step() -> None:
    """The i-th request meets the i-th fault, None and serve() being none, and then all is well."""
    script = FaultPlan.script(faults.answer(503), None, faults.answer(429), faults.serve())
    with FakeServer(script) as server:
        assert statuses(server, 6) == [503, 200, 429, 200, 200, 200]
        faults_told = [entry.fault for entry in server.ledger.requests()]
    assert faults_told == ["answer 503", None, "answer 429", None, None, None]


def test_rules_count_only_what_they_match() -> None:
    """Each rule counts the requests that match its method and path, whatever other rules do."""
    plan = FaultPlan(
        rules=(
            *rules_of(faults.answer(500), path="/echo", method="POST"),
            FaultRule(fault=faults.answer(502), path="/bytes/*", nth=(2, 3), name="second, third"),
            FaultRule(fault=faults.answer(504), method="POST", nth=(2,)),
        )
    )
    with FakeServer(plan) as server:
        assert statuses(server, 2) == [200, 200]
        assert statuses(server, 3, method="POST") == [500, 504, 200]
        assert statuses(server, 4, "/bytes/1") == [200, 502, 502, 200]
        assert server.ledger.requests(path="/bytes/1")[1].fault == "second, third"


def test_rule_is_in_force_between_its_times() -> None:
    """Times are seconds on the clock since the server's start, the second one excluded."""
    clock = VirtualClock()
    clock.advance(1000)
    plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503), since=10, until=20),))
    with FakeServer(plan, clock) as server:
        seen = []
        for _ in range(5):
            seen += statuses(server, 1)
            clock.advance(5)
    assert seen == [200, 200, 503, 503, 200]


def test_chance_repeats_with_the_seed() -> None:
    """With one seed the same requests are struck in every run, with another seed others."""
    plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503), probability=0.5),))

    def run(seed: int) -> list[int]:
        with FakeServer(plan, seed=seed) as server:
            return statuses(server, 40)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 8 < run(1).count(503) < 32


def test_chance_does_not_depend_on_the_timing_of_threads() -> None:
    """The n-th match is struck or not, however many clients race to be it."""
    plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503), probability=0.3),))
    with FakeServer(plan) as alone:
        expected = statuses(alone, 40).count(503)
    with FakeServer(plan) as raced:
        threads = [threading.Thread(target=statuses, args=(raced, 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        assert raced.ledger.by_status()[503] == expected


def test_chaos_shares_its_probability() -> None:
    """Chaos strikes with the probability given, each candidate about equally often."""
    candidates = [faults.answer(status) for status in (500, 502, 503, 504)]
    plan = FaultPlan.chaos(candidates, 0.8, path="/echo")
    shares = [rule.probability for rule in plan.rules]
    assert shares == pytest.approx([0.2, 0.25, 1 / 3, 0.5])
    with FakeServer(plan) as server:
        seen = statuses(server, 200)
    assert 140 < sum(status != 200 for status in seen) < 180
    assert all(20 < seen.count(fault.status) < 60 for fault in candidates)


def test_plan_can_be_exchanged_while_running() -> None:
    """A new plan is in force from the next request on, and counts anew."""
    with FakeServer(FaultPlan.script(faults.answer(500))) as server:
        assert statuses(server, 2) == [500, 200]
        server.plan = FaultPlan.script(faults.answer(502))
        assert server.plan.rules[0].fault.status == 502
        assert statuses(server, 2) == [502, 200]


def test_every_action_can_be_made() -> None:
    """There is a function for every action, and its label names it."""
    made = [
        faults.serve(),
        faults.answer(503),
        faults.raw(b""),
        faults.reset(),
        faults.disconnect(),
        faults.cut(),
        faults.drip(1),
        faults.delay(1),
        faults.hang(),
        faults.hold("x"),
        faults.idle_close(),
        faults.revoke(),
    ]
    assert {fault.action for fault in made} == set(Action)
    assert all(isinstance(fault, Fault) and fault.label for fault in made)
