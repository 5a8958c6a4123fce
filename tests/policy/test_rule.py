"""Classification rules, as a user writes them."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import Rule
from weatherglass.vocabulary import Execution, Kind


def test_one_line_makes_a_rule() -> None:
    """C6: a single value does for a list, and the words of the vocabulary can be plain texts."""
    given: dict[str, Any] = {"statuses": 5, "codes": "busy", "kind": "unavailable"}
    rule = Rule(name="busy", transient=True, **given)

    assert (rule.statuses, rule.codes, rule.kind) == ((5,), ("busy",), Kind.UNAVAILABLE)


def test_every_effect_is_optional() -> None:
    """C6: what a rule leaves out is left to the status."""
    rule = Rule(name="busy", codes=("busy",))

    assert (rule.kind, rule.transient, rule.execution, rule.needs_token) == (None,) * 4


def test_the_words_for_execution_are_taken_as_texts() -> None:
    """C2: a rule says by a word whether the server can have executed the request."""
    given: dict[str, Any] = {"execution": "rejected"}

    assert Rule(name="early", statuses=(400,), **given).execution is Execution.REJECTED


@pytest.mark.parametrize(
    ("fields", "named", "allowed"),
    [
        ({"name": ""}, "''", "a text"),
        ({"name": 5}, "5", "a text"),
        ({"codes": ()}, "rules.busy has no condition", "statuses, codes, headers and message"),
        ({"codes": (5,)}, "rules.busy.codes is (5,)", "a list of texts"),
        ({"codes": ("",)}, "rules.busy.codes is ('',)", "a list of texts"),
        ({"headers": None}, "rules.busy.headers is None", "a list of texts"),
        ({"message": (b"full",)}, "rules.busy.message is (b'full',)", "a list of texts"),
        ({"statuses": ("503",)}, "rules.busy.statuses is ('503',)", "a list of HTTP statuses"),
        ({"statuses": (True,)}, "rules.busy.statuses is (True,)", "a list of HTTP statuses"),
        ({"statuses": 1.5}, "rules.busy.statuses is 1.5", "a list of HTTP statuses"),
        ({"statuses": (6,)}, "rules.busy.statuses has 6", "from 100 to 599, or a class from 1"),
        ({"statuses": (99,)}, "rules.busy.statuses has 99", "from 100 to 599"),
        ({"statuses": (600,)}, "rules.busy.statuses has 600", "from 100 to 599"),
        ({"statuses": (-503,)}, "rules.busy.statuses has -503", "from 100 to 599"),
        ({"statuses": (10**5000,)}, "rules.busy.statuses has a number of", "from 100 to 599"),
        ({"kind": "odd"}, "rules.busy.kind is 'odd'", "one of rate_limited, unavailable"),
        ({"execution": "maybe"}, "rules.busy.execution is 'maybe'", "not_sent, rejected, possible"),
        ({"transient": "yes"}, "rules.busy.transient is 'yes'", "true or false"),
        ({"needs_token": 1}, "rules.busy.needs_token is 1", "true or false"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], named: str, allowed: str) -> None:
    """C6, D16: a rule that cannot mean anything fails when it is made, and says why."""
    with pytest.raises(InvalidPolicy) as refused:
        Rule(**{"name": "busy", "codes": ("busy",), **fields})

    assert named in str(refused.value)
    assert allowed in str(refused.value)


@pytest.mark.parametrize("status", [1, 4, 5, 100, 429, 599])
def test_statuses_and_their_classes_are_allowed(status: int) -> None:
    """C6: a rule can be about one status or about a whole class of them."""
    assert Rule(name="some", statuses=(status,)).statuses == (status,)


def test_rules_are_frozen_and_pickle() -> None:
    """D13: rules travel with their policy and never change."""
    rule = Rule(name="busy", codes=("busy",), kind=Kind.UNAVAILABLE)

    assert pickle.loads(pickle.dumps(rule)) == rule  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.transient = True  # type: ignore[misc]  # the point of the test
