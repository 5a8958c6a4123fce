"""Setting up an SDK for applications that have none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from telemetry_harness import PATIENCE, run, started

from weatherglass.errors import InvalidPolicy
from weatherglass.telemetry import configure
from weatherglass.testing.otlp import OtlpReceiver

SCRIPT = """
    import json, logging, os, sys
    from opentelemetry import metrics, trace
    from weatherglass.report import Attempt, CallReport
    from weatherglass.telemetry import Recorder, configure
    from weatherglass.vocabulary import Outcome

    ATTEMPT = Attempt(
        number=1, method="GET", url="https://h/a", started_at=0.0, duration=0.1, status=200
    )
    REPORT = CallReport("GET", "https://h/a", "default", Outcome.SUCCESS, (ATTEMPT,), 0.2)

    def call():
        recorder = Recorder()
        scope = recorder.enter_call("h", 443, "default")
        tried = recorder.start_attempt(scope, "GET", "https://h/a", "h", 443, headers={})
        recorder.end_attempt(tried, ATTEMPT, "1.1")
        recorder.end_call(scope, REPORT)
"""

BOTH = ["CONFIGURED", "CONFIGURED"]
TELL = "print(json.dumps([told.traces.name, told.metrics.name]))"


@pytest.fixture
def otlp() -> Iterator[OtlpReceiver]:
    """Something to export to."""
    with OtlpReceiver() as receiver:
        yield receiver


def configured(body: str, **environment: str) -> Any:
    """Run a script around ``configure``."""
    return run(whole(body), environment)


def whole(body: str) -> str:
    """A script with what all of them begin with."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{SCRIPT}\n{lines}\n"


def test_spans_and_metrics_arrive(otlp: OtlpReceiver) -> None:
    """O4: one line sets up both signals, and what was recorded is flushed at exit."""
    told = configured(f"told = configure('shop', endpoint={otlp.url!r})\ncall()\n{TELL}")

    assert told == BOTH
    assert {span.name for span in otlp.spans()} == {"weatherglass.call", "GET"}
    resource = otlp.spans()[0].resource
    assert resource["service.name"] == "shop"
    assert resource["service.instance.id"]
    assert otlp.spans()[0].scope.name == "weatherglass"
    point = otlp.metric("http.client.request.duration")
    assert (point.series, point.count) == (1, 1)
    assert point.bounds[0] == 0.005


def test_arguments_reach_resource_and_headers(otlp: OtlpReceiver) -> None:
    """O4: resource attributes are taken, and spans and metrics share one resource."""
    configured(
        f"configure('shop', endpoint={otlp.url!r}, headers={{'X-Key': 'k'}},"
        " resource_attributes={'service.version': '1', 'service.instance.id': 'i'})\ncall()"
    )

    resources = [each.resource for each in otlp.spans()] + [each.resource for each in otlp.points()]
    (resource,) = {tuple(sorted(each.items())) for each in resources}
    assert dict(resource)["service.version"] == "1"
    assert dict(resource)["service.instance.id"] == "i"


def test_standard_variables_are_obeyed(otlp: OtlpReceiver) -> None:
    """O4: without arguments everything comes from the standard variables."""
    told = configured(
        f"told = configure()\ncall()\n{TELL}",
        OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url,
        OTEL_SERVICE_NAME="named",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )

    assert told == BOTH
    assert otlp.spans()[0].resource["service.name"] == "named"
    assert otlp.spans()[0].resource["deployment.environment.name"] == "test"


def test_metrics_are_exported_at_the_interval(otlp: OtlpReceiver) -> None:
    """O4: metrics come at the given interval, long before the process ends."""
    script = (
        f"configure(endpoint={otlp.url!r}, metric_export_interval=0.05, traces=False)\n"
        "call()\n"
        "sys.stdin.read()\n"
        "os._exit(0)"
    )
    with started(whole(script)) as process:
        otlp.wait_for(lambda received: received.exports.get("/v1/metrics", 0) >= 2, PATIENCE)
        process.communicate("", timeout=PATIENCE)

    assert otlp.metric("weatherglass.call.duration").count == 1
    assert otlp.spans() == ()


def test_exporters_can_be_chosen(otlp: OtlpReceiver) -> None:
    """O4: ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` decide, ``none`` included."""
    told = configured(
        f"told = configure(endpoint={otlp.url!r})\ncall()\n{TELL}",
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="otlp",
    )

    assert told == ["DISABLED", "CONFIGURED"]
    assert otlp.spans() == ()
    assert otlp.points()


def test_console_exporter_is_loaded_by_its_name() -> None:
    """O4: other exporters are found by their registered names."""
    told = configured(f"told = configure(metrics=False)\n{TELL}", OTEL_TRACES_EXPORTER="console")

    assert told == ["CONFIGURED", "DISABLED"]


def test_disabled_sdk_stays_disabled(otlp: OtlpReceiver) -> None:
    """O4: ``OTEL_SDK_DISABLED`` wins over the call."""
    told = configured(
        f"told = configure(endpoint={otlp.url!r})\ncall()\n{TELL}", OTEL_SDK_DISABLED="TRUE"
    )

    assert told == ["DISABLED", "DISABLED"]
    assert otlp.exports == {}


