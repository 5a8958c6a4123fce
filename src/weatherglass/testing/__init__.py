"""A server that misbehaves on demand, clocks that do not wait, and a telemetry receiver.

For tests of programs that use weatherglass, and for its own. Names are fetched when they are
first used, so that importing this package costs nothing; pytest is needed by
:mod:`weatherglass.testing.plugin` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weatherglass.testing import faults
    from weatherglass.testing.bodies import KNOWN_ERRORS
    from weatherglass.testing.clocks import ScaledClock, VirtualClock
    from weatherglass.testing.faults import Action, BodyForm, Fault, Spelling
    from weatherglass.testing.ledger import Entry, Ledger
    from weatherglass.testing.oauth import CLIENT_ID, CLIENT_SECRET
    from weatherglass.testing.otlp import MetricTotal, OtlpReceiver
    from weatherglass.testing.plan import (
        TOKEN_PATH,
        FaultPlan,
        FaultRule,
        IdempotencyMode,
        Limiting,
        Maintenance,
        RateLimit,
        Telling,
        rules_of,
    )
    from weatherglass.testing.retry_after import retry_after_example
    from weatherglass.testing.server import FakeServer
    from weatherglass.testing.telemetry_records import LogRecord, MetricPoint, Span

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "KNOWN_ERRORS",
    "TOKEN_PATH",
    "Action",
    "BodyForm",
    "Entry",
    "FakeServer",
    "Fault",
    "FaultPlan",
    "FaultRule",
    "IdempotencyMode",
    "Ledger",
    "Limiting",
    "LogRecord",
    "Maintenance",
    "MetricPoint",
    "MetricTotal",
    "OtlpReceiver",
    "RateLimit",
    "ScaledClock",
    "Span",
    "Spelling",
    "Telling",
    "VirtualClock",
    "faults",
    "retry_after_example",
    "rules_of",
]

_HOMES = {
    "bodies": ("KNOWN_ERRORS",),
    "clocks": ("ScaledClock", "VirtualClock"),
    "faults": ("Action", "BodyForm", "Fault", "Spelling"),
    "ledger": ("Entry", "Ledger"),
    "oauth": ("CLIENT_ID", "CLIENT_SECRET"),
    "otlp": ("MetricTotal", "OtlpReceiver"),
    "plan": (
        "TOKEN_PATH",
        "FaultPlan",
        "FaultRule",
        "IdempotencyMode",
        "Limiting",
        "Maintenance",
        "RateLimit",
        "Telling",
        "rules_of",
    ),
    "retry_after": ("retry_after_example",),
    "server": ("FakeServer",),
    "telemetry_records": ("LogRecord", "MetricPoint", "Span"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module(f"{__name__}.faults")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
