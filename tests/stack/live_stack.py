"""The live stack: the weather goes through real Collectors into real Prometheus servers, once.

The same program runs twice at the same time: one copy pushes all the way, the other one's
Collector is scraped. What is expected of either is said in the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import live_prometheus
from live_boards import ROOT
from live_traces import TraceStore
from stack.processes import Collector, Prometheus

from weatherglass.demo.exports import SERVICE

_PROGRAM = Path(__file__).parent / "live_weather.py"
RULES = ROOT / "dashboards" / "rules"
_SHORTEST_RANGE = 10
"""Seconds: several exports, and not so many that the run has no more than one range in it."""


@dataclass(frozen=True)
class Live:
    """One way through the stack, after the weather."""

    prometheus: Prometheus
    traces: TraceStore
    figures: dict[str, Any] = field(repr=False)
    """What the servers and the callbacks of the application say."""

    @property
    def began(self) -> float:
        return float(self.figures["began"])

    @property
    def ended(self) -> float:
        return float(self.figures["ended"])

    @property
    def job(self) -> str:
        return SERVICE

    @cached_property
    def instance(self) -> str:
        (found,) = live_prometheus.ask(
            self.prometheus, "label/instance/values", **{"match[]": f'{{job="{self.job}"}}'}
        )
        return str(found)

    @property
    def variables(self) -> dict[str, str]:
        """What a browser would put for the variables, with everything selected."""
        seconds = round(self.ended - self.began)
        return {
            "datasource": "prometheus",
            "job": self.job,
            "instance": ".*",
            "origin": ".*",
            "__rate_interval": f"{_SHORTEST_RANGE}s",
            "__interval": "1s",
            "__interval_ms": "1000",
            "__range": f"{seconds}s",
            "__range_s": str(seconds),
            "__range_ms": str(seconds * 1000),
        }

    def over_the_run(self, expression: str) -> list[dict[str, Any]]:
        """The results of a range query over the whole run, at every second."""
        return self.prometheus.query_range(expression, self.began, self.ended + 2, 1)

    def series(self, selector: str) -> list[dict[str, str]]:
        """The series that a selector finds in the whole run."""
        found = live_prometheus.ask(
            self.prometheus,
            "series",
            start=self.began,
            end=self.ended + 2,
            **{"match[]": selector},
        )
        return list(found)

    def labels(self, selectors: Iterable[str]) -> set[str]:
        """The labels that at least one of the selected series has."""
        found = (series for selector in selectors for series in self.series(selector))
        return set().union(*found)


@contextmanager
def live_stack(folder: Path) -> Iterator[dict[str, Live]]:
    """Both ways, ``push`` and ``scrape``, after the same weather."""
    with ExitStack() as ending:
        parts = {
            "push": _push(folder / "push", ending),
            "scrape": _scrape(folder / "scrape", ending),
        }
        programs = {
            name: _begin_weather(collector, folder / f"{name}.json", ending)
            for name, (_, collector, _) in parts.items()
        }
        figures = {
            name: _end_weather(program, folder / f"{name}.json")
            for name, program in programs.items()
        }
        lives = {
            name: Live(prometheus, traces, figures[name])
            for name, (prometheus, _, traces) in parts.items()
        }
        for live in lives.values():
            _wait_for_the_last(live)
        yield lives


def _push(folder: Path, ending: ExitStack) -> tuple[Prometheus, Collector, TraceStore]:
    traces = ending.enter_context(TraceStore())
    folder.mkdir()
    rules = sorted(RULES.glob("*.yaml"))
    prometheus = ending.enter_context(Prometheus(folder, rules=rules))
    env = {"COLLECTOR_PROMETHEUS": prometheus.otlp_endpoint, "COLLECTOR_TRACES": traces.address}
    collector = ending.enter_context(Collector(ROOT / "otel-collector.yaml", env=env))
    return prometheus, collector, traces


def _scrape(folder: Path, ending: ExitStack) -> tuple[Prometheus, Collector, TraceStore]:
    traces = ending.enter_context(TraceStore())
    folder.mkdir()
    env = {"COLLECTOR_TRACES": traces.address}
    collector = ending.enter_context(Collector(ROOT / "collector" / "scrape.yaml", env=env))
    prometheus = ending.enter_context(Prometheus(folder, scrape=[collector.scrape_target]))
    return prometheus, collector, traces


def _begin_weather(collector: Collector, file: Path, ending: ExitStack) -> subprocess.Popen[str]:
    program = subprocess.Popen(  # noqa: S603 - a program of ours
        [sys.executable, str(_PROGRAM), collector.otlp_http_url, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Entered last, so that what fails here does not wait for the other one to end by itself.
    ending.enter_context(program)
    ending.callback(program.kill)
    return program


def _end_weather(program: subprocess.Popen[str], file: Path) -> dict[str, Any]:
    said, _ = program.communicate(timeout=100)
    assert program.returncode == 0, said
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return figures


def _wait_for_the_last(live: Live) -> None:
    """The last export goes through queues, and a scrape comes when it comes.

    Nobody has a ledger of connections that were refused.
    """
    sent = sum(sum(live.figures[part]["statuses"].values()) for part in ("demo", "troubles"))
    count = (
        f'sum(weatherglass_attempts_total{{job="{live.job}",'
        'weatherglass_failure_kind!="connect_refused"})'
    )
    live_prometheus.wait_for(
        lambda: live_prometheus.total(live.prometheus, count, time.time()) >= sent
    )
