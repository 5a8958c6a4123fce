"""`weatherglass doctor`: the command as an operator has it, against servers on loopback."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from doctor_servers import Canned, FakePrometheus, always, http_date, serving

from weatherglass.cli import main
from weatherglass.cli.doctor import PROBE, SERVICE
from weatherglass.cli.picture import is_rule_file, picture
from weatherglass.telemetry import registry
from weatherglass.telemetry.prometheus import metric_name, series_names
from weatherglass.testing import OtlpReceiver

NAMES = [name for metric in registry.METRICS.values() for name in series_names(metric)]
PROBED = metric_name(PROBE)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not count."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "WEATHERGLASS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


def healthy() -> FakePrometheus:
    """A Prometheus in which all is as it should be."""
    now = time.time()
    return FakePrometheus(
        now=now,
        names=NAMES,
        newest={"orders": now - 12},
        groups=[{"name": name, "rules": []} for name in rule_groups()],
        arrived=[{"__name__": PROBED, "job": SERVICE}],
    )


def rule_groups() -> list[str]:
    import yaml  # noqa: PLC0415 - for this test alone

    return [
        str(group["name"])
        for name, data in picture().items()
        if is_rule_file(name)
        for group in yaml.safe_load(data)["groups"]
    ]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, Any]]]:
    """What the command has printed as JSON, by check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(capsys.readouterr().out)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def doctor(*arguments: str) -> int:
    return main(["doctor", "--json", "--wait", "0.01", *arguments])


def test_without_options_nobody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be seen here is told, what was not asked for is skipped, and all is well."""
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out

    for check in ("versions", "policy", "OTEL_ variables", "retry layers", "instrumentations"):
        assert f"ok       {check}" in printed
    assert "skipped  otlp" in printed
    assert "skipped  prometheus" in printed
    assert printed.splitlines()[-1] == "5 ok, 2 skipped"


def test_an_installation_that_works_has_no_failure(
    receiver: OtlpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """From export to rules, each check finds what it looks for."""
    with (
        serving(healthy()) as prometheus,
        always(Canned(404, headers={"Date": http_date(time.time())})) as api,
    ):
        code = doctor("--otlp", receiver.url, "--prometheus", prometheus, "--api", api)
    found = told(capsys)

    assert code == 0
    assert {each["status"] for findings in found.values() for each in findings} == {"ok"}
    assert {"otlp traces", "otlp metrics", "prometheus", "metric names", "series", "rules"} <= set(
        found
    )
    assert len(found["clock"]) == 2  # Prometheus' and the API's; the receiver has no Date


def test_a_failed_check_is_exit_code_1(
    receiver: OtlpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """D17: scripts see it by the exit code, readers by the last line."""
    receiver.fail(401)

    assert main(["doctor", "--otlp", receiver.url]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 failed, ")


def test_the_endpoint_of_the_environment_is_asked(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """O4: without --otlp, the standard variable says where to."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)

    assert doctor() == 0
    assert told(capsys)["otlp traces"][0]["found"].startswith(f"{receiver.url}/v1/traces")
    assert receiver.exports == {"/v1/traces": 1, "/v1/metrics": 1}


