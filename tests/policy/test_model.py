"""Policies refuse nonsense when they are made, and never change afterwards."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import (
    GROUPS,
    BreakerPolicy,
    BudgetPolicy,
    IdempotencyPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    Rule,
    TimeoutPolicy,
    TokenPolicy,
)
from weatherglass.policy.knobs import Knob, check, knob_of
from weatherglass.policy.settings import SETTINGS, VARIABLES, Setting

RECORDS: dict[str, type[Any]] = {"": Policy, **GROUPS}
"""Policy and its groups, each with its knobs: a knob added to one is tested without more ado."""


class Nothing:
    """An object that is no value of any knob, and looks the same in every run."""

    def __repr__(self) -> str:
        return "Nothing()"


def nonsense(knob: Knob) -> Iterator[Any]:
    """Values that a knob must refuse."""
    if not knob.optional:
        yield None
    yield Nothing()
    if knob.type in (int, float):
        yield from ("3", True, math.nan, math.inf, -math.inf, [1])
        if knob.type is int:
            yield 1.5
        else:
            yield 10**400
        yield from out_of_range(knob)
    elif knob.type is bool:
        yield from (0, 1, "true")
    elif knob.type is str:
        yield from ("", "  ", 5, b"bytes", "half a pair: \ud800")
        if knob.choices:
            yield from ("nonsense", knob.choices[0].upper())
    else:
        yield from ("GET", b"GET", 5, [5], [""], [None], {"GET": 1})


def out_of_range(knob: Knob) -> Iterator[float]:
    if knob.above is not None:
        yield from (knob.above, knob.above - 1)
    if knob.minimum is not None:
        yield from (knob.minimum - 1, -(10**30))
    if knob.maximum is not None:
        yield from (knob.maximum + 1, 10**30)


NONSENSE = [
    pytest.param(setting, value, id=f"{setting.name}={value!r:.24}")
    for setting in SETTINGS.values()
    for value in nonsense(setting.knob)
]


@pytest.mark.parametrize(("setting", "value"), NONSENSE)
def test_nonsense_fails_when_the_record_is_made(setting: Setting, value: object) -> None:
    """D16: no record of the policy can be made with a value outside of a knob's range."""
    with pytest.raises(InvalidPolicy) as refused:
        RECORDS[setting.section](**{setting.field: value})

    assert setting.field in str(refused.value)
    assert setting.knob.allowed in str(refused.value)


@pytest.mark.parametrize(("setting", "value"), NONSENSE)
def test_nonsense_is_named_with_field_value_and_range(setting: Setting, value: object) -> None:
    """D16: `new` names the field with its group, the value and what is allowed."""
    change = {setting.field: value}
    with pytest.raises(InvalidPolicy) as refused:
        Policy().new(**({setting.section: change} if setting.section else change))

    message = str(refused.value)
    assert message.startswith(f"{setting.name} is {value!r}"[:80])
    assert message.endswith(f", but must be {setting.knob.allowed}")


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_the_bounds_themselves_are_allowed(setting: Setting) -> None:
    """D16: the ends of a range belong to it, and none where it is said to be allowed."""
    knob = setting.knob
    values: list[Any] = [bound for bound in (knob.minimum, knob.maximum) if bound is not None]
    values += list(knob.choices) + ([None] if knob.optional else [])

    assert all(allowed(knob, value) for value in [*values, setting.value(Policy())])


def allowed(knob: Knob, value: object) -> bool:
    """Whether a record with nothing but this knob takes the value."""
    record = dataclasses.make_dataclass(
        "Record", [("field", object, dataclasses.field(metadata={"weatherglass.knob": knob}))]
    )
    whole = int(value) if knob.type is int and isinstance(value, float) else value
    check(record(whole), "section")
    return True


