"""Immutable, validated policies: the model, its parts, and where they are loaded from."""

from weatherglass.policy.loading import LoadedPolicy, load_policy
from weatherglass.policy.model import (
    GROUPS,
    BreakerPolicy,
    BudgetPolicy,
    IdempotencyPolicy,
    MaintenancePolicy,
    Policy,
    RetryAfterPolicy,
    RetryPolicy,
    TimeoutPolicy,
    TokenPolicy,
)
from weatherglass.policy.rule import Rule
from weatherglass.policy.window import MaintenanceWindow

__all__ = [
    "GROUPS",
    "BreakerPolicy",
    "BudgetPolicy",
    "IdempotencyPolicy",
    "LoadedPolicy",
    "MaintenancePolicy",
    "MaintenanceWindow",
    "Policy",
    "RetryAfterPolicy",
    "RetryPolicy",
    "Rule",
    "TimeoutPolicy",
    "TokenPolicy",
    "load_policy",
]
