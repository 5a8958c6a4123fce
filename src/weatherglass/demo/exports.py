"""Where the telemetry of the demo goes: to a receiver in this process, or to a real collector.

Providers are set for the whole process, once: this is for a process that does nothing else.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from weatherglass.demo.contest import Settings
from weatherglass.demo.watch import Watch
from weatherglass.runtime import Runtime
from weatherglass.telemetry import Recorder, Setup, Telemetry, configure
from weatherglass.testing import OtlpReceiver

SERVICE = "weatherglass-demo"
"""The ``service.name`` of what is exported."""

_INTERVAL = 0.25
"""Real seconds between two exports to the receiver in here."""
_COLLECTOR_INTERVAL = 1.0
"""Real seconds between two exports of metrics to a collector."""
_CONNECT_TIMEOUT = 5.0


class CannotExport(Exception):
    """Nothing could be exported: telemetry is switched off or set up already, or nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """What is exported, and how to see it."""

    flush: Callable[[], object]
    """Send everything that is held back."""
    close: Callable[[], object]
    """Send it, and export nothing any more."""
    receiver: OtlpReceiver | None = None
    collector: str | None = None
    """The URL of the collector, if there is one in place of a receiver."""
    make_recorder: Callable[[Runtime], Recorder] | None = None
    """For sessions that are not to use the global providers."""

    def watch(self, settings: Settings) -> Watch | None:
        """A look at what arrives; ``None`` if it arrives elsewhere."""
        if self.receiver is None:
            return None
        planned = {phase.name: len(phase.calls) for phase in settings.phases}
        return Watch(self.receiver, self.flush, planned)


@contextmanager
def embedded() -> Iterator[Exports]:
    """Export to a receiver in this process.

    Raises:
        CannotExport: when providers are set already.
    """
    # The receiver is the demo's own affair: no setting meant for a collector applies to it.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = str(int(_INTERVAL * 1000))
    with OtlpReceiver() as receiver:
        telemetry = _configured(receiver.url, _INTERVAL)
        try:
            yield Exports(flush=telemetry.force_flush, close=telemetry.shutdown, receiver=receiver)
        finally:
            telemetry.shutdown()


@contextmanager
def to_collector(url: str) -> Iterator[Exports]:
    """Export to a collector; the standard ``OTEL_*`` variables hold.

    Raises:
        InvalidPolicy: when the URL is none.
        CannotExport: when nobody listens there, the environment switches telemetry off, or
            providers are set already.
    """
    if url.startswith(("http://", "https://")):
        # Exporters would try for a long time to reach a collector that is not there.
        _require_listener(url)
    telemetry = _configured(url, _COLLECTOR_INTERVAL)
    try:
        yield Exports(flush=telemetry.force_flush, close=telemetry.shutdown, collector=url)
    finally:
        telemetry.shutdown()


def _configured(endpoint: str, interval: float) -> Telemetry:
    telemetry = configure(SERVICE, endpoint=endpoint, metric_export_interval=interval)
    for signal, setup in (("traces", telemetry.traces), ("metrics", telemetry.metrics)):
        if setup is not Setup.CONFIGURED:
            telemetry.shutdown()
            why = (
                "a provider is set already"
                if setup is Setup.KEPT
                else "OTEL_* variables of the environment switch them off"
            )
            raise CannotExport(f"the demo cannot export {signal}: {why}")
    return telemetry


def _require_listener(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), _CONNECT_TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise CannotExport(f"no collector listens at {url}: {error}") from error
