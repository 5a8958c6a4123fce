"""The Collector's configurations as text: what holds of all of them, without running one.

That they work is shown in ``tests/stack``, by a real Collector.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from weatherglass.telemetry import registry

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "otel-collector.yaml"
SCRAPE, SAMPLING, BALANCER, SAMPLER = (
    ROOT / "collector" / f"{name}.yaml"
    for name in ("scrape", "tail-sampling", "gateway-balancer", "gateway-sampler")
)
CONFIGURATIONS = (MAIN, SCRAPE, SAMPLING, BALANCER, SAMPLER)
PAGE = ROOT / "docs" / "collector.md"
BUILDER = ROOT / "stack" / "collector" / "builder.yaml"

CORE = {
    "receivers": "host_metrics jaeger kafka nop otlp prometheus zipkin",
    "processors": "attributes batch filter memory_limiter probabilistic_sampler resource span",
    "exporters": "debug file kafka nop otlp_grpc otlp_http prometheus prometheus_remote_write"
    " zipkin",
    "extensions": "health_check pprof zpages",
    "connectors": "forward",
}
"""What the distribution ``otelcol`` consists of, under the names of v0.161."""

DEPRECATED = {"otlp", "otlphttp", "loadbalancing"}
"""Former names of exporters, which still work and are warned of."""

_VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")
_NAME = re.compile(r"\b(?:weatherglass|http|server|url|network|error)\.[a-z_]+(?:\.[a-z_]+)*\b")


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def name_of(path: Path) -> str:
    return path.stem


def types_in(config: dict[str, Any], section: str) -> set[str]:
    """The kinds of components; what follows a slash is a name of our own."""
    return {component.partition("/")[0] for component in config.get(section, {})}


each_configuration = pytest.mark.parametrize("path", CONFIGURATIONS, ids=name_of)


@each_configuration
def test_the_memory_limiter_comes_first(path: Path) -> None:
    """Nothing is done with data before it is known that there is room for it."""
    for pipeline in load(path)["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


@each_configuration
def test_all_that_is_defined_is_used_and_the_other_way_round(path: Path) -> None:
    """No component stands in a configuration for nothing."""
    config = load(path)
    pipelines = config["service"]["pipelines"].values()
    for section in ("receivers", "processors", "exporters"):
        used = {component for pipeline in pipelines for component in pipeline[section]}
        assert used == set(config[section])
    assert config["service"]["extensions"] == list(config["extensions"]) == ["health_check"]


@pytest.mark.parametrize("path", [MAIN, SCRAPE], ids=name_of)
def test_the_core_distribution_is_enough(path: Path) -> None:
    """Beside one application, otelcol has all components that are needed."""
    config = load(path)
    for section, components in CORE.items():
        assert types_in(config, section) <= set(components.split())


@each_configuration
def test_batches_are_made_in_bounded_queues(path: Path) -> None:
    """Whatever sends has a queue that is bounded in items and batches; no processor does that."""
    config = load(path)
    assert "batch" not in config["processors"]
    senders = {
        name: settings["protocol"]["otlp"] if name == "load_balancing" else settings
        for name, settings in config["exporters"].items()
        if name != "prometheus"
    }
    for settings in senders.values():
        queue = settings["sending_queue"]
        assert queue["sizer"] == "items"
        assert 0 < queue["batch"]["max_size"] <= queue["queue_size"] <= 100_000


@each_configuration
def test_every_name_is_registered(path: Path) -> None:
    """O2: names of attributes, spans and metrics, in comments too, are those of the registry."""
    known = {*registry.ATTRIBUTES, *registry.METRICS, *registry.SPANS, *registry.EVENTS}
    known |= {"retry_after.ceiling"}
    named = set(_NAME.findall(path.read_text(encoding="utf-8")))

    assert named <= known


def test_the_names_that_sampling_depends_on_are_registered() -> None:
    """O2: what the policies look for is what calls and attempts are told with."""
    policies = {each["name"]: each for each in sampling_of(SAMPLING)["policies"]}

    resends = policies["resends"]["numeric_attribute"]["key"]
    give_ups = policies["give-ups"]["string_attribute"]["key"]
    assert resends in {each.name for each in registry.SPANS[registry.ATTEMPT_SPAN].start}
    assert give_ups in {each.name for each in registry.SPANS[registry.CALL_SPAN].end}
    (slow,) = policies["slow-calls"]["ottl_condition"]["span"]
    assert f'span.name == "{registry.CALL_SPAN}"' in slow


def sampling_of(path: Path) -> Any:
    return load(path)["processors"]["tail_sampling"]


def test_both_samplers_decide_alike() -> None:
    """A fleet keeps the same traces as one host."""
    assert sampling_of(SAMPLER) == sampling_of(SAMPLING)


@each_configuration
def test_only_this_host_is_listened_to_unless_told_otherwise(path: Path) -> None:
    """Every address to listen on is a loopback address by default."""
    config = load(path)
    protocols = config["receivers"]["otlp"]["protocols"].values()
    health = config["extensions"]["health_check"]
    (reader,) = config["service"]["telemetry"]["metrics"]["readers"]
    addresses = [each["endpoint"] for each in (*protocols, health)]
    addresses.append(reader["pull"]["exporter"]["prometheus"]["host"])
    if "prometheus" in config["exporters"]:
        addresses.append(config["exporters"]["prometheus"]["endpoint"])

    for address in addresses:
        found = _VARIABLE.fullmatch(address)
        assert found is not None
        assert found[2].startswith("127.0.0.1")


def variables_in(path: Path) -> dict[str, str | None]:
    return dict(_VARIABLE.findall(path.read_text(encoding="utf-8")))


@each_configuration
def test_every_variable_has_a_default_and_is_documented(path: Path) -> None:
    """The page has each variable with its default; where files differ, with each of these."""
    page = PAGE.read_text(encoding="utf-8")
    for variable, default in variables_in(path).items():
        assert default, variable
        # Those of weatherglass itself begin so, and it refuses what it does not know.
        assert not variable.startswith("WEATHERGLASS_")
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{variable}` |")]
        assert f"`{default}`" in row


@each_configuration
def test_nothing_deprecated_is_used(path: Path) -> None:
    """The names are those that the Collector has now, not their deprecated aliases."""
    assert not types_in(load(path), "exporters") & DEPRECATED
    assert "resource_to_telemetry_conversion" not in path.read_text(encoding="utf-8")


@each_configuration
def test_the_collector_that_tests_build_has_every_component(path: Path) -> None:
    """The builder's manifest names the module of each component that a configuration uses."""
    manifest = load(BUILDER)
    for section in ("receivers", "processors", "exporters", "extensions"):
        modules = " ".join(each["gomod"] for each in manifest[section])
        for component in types_in(load(path), section):
            folder = component.replace("_", "").replace("otlpgrpc", "otlp")
            assert f"/{folder}{section.removesuffix('s')} v" in modules


def test_the_manifest_and_the_pinned_modules_agree() -> None:
    """The versions that the builder's manifest names are those that go.mod holds the build to."""
    pinned = (BUILDER.parent / "go.mod").read_text(encoding="utf-8")
    manifest = load(BUILDER)
    modules = [
        each["gomod"]
        for section in ("receivers", "processors", "exporters", "extensions", "providers")
        for each in manifest[section]
    ]

    assert all(f"\t{module}\n" in pinned for module in modules)
    assert all(replacement in pinned for replacement in manifest["replaces"])


def test_prometheus_is_set_up_for_both_ways() -> None:
    """Names are classic, late samples are kept, and job and instance are the application's."""
    config = load(ROOT / "stack" / "prometheus.yaml")
    applications, _ = config["scrape_configs"]

    assert config["otlp"]["translation_strategy"] == "UnderscoreEscapingWithSuffixes"
    assert (
        load(SCRAPE)["exporters"]["prometheus"]["translation_strategy"]
        == config["otlp"]["translation_strategy"]
    )
    assert config["storage"]["tsdb"]["out_of_order_time_window"]
    assert applications["honor_labels"] is True
