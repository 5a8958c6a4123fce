"""The import: worker threads on one session, each of which leads one row at a time.

What follows upon what for a row stands in :mod:`.way`.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from weatherglass.genesys import Session
from weatherglass.runtime import Runtime

from .journal import Journal
from .queues import Told
from .rows import Row
from .way import Way

_TICK = 0.25
"""Real seconds between two looks at what is going on."""
_MOST_ROUNDS = 12
"""How often a row is put back before it is left to the next run."""


@dataclass(slots=True)
class Tally:
    """What the calls of a run have met, read off their reports."""

    calls: int = 0
    gave_up: Counter[str] = field(default_factory=Counter)
    """Calls that were given up, by the reason in their reports."""
    waited: dict[str, float] = field(default_factory=dict)
    """Seconds that calls have waited, by reason; the sum over all threads."""
    windows: Counter[str] = field(default_factory=Counter)
    """Calls that ran into a maintenance window, by its name."""

    def add(self, told: Told) -> None:
        """Count a call."""
        report = told.report
        self.calls += 1
        for each in report.waits:
            reason = str(each.reason)
            self.waited[reason] = self.waited.get(reason, 0.0) + each.actual
        if report.maintenance is not None:
            self.windows[report.maintenance] += 1
        if report.give_up_reason is not None:
            self.gave_up[str(report.give_up_reason)] += 1


class Importer:
    """One run of an import."""

    def __init__(
        self, session: Session, journal: Journal, *, clock: Runtime, workers: int = 8
    ) -> None:
        self.tally = Tally()
        self._session = session
        self._journal = journal
        self._clock = clock
        self._workers = workers
        self._way = Way(session, journal, self._count)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._in_hand = 0
        self._rounds: Counter[str] = Counter()

    def run(self, rows: Sequence[Row], tick: Callable[[], object] = lambda: None) -> None:
        """Do what is left to do for these rows; ``tick`` is called now and then meanwhile.

        Raises:
            Stopped: when no row can succeed as things are.
            OSError: when the journal cannot be written; nothing more is sent then.
        """
        self._waiting.extend(row for row in rows if not self._is_final(row))
        with ThreadPoolExecutor(self._workers, "import") as pool:
            try:
                under_way = {pool.submit(self._work) for _ in range(self._workers)}
                while under_way:
                    ended, under_way = wait(under_way, _TICK, FIRST_EXCEPTION)
                    for future in ended:
                        future.result()
                    tick()
            finally:
                # On Ctrl-C, too: the pool waits for its threads, which must come to an end.
                self.stop()

    def stop(self) -> None:
        """Send nothing more: calls that sleep give up, those under way end and are written down."""
        self._stop.set()
        self._session.close()

    def _work(self) -> None:
        try:
            while (row := self._next()) is not None:
                self._done_with(row, again=self._lead(row))
        except BaseException:
            self.stop()
            raise

    def _lead(self, row: Row) -> bool:
        """Go on with a row as far as it goes without waiting; whether it is to be put back."""
        while not self._stop.is_set() and not self._is_final(row):
            seconds = self._way.step(row)
            if seconds is not None:
                self._clock.wait(self._stop, seconds)
                return True
        return False

    def _next(self) -> Row | None:
        with self._changed:
            # What another worker has in hand may yet be put back.
            while not self._waiting and self._in_hand and not self._stop.is_set():
                self._changed.wait(_TICK)
            if self._stop.is_set() or not self._waiting:
                return None
            self._in_hand += 1
            return self._waiting.popleft()

    def _done_with(self, row: Row, *, again: bool) -> None:
        with self._changed:
            self._in_hand -= 1
            self._rounds[row.name] += again
            if again and self._rounds[row.name] < _MOST_ROUNDS:
                self._waiting.append(row)
            self._changed.notify_all()

    def _is_final(self, row: Row) -> bool:
        return self._journal.last(row.name).state.final

    def _count(self, told: Told) -> None:
        with self._changed:
            self.tally.add(told)