def test_a_switched_off_sdk_is_respected(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """O4: with OTEL_SDK_DISABLED nothing is sent; to who asks for it by --otlp it is a failure."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)

    assert doctor() == 0
    found = told(capsys)
    assert found["otlp"][0]["status"] == "skipped"
    assert found["OTEL_ variables"][0]["status"] == "warning"
    assert doctor("--otlp", receiver.url) == 1
    assert told(capsys)["otlp"][0]["status"] == "failed"
    assert receiver.exports == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
    ],
)
def test_settings_that_no_exporter_can_be_made_of_are_a_failure(
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong is told as a finding, and the other checks go on."""
    monkeypatch.setenv(name, value)

    assert doctor("--otlp", "https://127.0.0.1:1") == 1
    found = told(capsys)
    assert found["otlp traces"][0]["status"] == found["otlp metrics"][0]["status"] == "failed"
    assert "prometheus" in found


def test_what_does_not_arrive_is_a_failure(
    receiver: OtlpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Collector may accept and still not pass on: only the far end proves it."""
    server = healthy()
    server.arrived = []
    server.flags["web.enable-otlp-receiver"] = "false"
    with serving(server) as prometheus:
        assert doctor("--otlp", receiver.url, "--prometheus", prometheus) == 1
    (found,) = told(capsys)["arrival"]

    assert "has not come" in found["found"]
    assert "--web.enable-otlp-receiver is off" in found["advice"]


def test_the_measurement_is_recognised_by_its_value(
    receiver: OtlpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its value is the time it was sent at, so that an earlier one is not taken for it."""
    server = healthy()
    with serving(server) as prometheus:
        assert doctor("--otlp", receiver.url, "--prometheus", prometheus) == 0
    (point,) = receiver.points(PROBE.name)
    told(capsys)

    (asked,) = [query for query in server.queries if "doctor" in query]
    assert asked.endswith(f" == {point.value!r}")


@pytest.mark.parametrize(
    ("labels", "status", "said"),
    [
        ({"__name__": PROBE.name, "job": SERVICE}, "failed", "dots were kept"),
        ({"__name__": PROBED, "job": "otel-collector"}, "warning", "as of job 'otel-collector'"),
    ],
)
def test_what_arrives_otherwise_is_told(
    labels: dict[str, str],
    status: str,
    said: str,
    receiver: OtlpReceiver,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """O3: under another name dashboards stay empty, under another job services get mixed up."""
    server = healthy()
    server.arrived = [labels]
    with serving(server) as prometheus:
        doctor("--otlp", receiver.url, "--prometheus", prometheus)
    (found,) = told(capsys)["arrival"]

    assert found["status"] == status
    assert said in found["found"]


def test_old_series_are_told_from_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether data has stopped, or has never come, makes a difference to whoever looks for it."""
    stopped, never = healthy(), healthy()
    stopped.recent, stopped.newest = False, {"orders": stopped.now - 7200}
    never.newest = {SERVICE: never.now}  # the doctor's own do not count
    with serving(stopped) as one, serving(never) as other:
        assert doctor("--prometheus", one) == 1
        (old,) = told(capsys)["series"]
        assert doctor("--prometheus", other, "--job", 'a"b') == 1
        (none,) = told(capsys)["series"]

    assert old["found"] == "nothing new: the newest samples by job are orders (2 h ago)"
    assert none["found"] == 'no series of calls of job a"b in the last day'
    assert any(r'job="a\"b"' in query for query in never.queries)


def test_a_clock_that_is_off_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Both clocks are compared with this machine's, and said to be whose."""
    server = healthy()
    server.now += 3600
    server.newest = {"orders": server.now}
    with (
        serving(server) as prometheus,
        always(Canned(200, headers={"Date": http_date(time.time() - 3600)})) as api,
    ):
        assert doctor("--prometheus", prometheus, "--api", api) == 1
    theirs, apis = told(capsys)["clock"]

    assert theirs["status"] == apis["status"] == "failed"
    assert "of Prometheus is 3600 s ahead of" in theirs["found"]
    assert re.search(r"of the API is (3599|3600) s behind", apis["found"])


def test_an_api_without_a_date_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is claimed of a clock that nobody shows."""
    with always(Canned(200)) as api:
        assert doctor("--api", api.replace("http://", "http://ann:s3cret@")) == 0
    (found,) = told(capsys)["clock"]

    assert found["status"] == "skipped"
    assert "s3cret" not in found["found"]


@pytest.mark.parametrize(
    ("answer", "said", "advice"),
    [
        (Canned(401), "with 401", "credentials in the URL"),
        (Canned(404, b"404 page not found"), "is no answer of Prometheus", "base URL"),
        (Canned(200, b"<html>Grafana</html>"), "is no answer of Prometheus", "base URL"),
        (Canned(200, b'{"status": "Server available"}'), "is no answer of Prometheus", "base URL"),
        (Canned(200, b'["success"]'), "is no answer of Prometheus", "base URL"),
        (
            Canned(200, b'{"status": "success", "data": {}}'),
            "is no answer of Prometheus",
            "base URL",
        ),
        (
            Canned(503, b'{"status": "error", "error": "starting up"}'),
            "with 503: starting up",
            "logs",
        ),
    ],
)
def test_what_is_no_prometheus_is_explained(
    answer: Canned, said: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever answers there, what to do is told, without credentials and without waiting."""
    with always(answer) as url:
        code = doctor("--prometheus", url.replace("http://", "http://ann:s3cret@"))
    found = told(capsys)

    assert code == 1
    (server,) = found["prometheus"]
    assert said in server["found"]
    assert advice in server["advice"]
    assert "s3cret" not in json.dumps(found)
    assert not {"series", "arrival"} & set(found)


def test_an_answer_that_never_ends_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """What trickles in keeps within the timeout of each read, but not within that of the check."""
    gone = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not gone.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert doctor("--prometheus", url, "--timeout", "0.1") == 1
        gone.set()
        thread.join()

    (server,) = told(capsys)["prometheus"]
    assert "no answer in time" in server["found"]


def test_a_server_without_a_rules_api_fails_in_that_check_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What answers queries like a Prometheus need not have all of its API."""
    server = healthy()

    def respond(path: str, params: Any) -> Canned:
        queries = path.endswith(("/query", "/values"))
        return server(path, params) if queries else Canned(404, b"{}")

    with serving(respond) as url:
        assert doctor("--prometheus", url) == 1
    found = told(capsys)

    assert found["prometheus"][0]["found"].endswith("version unknown")
    assert [check for check, each in found.items() if each[0]["status"] == "failed"] == ["rules"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--otlp", "localhost:4318"], "--otlp must be a URL with http or https and a host"),
        (["--otlp", "http://u:s3cret@h:4318/v1/traces"], "must be the collector's base URL"),
        (["--prometheus", "http://"], "--prometheus must be a URL"),
        (["--api", "http://u:s3cret@[::1"], "--api must be a URL"),
        (["--api", "http://h:99999"], "--api must be a URL"),
        (["--wait", "-1"], "'-1' is not a number of seconds"),
        (["--timeout", "nan"], "'nan' is not a number of seconds"),
        (["--session", "x"], "must be MODULE:ATTRIBUTE"),
        (["--job", "orders"], "--prometheus must say where"),
    ],
)
def test_wrong_options_are_wrong_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """D16: an option that makes no sense is named, with what is allowed, and ends with 2."""
    assert doctor(*arguments) == 2
    error = capsys.readouterr().err

    assert said in error
    assert "s3cret" not in error


def test_the_policy_file_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """D17: `--file` is the file of `config`."""
    assert doctor("--file", os.devnull + "/x") == 1
    assert told(capsys)["policy"][0]["status"] == "failed"
