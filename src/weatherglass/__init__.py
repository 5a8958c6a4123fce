"""A ``requests.Session`` that gets an application through bad API weather, and shows it.

``session = weatherglass.Session()`` is all it takes; the rest is in the documentation. What is
known of one vendor, :mod:`weatherglass.genesys`, is imported when it is first asked for.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from weatherglass import telemetry
from weatherglass.adapter import Adapter
from weatherglass.call import report
from weatherglass.callbacks import Callbacks
from weatherglass.decide.breaker import Transition
from weatherglass.errors import (
    AttemptTimedOut,
    CallFailed,
    CircuitOpen,
    DeadlineExceeded,
    InvalidPolicy,
    MaintenanceInProgress,
    NetworkFailed,
    RateLimited,
    ReauthenticationRequired,
    SessionClosed,
    StatusFailed,
    TokenRefreshFailed,
)
from weatherglass.layers import SecondRetryLayerWarning
from weatherglass.options import CallOptions, options
from weatherglass.policy import (
    BreakerPolicy,
    BudgetPolicy,
    IdempotencyPolicy,
    LimitHeaders,
    LoadedPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    PacingPolicy,
    Policy,
    Profile,
    RetryAfterPolicy,
    RetryPolicy,
    Rule,
    StatusFeed,
    TimeoutPolicy,
    TokenPolicy,
    load_policy,
)
from weatherglass.report import Attempt, CallReport, Failure, RetryAfter, Wait
from weatherglass.session import Session
from weatherglass.telemetry.backend import VERSION
from weatherglass.tokens import (
    CallableTokens,
    ClientCredentials,
    IssuedToken,
    RefreshReport,
    RefreshToken,
)

__version__ = VERSION

__all__ = [
    "Adapter",
    "Attempt",
    "AttemptTimedOut",
    "BreakerPolicy",
    "BudgetPolicy",
    "CallFailed",
    "CallOptions",
    "CallReport",
    "CallableTokens",
    "Callbacks",
    "CircuitOpen",
    "ClientCredentials",
    "DeadlineExceeded",
    "Failure",
    "IdempotencyPolicy",
    "InvalidPolicy",
    "IssuedToken",
    "LimitHeaders",
    "LoadedPolicy",
    "MaintenanceInProgress",
    "MaintenancePolicy",
    "MaintenanceWindow",
    "NetworkFailed",
    "PacingPolicy",
    "Policy",
    "Profile",
    "RateLimited",
    "ReauthenticationRequired",
    "RefreshReport",
    "RefreshToken",
    "RetryAfter",
    "RetryAfterPolicy",
    "RetryPolicy",
    "Rule",
    "SecondRetryLayerWarning",
    "Session",
    "SessionClosed",
    "StatusFailed",
    "StatusFeed",
    "TimeoutPolicy",
    "TokenPolicy",
    "TokenRefreshFailed",
    "Transition",
    "Wait",
    "__version__",
    "load_policy",
    "options",
    "report",
    "telemetry",
]


def __getattr__(name: str) -> _Any:
    """A vendor's package, which whoever does not use it need not pay for (PEP 562)."""
    if name == "genesys":
        return _import_module("weatherglass.genesys")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
