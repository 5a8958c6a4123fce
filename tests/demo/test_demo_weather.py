"""The demo's weather: that it is what the demo promises, and the same for everybody."""

from __future__ import annotations

import pytest

from weatherglass.demo.weather import FULL, QUICK, Phase, Size, shifted, weather
from weatherglass.testing import FaultPlan, FaultRule, Maintenance
from weatherglass.testing.faults import Action, reset, serve
from weatherglass.vocabulary import RetryAfterVariant

SIZES = pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])


def phase(size: Size, name: str) -> Phase:
    return next(phase for phase in weather(size) if phase.name == name)


@SIZES
def test_all_kinds_of_weather_are_there_in_their_order(size: Size) -> None:
    """The demo goes from calm through every kind of trouble to recovery."""
    assert [phase.name for phase in weather(size)] == [
        "calm",
        "storm",
        "revocation",
        "resets",
        "outage",
        "maintenance",
        "recovery",
    ]


@SIZES
def test_the_storm_has_every_form_of_retry_after(size: Size) -> None:
    """A1: each variant answers the first request of as many calls as every other."""
    storm = phase(size, "storm")
    variants = [rule.fault.retry_after for rule in storm.plan.rules]

    assert sorted(map(str, variants)) == sorted(map(str, list(RetryAfterVariant) * size.rounds))
    assert [(rule.path, rule.nth) for rule in storm.plan.rules] == [
        (call.path, (1,)) for call in storm.calls
    ]


@SIZES
def test_resets_strike_before_and_after_execution(size: Size) -> None:
    """S2: half of the POSTs that lose their connection took effect, and nobody can tell which."""
    faults = [rule.fault for rule in phase(size, "resets").plan.rules]

    assert {fault.action for fault in faults} == {Action.RESET}
    assert sum(fault.after_execution for fault in faults) == len(faults) // 2
    assert {call.method for call in phase(size, "resets").calls} == {"POST"}


@SIZES
def test_no_two_writes_look_alike(size: Size) -> None:
    """S2: every write has a path of its own, so that the ledger can count duplicates."""
    calls = [call for phase in weather(size) for call in phase.calls]
    writes = [call.path for call in calls if call.method == "POST"]

    assert len(set(writes)) == len(writes)
    assert len({call.name for call in calls}) == len(calls)


@SIZES
def test_every_plan_is_data(size: Size) -> None:
    """A phase's plan survives its way through JSON, so a run can be written down."""
    for each in weather(size):
        assert FaultPlan.from_json(each.plan.to_json()) == each.plan


@SIZES
def test_an_outage_leaves_no_request_alone(size: Size) -> None:
    """The rules of the outage strike every request together, whatever chance says."""
    rules = phase(size, "outage").plan.rules

    assert rules[-1].probability == 1
    assert {rule.until for rule in rules} == {size.outage_seconds}


@SIZES
def test_maintenance_is_announced_before_it_begins(size: Size) -> None:
    """M1: the page has the window for a while before calls are made, and another region's too."""
    maintenance = phase(size, "maintenance")
    ours, other = maintenance.plan.maintenance

    assert ours.announced
    assert (ours.start, ours.end) == (
        maintenance.notice,
        maintenance.notice + size.maintenance_seconds,
    )
    assert maintenance.notice > 0
    assert set(ours.components).isdisjoint(other.components)
    assert not any(other.path == call.path for each in weather(size) for call in each.calls)


def test_a_plan_is_moved_in_time_as_a_whole() -> None:
    """All times of a plan are moved by the same amount; what has no time keeps having none."""
    plan = FaultPlan(
        rules=(FaultRule(fault=reset(), since=1, until=2), FaultRule(fault=serve())),
        maintenance=(Maintenance(name="w", start=3, end=6, down_from=4),),
    )

    assert shifted(plan, 10) == FaultPlan(
        rules=(FaultRule(fault=reset(), since=11, until=12), FaultRule(fault=serve())),
        maintenance=(Maintenance(name="w", start=13, end=16, down_from=14),),
    )
