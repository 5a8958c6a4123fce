"""Whatever one emission a recorder leaves out, the check of a story notices (rule O2).

What there is to leave out is read from the registry: each span, its end, its status and each of
its attributes; each event, each attribute of it, and its log records; each metric, each label of
it, and the context that its exemplars come from; and the header of each request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import acts
import pytest
from mutations import Drop, Mute, every_drop
from stage import Exported
from theatre import Theatre

NOTICED = (AssertionError, KeyError)
"""How the check says that something is missing: by its name, or as what differs."""

DROPS = every_drop()


@contextmanager
def told(mute: Mute | None) -> Iterator[Theatre]:
    """The story, told by a recorder that leaves something out, or nothing."""
    exported = Exported()
    exported.mute, exported.events = mute, "both"
    with Theatre(exported) as theatre, nullcontext() if mute is None else mute.over_process():
        acts.play(theatre)
        yield theatre


def test_story_without_mutation() -> None:
    """O2: the same story, with nothing left out, passes."""
    with told(None) as theatre:
        assert theatre.check()


@pytest.mark.parametrize("drop", DROPS, ids=str)
def test_emission_that_is_always_left_out(drop: Drop) -> None:
    """O2: a recorder that has lost one line of its code is found out."""
    mute = Mute(drop)
    with told(mute) as theatre, pytest.raises(NOTICED):
        theatre.check()
    assert mute.met, "the story does not have what was to be left out"


WHOLE = [drop for drop in DROPS if not drop.part and drop.what != "context"]
"""Emissions as a whole. Exemplars are samples: only that a series has none can be noticed."""


@pytest.mark.parametrize("drop", WHOLE, ids=str)
def test_emission_that_is_left_out_once(drop: Drop) -> None:
    """O2: so is a recorder that leaves it out in one case only."""
    with told(Mute(drop, only=0)) as theatre, pytest.raises(NOTICED):
        theatre.check()
