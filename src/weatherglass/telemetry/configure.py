"""Setting up the OpenTelemetry SDK and its OTLP exporters, for applications that have none.

The only module that touches the SDK, and only when :func:`configure` is called. What the SDK and
its exporters read from ``OTEL_*`` variables by themselves (endpoints, headers, certificates,
samplers, batch sizes, resource attributes, intervals) is left to them.
"""

from __future__ import annotations

import importlib
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api

from weatherglass.errors import InvalidPolicy
from weatherglass.telemetry.coexistence import global_providers, load_configured_providers
from weatherglass.telemetry.events import logger

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

INSTANCE: Final = "service.instance.id"
SERVICE: Final = "service.name"
_DEFAULT_PROTOCOL: Final = "http/protobuf"
_SIGNAL_PATHS: Final = ("/v1/traces", "/v1/metrics", "/v1/logs")
_PACKAGES: Final = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}


class Setup(Enum):
    """What :func:`configure` did for one signal."""

    CONFIGURED = "configured"
    KEPT = "kept"
    """A provider was set already, and stays."""
    DISABLED = "disabled"
    """By an argument, by ``OTEL_SDK_DISABLED``, or with ``none`` as the exporter."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What :func:`configure` set up. Nothing needs to be done with it: it is flushed at exit."""

    traces: Setup
    metrics: Setup
    _tracer_provider: TracerProvider | None = field(default=None, repr=False)
    _meter_provider: MeterProvider | None = field(default=None, repr=False)

    def force_flush(self, timeout: float = 10.0) -> bool:
        """Export what is waiting; for processes that end without running exit handlers.

        Args:
            timeout: seconds for each signal.

        Returns:
            Whether all of it was handed over in time.
        """
        flushed = [_flush(each, timeout) for each in (self._tracer_provider, self._meter_provider)]
        return all(flushed)

    def shutdown(self) -> None:
        """Export what is waiting and stop exporting, for good."""
        for provider in (self._tracer_provider, self._meter_provider):
            _shut_down(provider)


def _flush(provider: TracerProvider | MeterProvider | None, timeout: float) -> bool:
    try:
        return provider is None or provider.force_flush(int(timeout * 1000))
    except Exception:  # noqa: BLE001 - an exporter that is down changes nothing (O8)
        return False


def _shut_down(provider: TracerProvider | MeterProvider | None) -> None:
    try:
        if provider is not None:
            provider.shutdown()
    except Exception:  # noqa: BLE001 - likewise
        logger.debug("telemetry did not shut down cleanly", exc_info=True)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for in code; the environment decides on what is ``None``."""

    endpoint: str | None
    protocol: str | None
    headers: Mapping[str, str] | None
    interval: float | None


def configure(
    service_name: str | None = None,
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    resource_attributes: Mapping[str, str | bool | int | float] | None = None,
    metric_export_interval: float | None = None,
    traces: bool = True,
    metrics: bool = True,
) -> Telemetry:
    """Set up OpenTelemetry's SDK with OTLP exporters, where the application has not done so.

    A provider that is set already is never replaced. Arguments win over the standard ``OTEL_*``
    variables, which decide all that is not given; ``OTEL_SDK_DISABLED`` and an exporter of
    ``none`` win over everything. Telemetry is exported in the background, and flushed at exit.
    A forked child goes on exporting by itself, over HTTP (gRPC does not survive a fork).

    Args:
        service_name: the ``service.name``.
        endpoint: the collector's base URL, such as ``http://localhost:4318``; with HTTP the
            signals' paths are appended.
        protocol: ``http/protobuf``, which is the default, or ``grpc``.
        headers: sent with each export.
        resource_attributes: further attributes of the resource.
        metric_export_interval: seconds between two exports of metrics.
        traces: whether to set up traces.
        metrics: whether to set up metrics.

    Raises:
        InvalidPolicy: for a protocol, interval or exporter that does not exist.
        ImportError: when the SDK or the exporter for the protocol is not installed; the message
            names the package.
    """
    wishes = Wishes(endpoint, protocol, headers, metric_export_interval)
    check(wishes)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Telemetry(Setup.DISABLED, Setup.DISABLED)
    load_configured_providers()
    present = global_providers()
    tracing = _intent("TRACES", wanted=traces, present=present[0])
    measuring = _intent("METRICS", wanted=metrics, present=present[1])
    resource = None
    if Setup.CONFIGURED in (tracing, measuring):
        resource = _resource(service_name, resource_attributes)
    # Metrics first: the SDK's tracers take the meter provider that they find.
    meter_provider = _set_metrics(resource, wishes) if measuring is Setup.CONFIGURED else None
    tracer_provider = _set_traces(resource, wishes) if tracing is Setup.CONFIGURED else None
    return Telemetry(tracing, measuring, tracer_provider, meter_provider)


def check(wishes: Wishes) -> None:
    """Raise ``InvalidPolicy`` for a wish that makes no sense."""
    if wishes.protocol is not None:
        _package(wishes.protocol, "protocol")
    interval = wishes.interval
    if interval is not None and not 0 < interval < float("inf"):
        raise InvalidPolicy(f"metric_export_interval is {interval!r}, but must be seconds above 0")
    endpoint = wishes.endpoint
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidPolicy(f"endpoint is {endpoint!r}, but must be a URL with http or https")
    if endpoint is not None and endpoint.rstrip("/").endswith(_SIGNAL_PATHS):
        raise InvalidPolicy(
            f"endpoint is {endpoint!r}, but must be the collector's base URL: the path of each"
            " signal is added to it"
        )
    if wishes.headers is not None and not isinstance(wishes.headers, Mapping):
        # The value is not shown: it is there to hold credentials.
        raise InvalidPolicy(
            f"headers is a {type(wishes.headers).__name__}, but must be a mapping of names to"
            " values"
        )


def _intent(signal: str, *, wanted: bool, present: object) -> Setup:
    if not wanted or not _exporters(signal):
        return Setup.DISABLED
    if present is None:
        return Setup.CONFIGURED
    logger.log(
        logging.INFO,
        "configure() leaves %s alone: a provider is set already (%s)",
        signal.lower(),
        type(present).__name__,
    )
    return Setup.KEPT


def _exporters(signal: str) -> list[str]:
    """The names of the signal's exporters, by the standard variable."""
    listed = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip() or "otlp"
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return [] if "none" in [name.lower() for name in names] else names


