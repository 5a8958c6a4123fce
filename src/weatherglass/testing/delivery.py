"""How an answer leaves the server: in order, late, in drops, in part, or not at all."""

from __future__ import annotations

import threading

from weatherglass.runtime import Runtime
from weatherglass.testing.faults import Action, Fault
from weatherglass.testing.latches import Latches
from weatherglass.testing.wire import Answer, Connection, Request, render, render_chunk, render_head


class ServerStopped(Exception):
    """The server was stopped while it held a request."""


class Delivery:
    """Puts answers on the wire as a fault wants it."""

    def __init__(self, runtime: Runtime, latches: Latches, stopping: threading.Event) -> None:
        self._runtime = runtime
        self._latches = latches
        self._stopping = stopping

    def pause(self, fault: Fault) -> bool:
        """Wait as a ``delay`` or ``hold`` says; ``False`` if the server stops meanwhile."""
        if fault.action is Action.DELAY:
            return not self._runtime.wait(self._stopping, fault.seconds)
        if fault.action is Action.HOLD:
            return self._latches.hold(fault.latch)
        return True

    def deliver(
        self, connection: Connection, request: Request, answer: Answer | None, fault: Fault | None
    ) -> bool:
        """Send the answer, or none; whether the connection is to be kept.

        Raises:
            OSError: when the client has left.
            ServerStopped: when the server was stopped while it let the answer drip.
        """
        if answer is None:
            if fault is not None:
                self._withhold(connection, fault)
            return False
        action = None if fault is None else fault.action
        if fault is not None and action is Action.CUT:
            self._cut(connection, request, answer, fault)
            return False
        if fault is not None and action is Action.DRIP:
            self._drip(connection, request, answer, fault)
            return request.keep_alive
        head_only = request.method == "HEAD"
        connection.doomed = action is Action.IDLE_CLOSE
        connection.send(render(answer, keep_alive=request.keep_alive, head_only=head_only))
        return request.keep_alive

    def _withhold(self, connection: Connection, fault: Fault) -> None:
        if fault.action is Action.RESET:
            connection.reset()
        elif fault.action is Action.RAW:
            connection.send(fault.body or b"")
        elif fault.action is Action.HANG:
            self._latches.hang(fault.latch, connection)

    def _cut(self, connection: Connection, request: Request, answer: Answer, fault: Fault) -> None:
        # Something must be missing: an answer without a body promises one that never comes.
        body = b"".join(answer.chunks) if answer.chunks is not None else answer.body
        promised = max(1, len(body))
        size = len(body) // 2 if fault.size is None else min(fault.size, promised - 1)
        kept = body[:size]
        head = render_head(answer, length=promised, keep_alive=request.keep_alive)
        if answer.chunks is None:
            connection.send(head + kept)
        else:
            connection.send(head + (render_chunk(kept) if kept else b""))
        if fault.abrupt:
            connection.reset()

    def _drip(self, connection: Connection, request: Request, answer: Answer, fault: Fault) -> None:
        whole = render(answer, keep_alive=request.keep_alive, head_only=request.method == "HEAD")
        start = whole.index(b"\r\n\r\n") + 4
        connection.send(whole[:start])
        size = fault.size or 1
        for position in range(start, len(whole), size):
            if self._runtime.wait(self._stopping, fault.seconds):
                raise ServerStopped
            connection.send(whole[position : position + size])
