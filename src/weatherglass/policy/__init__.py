"""Immutable, validated policies: the model, its parts, and where they are loaded from."""

from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.limit_headers import LimitHeaders
from weatherglass.policy.loaded import LoadedPolicy
from weatherglass.policy.loading import load_policy
from weatherglass.policy.model import (
    GROUPS,
    BreakerPolicy,
    BudgetPolicy,
    IdempotencyPolicy,
    MaintenancePolicy,
    PacingPolicy,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    TimeoutPolicy,
    TokenPolicy,
)
from weatherglass.policy.profile import Profile
from weatherglass.policy.rule import Rule
from weatherglass.policy.window import MaintenanceWindow

__all__ = [
    "GROUPS",
    "BreakerPolicy",
    "BudgetPolicy",
    "IdempotencyPolicy",
    "LimitHeaders",
    "LoadedPolicy",
    "MaintenancePolicy",
    "MaintenanceWindow",
    "PacingPolicy",
    "Policy",
    "Profile",
    "RetryAfterPolicy",
    "RetryPolicy",
    "Rule",
    "StatusFeed",
    "TimeoutPolicy",
    "TokenPolicy",
    "load_policy",
]
