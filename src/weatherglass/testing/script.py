"""A fault plan at work: counts matches, draws chances, and says which fault strikes."""

from __future__ import annotations

import hashlib
import re
import threading
from fnmatch import translate

from weatherglass.testing.faults import Fault
from weatherglass.testing.limits import Limiter
from weatherglass.testing.plan import STATUS_PAGE_PATHS, TOKEN_PATH, FaultPlan, FaultRule


class Script:
    """One plan and its counts; a new plan gets a new script."""

    def __init__(self, plan: FaultPlan, seed: int) -> None:
        self.plan = plan
        self.limiter = None if plan.rate_limit is None else Limiter(plan.rate_limit)
        self._seed = seed
        self._lock = threading.Lock()
        self._counts = [0] * len(plan.rules)
        self._paths = [_compiled(rule.path) for rule in plan.rules]
        self._closures = [(_compiled(window.path), window) for window in plan.maintenance]
        self._limited = None if plan.rate_limit is None else _compiled(plan.rate_limit.path)

    def strike(self, method: str, path: str, at: float) -> tuple[Fault | None, str | None]:
        """The fault that strikes this request, and its label: a rule's, or a maintenance's."""
        if self._counts:
            rule = self._first_rule(method, path, at)
            if rule is not None:
                return rule.fault, rule.label
        if self._closures and not is_exempt(path):
            for glob, window in self._closures:
                if window.is_down(at) and glob.match(path):
                    return window.fault, f"maintenance {window.name}"
        return None, None

    def _first_rule(self, method: str, path: str, at: float) -> FaultRule | None:
        struck: FaultRule | None = None
        with self._lock:
            # Every rule counts its matches, whether or not an earlier one has struck already:
            # "the third POST" must not depend on other rules.
            for index, rule in enumerate(self.plan.rules):
                if rule.method not in ("*", method) or not self._paths[index].match(path):
                    continue
                self._counts[index] += 1
                if struck is None and self._strikes(index, rule, at):
                    struck = rule
        return struck

    def _strikes(self, index: int, rule: FaultRule, at: float) -> bool:
        count = self._counts[index]
        return (
            (not rule.nth or count in rule.nth)
            and (rule.since is None or at >= rule.since)
            and (rule.until is None or at < rule.until)
            and (rule.probability >= 1 or _chance(self._seed, index, count) < rule.probability)
        )

    def limits(self, path: str) -> bool:
        """Whether the rate limit concerns this path."""
        return self._limited is not None and not is_exempt(path) and bool(self._limited.match(path))


def is_exempt(path: str) -> bool:
    """Whether a path stands outside of maintenance and rate limits."""
    return path == TOKEN_PATH or path in STATUS_PAGE_PATHS


def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _chance(seed: int, index: int, count: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{seed}:{index}:{count}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
