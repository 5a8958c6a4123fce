"""Each configuration is one that the real Collector accepts, and starts with in silence."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from collecting import BALANCER, CONFIGURATIONS, trace_store
from stack.processes import Collector, NotStarted, free_ports

from weatherglass.testing import OtlpReceiver

pytestmark = pytest.mark.timeout(180)


def names(path: Path) -> str:
    return path.stem


def checked(binary: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """What the Collector says of a configuration without running it."""
    return subprocess.run(  # noqa: S603 - the Collector
        [binary, "validate", f"--config=file:{config}"],
        capture_output=True,
        text=True,
        check=False,
    )


def alternative_resolvers() -> dict[str, Any]:
    """What the balancer's configuration offers, as comments, in place of the fixed list."""
    lines = BALANCER.read_text(encoding="utf-8").splitlines()
    offered = lines[lines.index("      # In place of it, where samplers come and go:") + 1 :]
    comments = itertools.takewhile(lambda line: line.startswith("      # "), offered)
    found: dict[str, Any] = yaml.safe_load("\n".join(line[8:] for line in comments))
    return found


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=names)
def test_configurations_are_valid(config: Path, collector_binary: Path) -> None:
    """The Collector finds nothing wrong with a configuration as it is delivered."""
    answer = checked(collector_binary, config)

    assert answer.returncode == 0, answer.stderr
    assert "deprecated" not in answer.stderr


@pytest.mark.parametrize("resolver", ["dns", "k8s"])
def test_the_other_resolvers_are_valid(
    resolver: str, collector_binary: Path, tmp_path: Path
) -> None:
    """What stands in the balancer's comments can be put in the place of the fixed list."""
    config = yaml.safe_load(BALANCER.read_text(encoding="utf-8"))
    other = {resolver: alternative_resolvers()[resolver]}
    config["exporters"]["load_balancing"]["resolver"] = other
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")

    answer = checked(collector_binary, file)

    assert answer.returncode == 0, answer.stderr


@pytest.mark.usefixtures("collector_binary")
@pytest.mark.parametrize("config", CONFIGURATIONS, ids=names)
def test_configurations_start_without_a_warning(config: Path, tmp_path: Path) -> None:
    """Nothing in a configuration is deprecated or doubtful: the Collector warns of nothing."""
    with OtlpReceiver() as receiver, trace_store(tmp_path, receiver) as store:
        env = {
            "COLLECTOR_PROMETHEUS": receiver.url,
            "COLLECTOR_TRACES": store,
            "COLLECTOR_SAMPLERS": f"[{store}]",
        }
        with Collector(config, env=env, log=tmp_path / "log") as collector:
            collector.stop()
            lines = collector.log.splitlines()

    assert any("Everything is ready" in line for line in lines)
    assert [line for line in lines if "\tinfo\t" not in line] == []


@pytest.mark.usefixtures("collector_binary")
def test_a_collector_that_cannot_start_says_why(tmp_path: Path) -> None:
    """What a Collector logs before it ends is in the error."""
    config = tmp_path / "wrong.yaml"
    config.write_text("receivers:\n  telegraph:\n", encoding="utf-8")

    with pytest.raises(NotStarted, match="telegraph"), Collector(config):
        pass


def test_free_ports_are_different() -> None:
    """Ports that are asked for together do not collide."""
    ports = free_ports(20)

    assert len(set(ports)) == 20
