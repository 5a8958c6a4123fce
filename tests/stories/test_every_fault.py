"""Every fault of the fake server is told of, and nothing is missing from the list (rule O2).

The same story goes through a real Collector in ``tests/stack``.
"""

from __future__ import annotations

from collections.abc import Iterator

import catalogue
import pytest
from inventory import CANNOT_HAPPEN, driven, missing, to_drive
from narrative import CallStory, Told
from theatre import Theatre

THERE = to_drive()


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Theatre, list[CallStory]]]:
    """All scenes, compared with their reports and ledgers."""
    with Theatre() as theatre:
        catalogue.play(theatre)
        yield theatre, theatre.check()


@pytest.mark.parametrize("scene", catalogue.SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: catalogue.Scene) -> None:
    """O2: each scene is told as reports and ledger have it, with all exemplars."""
    with Theatre() as theatre:
        scene(theatre)
        assert theatre.check()


@pytest.mark.parametrize("name", THERE)
def test_nothing_is_left_out(name: str, played: tuple[Theatre, list[CallStory]]) -> None:
    """O2: every fault, every word of a closed set and every name of the registry was driven."""
    theatre, stories = played
    told = Told(theatre.exported.spans(), theatre.exported.points(), theatre.logs)
    assert missing([name], THERE, driven(theatre.stages, told, stories)) == {}


def test_what_is_added_is_missed(played: tuple[Theatre, list[CallStory]]) -> None:
    """O2: a new fault, word or name that no scene plays is found to be missing."""
    theatre, stories = played
    told = Told(theatre.exported.spans(), theatre.exported.points(), theatre.logs)
    was = driven(theatre.stages, told, stories)
    for name, known in THERE.items():
        assert missing([name], {name: {*known, "new"}}, was) == {name: {"new"}}


def test_what_cannot_happen_is_known() -> None:
    """O2: the list of what no scene can drive names nothing that there is not."""
    assert {name: set(reasons) - THERE[name] for name, reasons in CANNOT_HAPPEN.items()} == {
        name: set() for name in CANNOT_HAPPEN
    }