def test_present_provider_is_kept(otlp: OtlpReceiver) -> None:
    """O4: a provider that the application has set is never replaced, and that is said."""
    told = configured(
        "logging.basicConfig(level='INFO', stream=sys.stdout)\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "mine = TracerProvider()\n"
        "trace.set_tracer_provider(mine)\n"
        f"told = configure(endpoint={otlp.url!r})\n"
        "print(json.dumps([told.traces.name, told.metrics.name,"
        " trace.get_tracer_provider() is mine, told.force_flush()]))"
    )

    assert told == ["KEPT", "CONFIGURED", True, True]


def test_second_configure_changes_nothing(otlp: OtlpReceiver) -> None:
    """O4: configuring twice keeps what the first call has set up, and its handle's shutdown."""
    told = configured(
        f"first = configure('shop', endpoint={otlp.url!r})\n"
        "told = configure('other', endpoint='http://127.0.0.1:9')\n"
        f"told.shutdown()\ncall()\nprint(first.force_flush())\n{TELL}"
    )

    assert told == ["KEPT", "KEPT"]
    assert {span.resource["service.name"] for span in otlp.spans()} == {"shop"}


def test_forked_child_exports_too(otlp: OtlpReceiver) -> None:
    """D13, O4: after a fork both processes export, each under its own instance."""
    configured(
        f"told = configure('shop', endpoint={otlp.url!r})\n"
        "call()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    call()\n"
        "    os._exit(0 if told.force_flush() else 1)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "call()"
    )

    instances = [span.resource["service.instance.id"] for span in otlp.spans("weatherglass.call")]
    assert len(set(instances)) == 2
    assert len(instances) == 3
    assert len(otlp.latest("weatherglass.call.duration")) == 2


def test_collector_that_is_down_changes_nothing(otlp: OtlpReceiver) -> None:
    """O8: with nobody to export to, calls, flush and exit go on, and the flush says no."""
    otlp.fail(400)
    told = configured(
        f"told = configure(endpoint={otlp.url!r})\n"
        "logging.disable(logging.CRITICAL)\n"
        "call()\n"
        "told.shutdown()\n"
        f"{TELL}"
    )

    assert told == BOTH


def test_grpc_is_a_choice() -> None:
    """O4: with gRPC the exporters of that protocol are set up."""
    told = configured(
        "from weatherglass.telemetry.configure import Wishes, otlp_exporter\n"
        "wishes = Wishes('http://127.0.0.1:4317', 'grpc', {'X-Key': 'k'}, None)\n"
        "made = [otlp_exporter(signal, wishes) for signal in ('TRACES', 'METRICS')]\n"
        "print(json.dumps([type(each).__module__ for each in made]))"
    )

    assert told == [
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    ]


def test_signal_s_own_protocol_wins() -> None:
    """O4: the variable of one signal's protocol wins over that of all."""
    told = configured(
        "from weatherglass.telemetry.configure import Wishes, otlp_exporter\n"
        "wishes = Wishes(None, None, None, None)\n"
        "made = [otlp_exporter(signal, wishes) for signal in ('TRACES', 'METRICS')]\n"
        "print(json.dumps([type(each).__module__.split('.')[4] for each in made]))",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
    )

    assert told == ["http", "grpc"]


def test_missing_exporter_names_its_package() -> None:
    """O4: a missing package is named, with what to install."""
    told = configured(
        "sys.modules['opentelemetry.exporter.otlp.proto.grpc.metric_exporter'] = None\n"
        "try:\n"
        "    configure(protocol='grpc')\n"
        "except ImportError as error:\n"
        "    print(json.dumps(str(error)))"
    )

    assert told.startswith("configure() needs opentelemetry.exporter.otlp.proto.grpc")
    assert told.endswith("install opentelemetry-exporter-otlp-proto-grpc")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocol": "carrier/pigeon"}, "protocol is 'carrier/pigeon'.*grpc, http/protobuf"),
        ({"endpoint": "localhost:4318"}, "endpoint is 'localhost:4318'.*http or https"),
        ({"metric_export_interval": 0}, "metric_export_interval is 0.*above 0"),
    ],
)
def test_nonsense_is_named(wrong: dict[str, Any], message: str) -> None:
    """D16: a setting that makes no sense is named, with what is allowed, and sets up nothing."""
    with pytest.raises(InvalidPolicy, match=message):
        configure(**wrong)


def test_unknown_exporter_is_named() -> None:
    """D16: an exporter that nobody registered is named, with those that there are."""
    told = configured(
        "try:\n    configure()\nexcept ValueError as error:\n    print(json.dumps(str(error)))",
        OTEL_TRACES_EXPORTER="otlp,nonsense",
        OTEL_METRICS_EXPORTER="none",
    )

    assert told.startswith("OTEL_TRACES_EXPORTER has 'nonsense', but must be one of console, none")
