"""Policies of any values go through the environment and through files unchanged."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import MaintenanceWindow, Policy, Rule, load_policy
from weatherglass.policy.knobs import Knob
from weatherglass.policy.settings import SETTINGS, VARIABLES
from weatherglass.vocabulary import Execution, Kind

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() and text.strip().lower() != "none"
)
METHODS = st.text(string.ascii_uppercase, min_size=1, max_size=8).filter(lambda m: m != "NONE")
ROUTES = st.builds(
    "{} /{}".format, METHODS, st.text(string.ascii_letters + string.digits + "/*.-_", max_size=20)
)
HEADERS = st.text(string.ascii_letters + "-", min_size=1, max_size=20)


def values(name: str, knob: Knob) -> st.SearchStrategy[Any]:
    """Values that a setting allows."""
    if knob.type is float:
        low = knob.minimum if knob.minimum is not None else knob.above
        found: st.SearchStrategy[Any] = st.floats(
            low, knob.maximum, exclude_min=knob.above is not None, allow_nan=False
        )
    elif knob.type is int:
        found = st.integers(int(knob.minimum or 0), int(knob.maximum or 1000))
    elif knob.type is bool:
        found = st.booleans()
    elif knob.choices:
        found = st.sampled_from(knob.choices)
    elif knob.type is tuple:
        items = ROUTES if name.endswith("_routes") else METHODS
        found = st.lists(items, max_size=4).map(tuple)
    else:
        found = HEADERS if name.endswith("header") else TEXTS
    return st.none() | found if knob.optional else found


CHANGES = st.fixed_dictionaries(
    {}, optional={name: values(name, setting.knob) for name, setting in SETTINGS.items()}
)

RULES = st.builds(
    Rule,
    name=TEXTS,
    statuses=st.lists(st.sampled_from([1, 5, 100, 429, 599]), min_size=1, max_size=3).map(tuple),
    codes=st.lists(TEXTS, max_size=2).map(tuple),
    message=st.lists(TEXTS, max_size=2).map(tuple),
    kind=st.none() | st.sampled_from(Kind),
    execution=st.none() | st.sampled_from(Execution),
    transient=st.none() | st.booleans(),
    needs_token=st.none() | st.booleans(),
)


@st.composite
def windows(draw: st.DrawFn) -> MaintenanceWindow:
    zone = timezone(timedelta(minutes=draw(st.integers(-720, 840))))
    start = draw(
        st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1), timezones=st.just(zone))  # noqa: DTZ001 - drawn with a zone
    )
    length = draw(st.timedeltas(timedelta(seconds=1), timedelta(days=30)))
    hosts = draw(st.lists(st.sampled_from(["api.example.com", "[::1]"]), max_size=2))
    return MaintenanceWindow(name=draw(TEXTS), start=start, end=start + length, hosts=tuple(hosts))


def policy_with(changes: Mapping[str, Any]) -> Policy:
    """The policy with these settings; examples whose values contradict each other are dropped."""
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        setting = SETTINGS[name]
        holder = nested.setdefault(setting.section, {}) if setting.section else nested
        holder[setting.field] = value
    try:
        return Policy().new(**nested)
    except InvalidPolicy as error:
        assume(" must be at most " not in str(error))
        raise


def as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value) if not isinstance(value, float) else repr(value)


def load_text(text: str, environ: Mapping[str, str]) -> Policy:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "weatherglass.toml"
        file.write_bytes(text.encode())
        return load_policy(file, environ).policy


@given(changes=CHANGES)
def test_the_environment_holds_any_policy(changes: dict[str, Any]) -> None:
    """D17: settings written as variables lead to the policy made of them in Python."""
    wanted = policy_with(changes)
    environ = {SETTINGS[name].variable: as_text(value) for name, value in changes.items()}
    loaded = load_policy(environ=environ)

    assert loaded.policy == wanted
    assert {n for n, origin in loaded.origins.items() if origin != "default"} == set(changes)


@given(
    changes=CHANGES,
    rules=st.lists(RULES, max_size=3),
    window=st.lists(windows(), max_size=3, unique_by=lambda window: window.name),
)
def test_a_file_holds_any_policy(
    changes: dict[str, Any], rules: list[Rule], window: list[MaintenanceWindow]
) -> None:
    """D17: a policy printed as TOML and loaded again is the same policy."""
    policy = policy_with(changes).new(rules=rules, maintenance={"windows": window})
    printed = load_policy(environ={}, base=dataclasses.replace(policy)).to_toml()

    assert load_text(printed, {}) == policy


@given(changes=CHANGES, variables=CHANGES)
def test_the_environment_overrules_any_file(
    changes: dict[str, Any], variables: dict[str, Any]
) -> None:
    """D17: each setting is the environment's where it has one, else the file's."""
    filed = policy_with(changes)
    wanted = policy_with({**changes, **variables})
    printed = load_policy(environ={}, base=filed).to_toml()
    environ = {SETTINGS[name].variable: as_text(value) for name, value in variables.items()}

    assert load_text(printed, environ) == wanted


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=30), max_size=5))
def test_any_text_is_a_value_or_an_error_of_ours(environ: dict[str, str]) -> None:
    """S1, D17: no text in a variable leads to anything but a policy or `InvalidPolicy`."""
    try:
        loaded = load_policy(environ=environ)
    except InvalidPolicy as error:
        assert "environment variable" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(loaded.policy, Policy)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_a_policy_or_an_error_of_ours(data: bytes) -> None:
    """S1, D17: no file leads to anything but a policy or `InvalidPolicy` with its name."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "weatherglass.toml"
        file.write_bytes(data)
        try:
            loaded = load_policy(file, {})
        except InvalidPolicy as error:
            assert str(file) in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert isinstance(loaded.policy, Policy)
