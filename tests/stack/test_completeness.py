"""The whole story of every fault, from what a real Collector wrote down (rule O2).

Sessions meet every fault of the fake server, and tell of it with the SDK over OTLP/HTTP. A
Collector writes what it received to files; from these alone each call's story is rebuilt, and
compared with its report and the server's ledger. What is compared, and that nothing may be left
out, is proved in ``tests/stories``, without a Collector.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import acts
import catalogue
import pytest
from collected import Collected
from inventory import driven, missing, to_drive
from mutations import Drop, Mute
from narrative import CallStory, Told
from retelling import WITHOUT_REPORT
from theatre import Theatre

THERE = to_drive()

Played = tuple[Theatre, list[CallStory]]


@pytest.fixture(scope="module")
def played(collector_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every scene, told through a Collector and compared with the reports and ledgers."""
    assert collector_binary.exists()
    collected = Collected(tmp_path_factory.mktemp("collected"))
    collected.events = "both"
    with collected, Theatre(collected) as theatre:
        catalogue.play(theatre)
        yield theatre, theatre.check()


def test_every_call_has_its_story(played: Played) -> None:
    """O2: what a Collector has of each call is the call's report, attempt by attempt."""
    theatre, stories = played
    calls = sum(len(stage.reports) for stage in theatre.stages)
    assert len([story for story in stories if story.policy not in WITHOUT_REPORT]) == calls > 500


def test_every_request_has_its_span(played: Played) -> None:
    """O2: what a Collector has is one attempt for each request that the servers received."""
    theatre, stories = played
    requests = sum(len(stage.server.ledger.requests()) for stage in theatre.stages)
    attempts = [attempt for story in stories for attempt in story.attempts]
    assert len(attempts) >= requests > 800


@pytest.mark.parametrize("name", THERE)
def test_nothing_is_left_out(name: str, played: Played) -> None:
    """O2: every fault, every closed set and every name of the registry arrived in a Collector."""
    theatre, stories = played
    told = Told(theatre.exported.spans(), theatre.exported.points(), theatre.logs)
    assert missing([name], THERE, driven(theatre.stages, told, stories)) == {}


@pytest.mark.parametrize(
    "drop",
    [
        None,
        Drop("span", "weatherglass.wait"),
        Drop("attribute", "weatherglass.call", "weatherglass.outcome"),
        Drop("event", "weatherglass.retry.scheduled"),
        Drop("record", "weatherglass.retry.scheduled"),
        Drop("metric", "weatherglass.give_ups"),
        Drop("metric", "weatherglass.maintenance.time_to_end"),
        Drop("metric", "weatherglass.maintenance.feed.age"),
        Drop("record", "weatherglass.maintenance.feed_failed"),
        Drop("label", "weatherglass.attempts", "weatherglass.failure.kind"),
    ],
    ids=str,
)
def test_left_out_before_a_collector(
    drop: Drop | None, collector_binary: Path, tmp_path: Path
) -> None:
    """O2: behind a Collector, too, it is noticed that a recorder leaves something out."""
    assert collector_binary.exists()
    collected = Collected(tmp_path)
    mute = None if drop is None else Mute(drop)
    collected.mute, collected.events = mute, "both"
    with collected, Theatre(collected) as theatre:
        acts.play(theatre)
        if mute is None:
            assert theatre.check()
        else:
            with pytest.raises((AssertionError, KeyError)):
                theatre.check()
            assert mute.met