def _resource(service_name: str | None, given: Mapping[str, Any] | None) -> Resource:
    resources = sdk_module("opentelemetry.sdk.resources")
    attributes = dict(given or {})
    if service_name is not None:
        attributes[SERVICE] = service_name
    resource = resources.Resource.create(attributes)
    if not resource.attributes.get(INSTANCE):
        # Newer SDKs make one by themselves, and a new one in a forked child.
        resource = resource.merge(resources.Resource({INSTANCE: str(uuid.uuid4())}))
    return cast("Resource", resource)


def _set_traces(resource: Resource | None, wishes: Wishes) -> TracerProvider:
    sdk = sdk_module("opentelemetry.sdk.trace")
    export = sdk_module("opentelemetry.sdk.trace.export")
    provider = sdk.TracerProvider(resource=resource)
    for name in _exporters("TRACES"):
        exporter = _exporter(name, "TRACES", wishes)
        provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace_api.set_tracer_provider(provider)
    return cast("TracerProvider", provider)


def _set_metrics(resource: Resource | None, wishes: Wishes) -> MeterProvider:
    sdk = sdk_module("opentelemetry.sdk.metrics")
    readers = [
        _reader(_exporter(name, "METRICS", wishes), wishes) for name in _exporters("METRICS")
    ]
    provider = sdk.MeterProvider(metric_readers=readers, resource=resource)
    metrics_api.set_meter_provider(provider)
    return cast("MeterProvider", provider)


def _reader(exporter: Any, wishes: Wishes) -> MetricReader:
    export = sdk_module("opentelemetry.sdk.metrics.export")
    if isinstance(exporter, export.MetricReader):  # one that is scraped, such as Prometheus'
        return cast("MetricReader", exporter)
    interval = None if wishes.interval is None else wishes.interval * 1000
    reader = export.PeriodicExportingMetricReader(exporter, export_interval_millis=interval)
    return cast("MetricReader", reader)


def _exporter(name: str, signal: str, wishes: Wishes) -> Any:
    if name == "otlp":
        return otlp_exporter(signal, wishes)
    group = f"opentelemetry_{signal.lower()}_exporter"
    for entry_point in entry_points(group=group, name=name):
        return entry_point.load()()
    known = ", ".join(sorted({"otlp", "none", *(each.name for each in entry_points(group=group))}))
    raise InvalidPolicy(f"OTEL_{signal}_EXPORTER has {name!r}, but must be one of {known}")


def otlp_protocol(signal: str, wishes: Wishes) -> str:
    """The OTLP protocol that a signal is exported with."""
    variables = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    configured = next((os.environ[each] for each in variables if os.environ.get(each)), None)
    return wishes.protocol or (configured or _DEFAULT_PROTOCOL).strip()


def otlp_exporter(signal: str, wishes: Wishes, **options: Any) -> Any:
    """The SDK's OTLP exporter of a signal, ``TRACES`` or ``METRICS``.

    Args:
        signal: which.
        wishes: what is asked for.
        options: further arguments of the exporter.
    """
    protocol = otlp_protocol(signal, wishes)
    package = _package(protocol, "OTEL_EXPORTER_OTLP_PROTOCOL")
    module, cls = {
        "TRACES": ("trace_exporter", "OTLPSpanExporter"),
        "METRICS": ("metric_exporter", "OTLPMetricExporter"),
    }[signal]
    if wishes.headers is not None:
        options["headers"] = {name.lower(): value for name, value in wishes.headers.items()}
    if wishes.endpoint is not None:
        options["endpoint"] = wishes.endpoint
        if protocol == "grpc":
            options["insecure"] = wishes.endpoint.startswith("http://")
        else:
            options["endpoint"] = f"{wishes.endpoint.rstrip('/')}/v1/{signal.lower()}"
    return getattr(sdk_module(f"{package}.{module}"), cls)(**options)


def _package(protocol: str, named: str) -> str:
    try:
        return _PACKAGES[protocol]
    except KeyError:
        allowed = ", ".join(_PACKAGES)
        raise InvalidPolicy(f"{named} is {protocol!r}, but must be one of {allowed}") from None


def sdk_module(module: str) -> Any:
    """A module of the SDK or of an exporter, imported when it is first needed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = "opentelemetry-sdk"
        if module.startswith("opentelemetry.exporter"):
            package = "-".join(module.split(".")[:5])
        raise ImportError(
            f"configure() needs {module}, which cannot be imported ({error}): install {package}"
        ) from error
