"""The way of a row, from what is known of it to what is final.

What is done with a row is read off its last entry in the journal and nothing else, so one that was
under way when an earlier run ended is treated like one that was put back in this run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from weatherglass import CallReport
from weatherglass.genesys import Session
from weatherglass.report import GENERIC, UNKNOWN

from . import queues
from .journal import Entry, Journal, State
from .queues import Told
from .rows import Row
from .verdict import Verdict, after_post, is_duplicate, without_effect

_LONGEST_MESSAGE = 300
_A_MOMENT = 2.0
"""Seconds that the server is given until what it has just done can be found."""


class Stopped(Exception):
    """No row can succeed until somebody has done something; the text says what is wrong."""


class Way:
    """Leads rows on, one call after the other; safe for threads.

    ``told`` is called with what came of each call.
    """

    def __init__(
        self, session: Session, journal: Journal, told: Callable[[Told], object] = lambda _: None
    ) -> None:
        self._session = session
        self._journal = journal
        self._told = told

    def step(self, row: Row) -> float | None:
        """Make one call for a row that is not final yet, and write down what came of it.

        Returns the seconds to wait before the next step; ``None`` if it can follow at once.

        Raises:
            Stopped: when this row and all others cannot succeed as things are.
            OSError: when the journal cannot be written.
        """
        entry = self._journal.last(row.name)
        if entry.state is State.SENDING:
            # From a run that has ended: what came of it nobody knows.
            entry = Entry(name=entry.name, state=State.IN_DOUBT, sent=True, reason="interrupted")
            self._journal.write(entry)
        if entry.state is State.OPEN:
            return self._send(row, entry)
        return self._look(row, entry)

    def _send(self, row: Row, entry: Entry) -> float | None:
        self._journal.write(Entry(name=entry.name, state=State.SENDING, sent=entry.sent))
        told = queues.create(self._session, row.payload())
        self._told(told)
        verdict = after_post(told.report, sent_before=entry.sent)
        queue_id = None if told.body is None else told.body.get("id")
        if verdict is Verdict.CREATED and queue_id is None:
            # A success that names no queue is not the server's, but of something in between.
            verdict = Verdict.IN_DOUBT
        self._journal.write(_entry(entry, _STATES[verdict], told.report, queue_id))
        if verdict is Verdict.STOP:
            raise Stopped(cause(told.report))
        if verdict is Verdict.IN_DOUBT:
            return _A_MOMENT
        return told.come_back_in if verdict is Verdict.PUT_BACK else None

    def _look(self, row: Row, entry: Entry) -> float | None:
        """See what stands under the name of a row, and whether that is what was wanted."""
        told, found = queues.find(self._session, row.name)
        self._told(told)
        if told.body is None:
            if without_effect(told.report) is Verdict.STOP:
                raise Stopped(cause(told.report))
            return told.come_back_in
        if found is None:
            return self._absent(entry)
        different = queues.differences(row.payload(), found)
        if different:
            entry = replace(entry, reason="other settings: " + ", ".join(different))
            state = State.CONFLICT
        else:
            state = State.CONFIRMED if entry.state is State.IN_DOUBT else State.EXISTS
        self._journal.write(replace(entry, state=state, queue_id=str(found.get("id"))))
        return None

    def _absent(self, entry: Entry) -> float | None:
        """There is no such queue."""
        if is_duplicate(entry.code):
            # There is one, but it does not show yet, or not to this client: look again.
            return _A_MOMENT
        # So nothing was executed, and all is as if the request had not been sent.
        hopeless = entry.state is State.IN_DOUBT and entry.transient is False
        self._journal.write(replace(entry, state=State.REJECTED if hopeless else State.OPEN))
        return None


_STATES = {
    Verdict.CREATED: State.CREATED,
    Verdict.IN_DOUBT: State.IN_DOUBT,
    Verdict.TAKEN: State.TAKEN,
    Verdict.REJECTED: State.REJECTED,
    Verdict.PUT_BACK: State.OPEN,
    Verdict.STOP: State.OPEN,
}


def _entry(before: Entry, state: State, report: CallReport, queue_id: str | None) -> Entry:
    """What is known of a row after a POST."""
    entry = Entry(
        name=before.name,
        state=state,
        sent=before.sent or bool(report.attempts),
        queue_id=queue_id,
        maintenance=report.maintenance,
    )
    failure = report.failure
    if failure is None:
        return entry
    return replace(
        entry,
        reason=str(report.replay or report.give_up_reason or failure.kind),
        code=None if failure.code in (GENERIC, UNKNOWN) else failure.code,
        message=failure.message[:_LONGEST_MESSAGE] or None,
        correlation_id=failure.correlation_id,
        transient=failure.transient,
    )


def cause(report: CallReport) -> str:
    """Why a call failed, for a person."""
    failure = report.failure
    if failure is None:
        return "an answer that is not the server's"
    status = "" if failure.status is None else f" (status {failure.status})"
    return f"{failure.kind}{status}: {failure.message or failure.code}"
