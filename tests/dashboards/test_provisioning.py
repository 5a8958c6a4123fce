"""Provisioning and compose.yaml fit together, and with the files that they name.

The containers themselves are not started, here or in CI: what can be read off the files is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from board_parts import FOLDER, LABELS_OF_SERIES, NAMES, ROOT, labels, load, selected

STACK = ROOT / "stack"

_VARIABLE = re.compile(r"\$\{env:(\w+):-([^}]*)\}")


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE = read(STACK / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DATA_SOURCES = {
    source["uid"]: source
    for source in read(FOLDER / "provisioning/datasources/weatherglass.yaml")["datasources"]
}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted from this repository: the place in the container, and ours."""
    found = {}
    for volume in service["volumes"]:
        source, target, *options = volume.split(":")
        if source not in COMPOSE["volumes"]:
            assert options == ["ro"], f"{volume} may be written to"
            found[target] = source
    return found


def variables(text: str) -> dict[str, str]:
    """The environment variables that a Collector configuration reads, and their defaults."""
    return dict(_VARIABLE.findall(text))


def test_exemplars_lead_to_the_trace_store() -> None:
    """Both Prometheus data sources send exemplars to the trace store, by the label they have."""
    assert {source["type"] for source in DATA_SOURCES.values()} == {"prometheus", "tempo"}
    for source in DATA_SOURCES.values():
        if source["type"] == "prometheus":
            (destination,) = source["jsonData"]["exemplarTraceIdDestinations"]
            assert destination["name"] == "trace_id"
            assert DATA_SOURCES[destination["datasourceUid"]]["type"] == "tempo"


def test_traces_lead_back_to_metrics() -> None:
    """From a span it goes to a Prometheus that is there, with names of the registry (rule O1)."""
    back = DATA_SOURCES["weatherglass-tempo"]["jsonData"]["tracesToMetrics"]
    assert DATA_SOURCES[back["datasourceUid"]]["type"] == "prometheus"
    for query in back["queries"]:
        for series, _ in selected(query["query"]):
            assert labels(query["query"]) <= LABELS_OF_SERIES[series]
            assert {tag["value"] for tag in back["tags"]} <= LABELS_OF_SERIES[series]


def test_no_data_source_claims_to_be_the_default() -> None:
    """A Grafana that has a default data source can take ours in without refusing to start."""
    assert not [source for source in DATA_SOURCES.values() if source.get("isDefault")]


def test_the_first_data_source_suits_every_sdk() -> None:
    """The data source that boards open with expects a sample a minute, as SDKs send by default."""
    names = sorted(s["name"] for s in DATA_SOURCES.values() if s["type"] == "prometheus")
    assert names == ["Weatherglass", "Weatherglass (demo)"]
    assert DATA_SOURCES["weatherglass-prometheus"]["jsonData"]["timeInterval"] == "60s"
    assert DATA_SOURCES["weatherglass-prometheus-demo"]["jsonData"]["timeInterval"] == "1s"


def test_data_sources_are_where_compose_runs_them() -> None:
    """The addresses of the data sources are services and ports of compose.yaml."""
    for source in DATA_SOURCES.values():
        scheme, service, port = re.split(r"://|:", source["url"])
        assert scheme == "http"
        assert [each for each in SERVICES[service]["ports"] if each.endswith(f":{port}")]


def test_dashboards_are_mounted_where_grafana_looks() -> None:
    """Each board is in the folder that the provider reads, and the first one is the home page."""
    (provider,) = read(FOLDER / "provisioning/dashboards/weatherglass.yaml")["providers"]
    folder = provider["options"]["path"]
    grafana = SERVICES["grafana"]
    mounted = mounts(grafana)
    assert {f"{folder}/{name}.json" for name in NAMES} <= set(mounted)
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounted[home].endswith(load("weather")["uid"].removeprefix("weatherglass-") + ".json")


@every_service
def test_mounted_files_exist(service: dict[str, Any]) -> None:
    """All that is mounted is in this repository, and read only."""
    for source in mounts(service).values():
        assert (STACK / source).exists(), source


@every_service
def test_images_are_pinned(service: dict[str, Any]) -> None:
    """Every image has the tag of one release."""
    assert re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service["image"])


@every_service
def test_ports_are_for_this_machine(service: dict[str, Any]) -> None:
    """No port can be reached from other machines."""
    assert service["ports"]
    for port in service["ports"]:
        assert port.startswith("127.0.0.1:"), port


def test_volumes_are_used() -> None:
    """Every named volume belongs to a service."""
    used = [volume.split(":")[0] for each in SERVICES.values() for volume in each["volumes"]]
    assert set(COMPOSE["volumes"]) <= set(used)


def test_the_collector_is_told_where_everybody_is() -> None:
    """compose.yaml sets variables that otel-collector.yaml reads, and all that are addresses."""
    read_there = variables((ROOT / "otel-collector.yaml").read_text(encoding="utf-8"))
    given = SERVICES["collector"]["environment"]
    assert set(given) <= set(read_there)
    addresses = {name for name, default in read_there.items() if "127.0.0.1" in default}
    assert addresses <= set(given)


def test_the_collectors_neighbours_are_services() -> None:
    """What the Collector sends to are services of compose.yaml, and it waits for them."""
    collector = SERVICES["collector"]
    given = collector["environment"]
    for name in ("COLLECTOR_PROMETHEUS", "COLLECTOR_TRACES"):
        host = given[name].removeprefix("http://").split(":")[0]
        assert host in SERVICES
        assert host in collector["depends_on"]


def test_prometheus_takes_what_is_sent() -> None:
    """Prometheus takes OTLP, keeps exemplars, and finds its configuration and the rules."""
    prometheus = SERVICES["prometheus"]
    command = prometheus["command"]
    assert "--web.enable-otlp-receiver" in command
    (features,) = (each for each in command if each.startswith("--enable-feature="))
    assert "exemplar-storage" in features
    assert "created-timestamp-zero-ingestion" in features
    mounted = mounts(prometheus)
    (configured,) = (each for each in command if each.startswith("--config.file="))
    place = Path(configured.removeprefix("--config.file="))
    assert str(place) in mounted
    for pattern in read(STACK / "prometheus.yaml")["rule_files"]:
        assert os.path.normpath((place.parent / pattern).parent) in mounted


def test_tempo_listens_where_the_collector_sends() -> None:
    """The trace store takes OTLP on the Collector's port, and answers where Grafana asks."""
    tempo = read(STACK / "tempo.yaml")
    receiver = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    sent_to = SERVICES["collector"]["environment"]["COLLECTOR_TRACES"]
    assert receiver.split(":")[-1] == sent_to.split(":")[-1]
    url = DATA_SOURCES["weatherglass-tempo"]["url"]
    assert url.endswith(f":{tempo['server']['http_listen_port']}")
