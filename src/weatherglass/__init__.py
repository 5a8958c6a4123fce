"""A ``requests.Session`` that gets an application through bad API weather, and shows it.

``session = weatherglass.Session()`` is all it takes; the rest is in the documentation.
"""

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
    LoadedPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    Rule,
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
    "LoadedPolicy",
    "MaintenanceInProgress",
    "MaintenancePolicy",
    "MaintenanceWindow",
    "NetworkFailed",
    "Policy",
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
