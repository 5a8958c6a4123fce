"""Planned maintenance windows."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import origin_of
from weatherglass.policy import MaintenanceWindow

START = datetime(2026, 5, 1, 22, tzinfo=timezone.utc)
END = START + timedelta(hours=2)


def window(**fields: Any) -> MaintenanceWindow:
    return MaintenanceWindow(**{"name": "night", "start": START, "end": END, **fields})


@pytest.mark.parametrize(
    ("seconds", "covered"), [(-1, False), (0, True), (7199, True), (7200, False)]
)
def test_a_window_holds_its_start_and_not_its_end(seconds: int, covered: bool) -> None:
    """M1: a window is in force from its start until just before its end."""
    assert window().covers(START.timestamp() + seconds) is covered


def test_windows_are_instants_whatever_their_zone() -> None:
    """M1: a window written in another time zone covers the same instants."""
    zone = ZoneInfo("Europe/Berlin")
    local = window(
        start=datetime(2026, 5, 2, tzinfo=zone), end=datetime(2026, 5, 2, 2, tzinfo=zone)
    )

    assert local.covers(START.timestamp())
    assert not local.covers(START.timestamp() - 1)
    assert not local.covers(END.timestamp())


def test_a_window_concerns_its_hosts_alone() -> None:
    """M1: the windows of one origin do not affect another; without hosts one concerns all."""
    some = window(hosts=("API.example.com",))

    assert some.concerns("api.example.com")
    assert not some.concerns("login.example.com")
    assert window().concerns("login.example.com")


def test_a_single_host_does_for_a_list() -> None:
    """M1: one host can be given as it is."""
    assert window(hosts="api.example.com").hosts == ("api.example.com",)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name is ''"),
        ({"name": None}, "name is None"),
        ({"start": datetime(2026, 5, 1)}, "maintenance.windows.night.start is datetime"),  # noqa: DTZ001 - the point
        ({"end": datetime(2026, 5, 3)}, "maintenance.windows.night.end is datetime"),  # noqa: DTZ001 - the point
        ({"start": "tonight"}, "maintenance.windows.night.start is 'tonight'"),
        ({"end": START.date()}, "maintenance.windows.night.end is datetime.date"),
        ({"end": START}, "must be after its start"),
        ({"end": START - timedelta(hours=1)}, "must be after its start"),
        ({"hosts": ("https://api.example.com",)}, "hosts without scheme"),
        ({"hosts": ("",)}, "hosts without scheme"),
        ({"hosts": ("api.example.com:443",)}, "without scheme, port and *"),
        ({"hosts": ("*.example.com",)}, "without scheme, port and *"),
        ({"hosts": ("api example",)}, "without scheme, port and *"),
        ({"hosts": ("\ud800",)}, "without scheme, port and *"),
        ({"hosts": (5,)}, "hosts without scheme"),
        ({"hosts": 5}, "maintenance.windows.night.hosts is 5"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], named: str) -> None:
    """D16, M1: a window that cannot be, or has no time zone, fails when it is made."""
    with pytest.raises(InvalidPolicy) as refused:
        window(**fields)

    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("API.example.com", "https://api.example.com/orders"),
        ("[::1]", "http://[::1]:8080/orders"),
        ("0:0::1", "http://[::1]/orders"),
        ("m\u00fcnchen.example", "https://M\u00dcNCHEN.example/orders"),
    ],
)
def test_hosts_are_those_of_urls(given: str, url: str) -> None:
    """M1: however a host is spelled, the window concerns the origin that its URLs have."""
    assert window(hosts=given).concerns(origin_of(url).host)


def test_windows_are_frozen_and_pickle() -> None:
    """D13: windows travel with their policy, time zone included, and never change."""
    local = window(start=START.astimezone(ZoneInfo("Europe/Berlin")))

    assert pickle.loads(pickle.dumps(local)) == local  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        local.name = "day"  # type: ignore[misc]  # the point of the test
