"""The parts of ``make stack``, started together, and the weather that is sent through them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.addresses import Ports
from stack.processes import HOST, Collector, Prometheus
from weatherglass.demo.exports import SERVICE
from weatherglass.telemetry import prometheus as names
from weatherglass.telemetry import registry

ROOT = Path(__file__).parents[1]
RULES = ROOT / "dashboards" / "rules"
_CONFIGURATION = ROOT / "otel-collector.yaml"
_CLI = "import sys; from weatherglass.cli import main; sys.exit(main())"
_ARRIVAL = 20.0
"""Seconds in which the last export must have come through."""
_LOOK = 0.2


@dataclass(frozen=True)
class Running:
    """A Collector and a Prometheus that are up."""

    collector: Collector
    prometheus: Prometheus
    traces: str
    """Where the traces go: host and port, or a file."""


@contextmanager
def running(ports: Ports, data: Path, traces: str | None) -> Iterator[Running]:
    """Start both, with all that they keep in a folder; they are gone when the context is left.

    Args:
        ports: where they listen.
        data: the folder.
        traces: host and port of a trace store; without one, traces are written to a file.

    Raises:
        Unavailable: if there is no such program and none can be built.
        NotStarted: if one does not become ready; says what it logged.
    """
    storage = data / "prometheus"
    storage.mkdir(parents=True, exist_ok=True)
    file = data / "traces.jsonl"
    with ExitStack() as ending:
        prometheus = ending.enter_context(
            Prometheus(
                storage,
                rules=[RULES],
                # The demo's weather passes in half a minute.
                evaluation_interval="1s",
                port=ports.prometheus,
                log=data / "prometheus.log",
            )
        )
        env = _environment(ports, prometheus.otlp_endpoint, traces)
        settings = () if traces else _to_file(file)
        collector = ending.enter_context(
            Collector(_CONFIGURATION, env=env, set=settings, log=data / "collector.log")
        )
        yield Running(collector, prometheus, traces or str(file))


def _environment(ports: Ports, prometheus: str, traces: str | None) -> dict[str, str]:
    variables = {
        "COLLECTOR_OTLP_HTTP": f"{HOST}:{ports.otlp_http}",
        "COLLECTOR_OTLP_GRPC": f"{HOST}:{ports.otlp_grpc}",
        "COLLECTOR_HEALTH": f"{HOST}:{ports.health}",
        "COLLECTOR_METRICS_PORT": str(ports.collector_metrics),
        "COLLECTOR_PROMETHEUS": prometheus,
    }
    return variables | ({"COLLECTOR_TRACES": traces} if traces else {})


def _to_file(file: Path) -> tuple[str, ...]:
    """The Collector's settings that replace the trace store, which nobody has at hand, by a file.

    Without them it would try for minutes to reach a store that is not there.
    """
    return (
        f"exporters::file/traces::path={file}",
        "service::pipelines::traces::exporters=[file/traces]",
    )


def send_weather(url: str, weather: str, seed: int) -> int:
    """Run the demo, in a process of its own, and return its exit code."""
    size = ["--quick"] if weather == "quick" else []
    command = ["demo", "--otlp", url, "--seed", str(seed), *size]
    demo = subprocess.Popen([sys.executable, "-c", _CLI, *command])  # noqa: S603 - our own
    try:
        return demo.wait()
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait()


@dataclass(frozen=True)
class Summary:
    """What Prometheus has after the weather."""

    series: int
    attempts: int
    rules: int
    ill: tuple[str, ...]
    """The rules whose evaluation fails, with the reason."""
    alerts: tuple[str, ...]
    """The alerts that are pending or firing."""

    @property
    def good(self) -> bool:
        """Whether something has arrived, and every rule is evaluated."""
        return self.series > 0 and self.rules > 0 and not self.ill


def summary(prometheus: Prometheus) -> Summary:
    """Ask Prometheus, as soon as it has evaluated all rules over something."""
    deadline = time.monotonic() + _ARRIVAL
    while not (_arrived(prometheus) and _evaluated(prometheus)) and time.monotonic() < deadline:
        time.sleep(_LOOK)
    rules = prometheus.rules()
    return Summary(
        series=_number(prometheus, f'count({{job="{SERVICE}", __name__!~".*:.*|ALERTS.*"}})'),
        attempts=_arrived(prometheus),
        rules=len(rules),
        ill=tuple(
            f"{rule['name']}: {rule.get('lastError') or 'not evaluated yet'}"
            for rule in rules
            if rule["health"] != "ok"
        ),
        alerts=tuple(sorted({each["labels"]["alertname"] for each in prometheus.alerts()})),
    )


def _arrived(prometheus: Prometheus) -> int:
    return _number(
        prometheus, f'sum({names.metric_name(registry.ATTEMPT_COUNT)}{{job="{SERVICE}"}})'
    )


def _evaluated(prometheus: Prometheus) -> bool:
    return all(rule["health"] != "unknown" for rule in prometheus.rules())


def _number(prometheus: Prometheus, expression: str) -> int:
    found = prometheus.query(expression)
    return round(float(found[0]["value"][1])) if found else 0
