"""Many stages, one after the other, of which one recorder's providers tell: a long story.

Each stage has a server of its own, so that no breaker, gate or window reaches from one into the
next. What is told is compared with all of them together; that is done in ``retelling``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from narrative import CallStory
from stage import NO_FAULTS, Exported, Stage, check_all, kept_logs

from weatherglass.runtime import Wakeable
from weatherglass.testing import FaultPlan, VirtualClock


class WatchedClock(VirtualClock):
    """A virtual clock that says when somebody begins to wait, and lets something happen then."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.meanwhile: Callable[[], object] = self.asked.set

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.asked.set()
        self.meanwhile()
        return super().wait(wake, seconds)


class Theatre:
    """A context manager; its stages end with it, so that no two have had the same port."""

    def __init__(self, exported: Exported | None = None) -> None:
        self.exported = Exported() if exported is None else exported
        self.clock = WatchedClock()
        self.stages: list[Stage] = []
        self._ends = ExitStack()

    def __enter__(self) -> Theatre:  # noqa: PYI034 - Self needs Python 3.11
        self._ends.callback(self.exported.shutdown)
        self._ends.enter_context(self.exported.hearing())
        self.logs = self._ends.enter_context(kept_logs())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.__exit__(kind, error, traceback)

    def stage(self, plan: FaultPlan = NO_FAULTS, **server: Any) -> Stage:
        """The next stage, with a new server."""
        stage = Stage(plan, clock=self.clock, exported=self.exported, **server)
        self.stages.append(self._ends.enter_context(stage))
        return stage

    def check(self) -> list[CallStory]:
        """Compare all that was told with all reports and ledgers, exemplars included."""
        return check_all(self.stages, self.exported, self.logs, exemplars=True)