def test_every_field_is_a_knob_or_a_record() -> None:
    """D17: nothing that a number or a switch can say stands outside of the catalogue."""
    beside = {
        f"{section}.{field.name}" if section else field.name
        for section, record in RECORDS.items()
        for field in dataclasses.fields(record)
        if knob_of(field) is None
    }

    lists = {"rules", "limit_headers", "maintenance.windows", "maintenance.feeds"}
    assert beside == {*GROUPS, *lists, "breaker_key"}


def test_every_knob_has_a_name_of_its_own_and_a_meaning() -> None:
    """D17: no two settings share an environment variable, and each says what it is for."""
    assert len(VARIABLES) == len(SETTINGS)
    assert all(setting.knob.help.endswith(".") for setting in SETTINGS.values())


def test_defaults_are_those_of_the_rules() -> None:
    """D8, R1, N3, A5, A6, B1, T8: the numbers that the behaviour names are the defaults."""
    policy = Policy()

    assert (policy.timeout.connect, policy.timeout.read) == (5.0, 30.0)
    assert (policy.retry.max_retries, policy.retry.max_network_retries) == (5, 3)
    assert (policy.retry.base_delay, policy.retry.max_delay) == (1.0, 30.0)
    assert (policy.retry_after.floor, policy.retry_after.ceiling) == (1.0, 180.0)
    assert (policy.breaker.consecutive_failures, policy.breaker.cooldown) == (5, 60.0)
    assert (policy.mode, policy.deadline, policy.raise_failures) == ("active", None, False)
    assert policy.retry.idempotent_methods == ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE")


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (
            lambda: RetryPolicy(base_delay=31),
            ("retry.base_delay is 31", "retry.max_delay, which is 30"),
        ),
        (
            lambda: RetryAfterPolicy(floor=200),
            ("retry_after.floor is 200", "retry_after.ceiling, which is 180"),
        ),
        (
            lambda: BreakerPolicy(cooldown=601),
            ("breaker.cooldown is 601", "breaker.max_cooldown, which is 600"),
        ),
        (
            lambda: TokenPolicy(mandatory_window=301),
            ("tokens.mandatory_window is 301", "tokens.advisory_window, which is 300"),
        ),
        (
            lambda: Policy(deadline=10, timeout=TimeoutPolicy(read=11)),
            ("timeout.read is 11", "the deadline, which is 10"),
        ),
        (
            lambda: Policy(deadline=10, timeout=TimeoutPolicy(connect=11)),
            ("timeout.connect is 11", "the deadline, which is 10"),
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(make: Any, names: tuple[str, ...]) -> None:
    """D16: two values that make no sense together fail, and the message names both."""
    with pytest.raises(InvalidPolicy) as refused:
        make()

    assert all(name in str(refused.value) for name in names)


def test_default_timeouts_do_not_forbid_a_short_deadline() -> None:
    """D9: a deadline below the default timeouts is fine, since it cuts them down."""
    assert Policy(deadline=3).deadline == 3.0


@pytest.mark.parametrize(
    ("record", "fields", "named"),
    [
        (RetryPolicy, {"idempotent_routes": ["/orders"]}, "'/orders'"),
        (RetryPolicy, {"idempotent_routes": ["POST orders"]}, "'POST orders'"),
        (IdempotencyPolicy, {"honouring_routes": ["POST"]}, "'POST'"),
        (RetryPolicy, {"idempotent_methods": ["GET,PUT"]}, "'GET,PUT'"),
        (IdempotencyPolicy, {"methods": ["PO ST"]}, "'PO ST'"),
        (IdempotencyPolicy, {"header": "Idempotency Key"}, "'Idempotency Key'"),
        (IdempotencyPolicy, {"header": "Key\r\nX: 1"}, "'Key\\r\\nX: 1'"),
        (MaintenancePolicy, {"windows": ["tonight"]}, "'tonight'"),
        (MaintenancePolicy, {"windows": 5}, "5"),
        (Policy, {"rules": ["all"]}, "'all'"),
        (Policy, {"rules": 5}, "5"),
        (Policy, {"breaker_key": "origin"}, "'origin'"),
        (Policy, {"retry": {"max_retries": 2}}, "RetryPolicy"),
        (Policy, {"retry_budget": RetryPolicy()}, "BudgetPolicy"),
    ],
)
def test_records_of_the_wrong_form_are_refused(
    record: type[Any], fields: dict[str, Any], named: str
) -> None:
    """D16: routes, methods, headers, windows, rules and groups are checked when they are given."""
    with pytest.raises(InvalidPolicy) as refused:
        record(**fields)

    assert named in str(refused.value)


def test_harmless_types_are_normalised() -> None:
    """D16: whole numbers do for seconds, lists for tuples, and methods are compared in capitals."""
    given: dict[str, Any] = {"base_delay": 2, "idempotent_methods": ["get", "Put"]}
    retry = RetryPolicy(**given)

    assert isinstance(retry.base_delay, float)
    assert retry.idempotent_methods == ("GET", "PUT")


def breaker_per_method(origin: str, method: str) -> str:
    return f"{method} {origin}"


def full() -> Policy:
    """A policy with something in every corner."""
    start = datetime(2026, 5, 1, 22, tzinfo=timezone.utc)
    window = MaintenanceWindow(name="night", start=start, end=start + timedelta(hours=2))
    return Policy(
        name="full",
        deadline=60,
        rules=(Rule(name="busy", codes=("busy",), transient=True),),
        maintenance=MaintenancePolicy(mode="wait", windows=(window,)),
        breaker_key=breaker_per_method,
        network_budget=BudgetPolicy(capacity=7),
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_policies_pickle(protocol: int) -> None:
    """D13: a policy survives pickling, equal in every part."""
    assert pickle.loads(pickle.dumps(full(), protocol)) == full()  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", RECORDS, ids=lambda name: name or "policy")
def test_policies_are_immutable(name: str) -> None:
    """D16: no field of a policy or of a group can be set once it is made."""
    record = getattr(full(), name) if name else full()

    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, getattr(record, field.name))


def test_policies_can_be_keys() -> None:
    """D16: equal policies hash alike."""
    assert hash(full()) == hash(full())


def test_new_changes_what_it_is_told_and_nothing_else() -> None:
    """D16: `new` gives another policy; groups take mappings, and the old policy stays."""
    old = full()
    changed = old.new(deadline=20, retry={"max_retries": 2}, breaker=BreakerPolicy(enabled=False))

    assert (changed.deadline, changed.retry.max_retries, changed.breaker.enabled) == (20, 2, False)
    assert changed.retry.max_delay == old.retry.max_delay
    assert changed.rules == old.rules
    assert old == full()


@pytest.mark.parametrize("budget", ["retry_budget", "network_budget"])
def test_errors_name_the_right_budget(budget: str) -> None:
    """D16: the two budgets share a class, but a message says which of them is meant."""
    with pytest.raises(InvalidPolicy, match=rf"^{budget}\.capacity is 0,"):
        Policy().new(**{budget: {"capacity": 0}})


def test_unknown_fields_are_refused_with_the_known_ones() -> None:
    """D16: a misspelt field is an error that lists the fields."""
    with pytest.raises(InvalidPolicy, match=r"retries is not a setting; there are name, mode"):
        Policy().new(retries=3)
    with pytest.raises(InvalidPolicy, match=r"retry\.retries is not a setting.* max_retries"):
        Policy().new(retry={"retries": 3})


def test_a_message_is_never_longer_than_is_readable() -> None:
    """S1: a value of a megabyte does not flood the message that refuses it."""
    with pytest.raises(InvalidPolicy) as refused:
        Policy(mode="x" * 1_000_000)

    assert len(str(refused.value)) < 500


def test_observing_is_the_mode() -> None:
    """D18: a policy observes when its mode says so."""
    assert Policy(mode="observe").observing
    assert not Policy().observing
