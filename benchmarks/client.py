"""The calls that are measured: one kind of client, so many calls, against a running server.

Run by ``instructions.py`` under callgrind; what is printed at the end is for its checks.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

import requests
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import weatherglass
from weatherglass.origins import origin_of

WARM_UP = 20


def plain(url: str) -> Callable[[], object]:
    """What everybody has: a plain session."""
    session = requests.Session()
    return lambda: session.get(url).content


def without_sdk(url: str) -> Callable[[], object]:
    """Weatherglass in an application that has no OpenTelemetry SDK."""
    session = weatherglass.Session()
    return lambda: session.get(url).content


def with_sdk(url: str) -> Callable[[], object]:
    """Weatherglass with spans and metrics recorded by the SDK, and exported to nowhere."""
    _set_up_sdk()
    session = weatherglass.Session()
    return lambda: session.get(url).content


def refused(url: str) -> Callable[[], object]:
    """Calls that an open breaker refuses, with the SDK on."""
    _set_up_sdk()
    return _refused(url)


def refused_without_sdk(url: str) -> Callable[[], object]:
    """Calls that an open breaker refuses, in an application without an SDK."""
    return _refused(url)


def _refused(url: str) -> Callable[[], object]:
    session = weatherglass.Session()
    session.adapter.live.breakers.force_open(origin_of(url).name)

    def call() -> object:
        try:
            session.get(url)
        except weatherglass.CircuitOpen as error:
            return error
        raise AssertionError("the breaker let a call through")

    return call


def _set_up_sdk() -> None:
    provider = TracerProvider()
    # A processor of the base class does nothing: exporting is not what is measured.
    provider.add_span_processor(SpanProcessor())
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


CLIENTS = {
    client.__name__: client
    for client in (plain, without_sdk, with_sdk, refused, refused_without_sdk)
}


def main() -> None:
    """``client.py KIND URL CALLS``."""
    kind, url, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    call = CLIENTS[kind](url)
    for _ in range(WARM_UP):
        call()
    # A full collection of what the imports left behind would fall into one run and not into
    # another; what the calls themselves leave behind is still collected, and counted.
    gc.collect()
    gc.freeze()
    for _ in range(calls):
        call()
    print(f"{kind}: {calls} calls done")


if __name__ == "__main__":
    main()
