"""Telemetry: what weatherglass tells of itself through OpenTelemetry and ``logging``.

:mod:`~weatherglass.telemetry.registry` holds every name, :class:`Recorder` tells what happens,
and :func:`configure` sets up an SDK for applications that have none. Nothing here decides
anything about a call.
"""

from weatherglass.telemetry.configure import Setup, Telemetry, configure
from weatherglass.telemetry.observables import Source
from weatherglass.telemetry.recorder import Recorder
from weatherglass.telemetry.redact import redact_url
from weatherglass.telemetry.scopes import AttemptScope, CallScope, RefreshScope
from weatherglass.telemetry.waits import Waiting

__all__ = [
    "AttemptScope",
    "CallScope",
    "Recorder",
    "RefreshScope",
    "Setup",
    "Source",
    "Telemetry",
    "Waiting",
    "configure",
    "redact_url",
]
