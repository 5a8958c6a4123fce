"""The standard ``OTEL_`` variables that keep telemetry from where dashboards look for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weatherglass.cli.doctor.findings import Finding, ok, warning

_CHECK = "OTEL_ variables"
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_SAMPLER = "OTEL_TRACES_SAMPLER"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_LONGEST_INTERVAL = 120_000.0
_CERTIFICATES = (
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
)
_HEADERS = (
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
)
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class _Trouble:
    variable: str
    does: str
    advice: str


def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Whether the variables let telemetry through; their values are not told."""
    given = {name: value.strip().lower() for name, value in environ.items() if value.strip()}
    found = [
        *_switched_off(given),
        *_of_metrics(given),
        *_of_certificates(given),
        *_of_headers(given),
    ]
    if found:
        return [warning(_CHECK, f"{each.variable} {each.does}", each.advice) for each in found]
    names = sorted(name for name in environ if name.startswith("OTEL_"))
    return [ok(_CHECK, f"set: {', '.join(names)}" if names else "none is set")]


def _switched_off(given: Mapping[str, str]) -> Iterator[_Trouble]:
    if given.get("OTEL_SDK_DISABLED") == "true":
        yield _Trouble("OTEL_SDK_DISABLED", "is true: nothing at all is exported", "unset it")
    for signal in ("traces", "metrics"):
        name = f"OTEL_{signal.upper()}_EXPORTER"
        if "none" in [each.strip() for each in given.get(name, "").split(",")]:
            yield _Trouble(name, f"is none: no {signal} are exported", "unset it")
    if given.get(_SAMPLER) in ("always_off", "parentbased_always_off"):
        yield _Trouble(_SAMPLER, "lets no trace through", "unset it")


def _of_metrics(given: Mapping[str, str]) -> Iterator[_Trouble]:
    temporality = given.get(_TEMPORALITY)
    if temporality in ("delta", "lowmemory"):
        yield _Trouble(
            _TEMPORALITY,
            f"is {temporality}, but Prometheus wants cumulative metrics",
            "unset it, or convert with the Collector's deltatocumulative processor",
        )
    if _number(given.get(_INTERVAL, "")) > _LONGEST_INTERVAL:
        yield _Trouble(
            _INTERVAL,
            f"is {given[_INTERVAL]} ms: dashboards and alerts look at windows of minutes",
            "60000 is the default; shorter than half a minute is well for alerts",
        )


def _of_certificates(given: Mapping[str, str]) -> Iterator[_Trouble]:
    bundle = next((each for each in _BUNDLES if each in given), None)
    for name in _CERTIFICATES:
        if name in given and bundle is not None:
            yield _Trouble(
                name,
                f"is overruled by {bundle} for OTLP over HTTP: requests prefers it",
                f"add the certificate to that bundle, or unset {bundle}",
            )


def _of_headers(given: Mapping[str, str]) -> Iterator[_Trouble]:
    for name in _HEADERS:
        pairs = [each.strip() for each in given.get(name, "").split(",")]
        if any(pair and "=" not in pair for pair in pairs):
            yield _Trouble(
                name,
                "has a part that is no name=value, which exporters leave out",
                "write name=value,name=value, with values URL-encoded: authorization=Bearer%20...",
            )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
