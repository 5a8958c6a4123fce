"""A listener on loopback with a thread per connection, and its orderly end.

Shared by the fake API server and the OTLP receiver. It knows nothing of what is served.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable

from weatherglass.testing.wire import Connection

HOST = "127.0.0.1"
_JOIN_TIMEOUT = 10.0
_BACKLOG = 512


class Listener:
    """One loopback port; ``serve`` is called with each connection, in a thread of its own."""

    def __init__(
        self,
        serve: Callable[[Connection], None],
        *,
        name: str,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.stopping = threading.Event()
        """Set from the moment that the listener is told to stop."""
        self._serve = serve
        self._name = name
        self._tls = tls
        self._lock = threading.Lock()
        self._live: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        self._accepted = 0
        self._acceptor: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]

    @property
    def accepted(self) -> int:
        """How many connections have been accepted so far."""
        return self._accepted

    def start(self) -> None:
        """Accept connections."""
        if self.stopping.is_set():
            raise RuntimeError("the server was stopped; make a new one")
        if self._acceptor is not None:
            return
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        self._wake, woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept,
            args=(self._socket, woken),
            name=f"{self._name}-accept",
            daemon=True,
        )
        self._acceptor.start()

    def refuse(self) -> None:
        """Cut all connections and refuse new ones, until :meth:`start` is called again."""
        self._end_accepting()
        self._socket.close()
        self._cut_connections()
        # Bound but not listening: connecting is refused, and nobody else can take the port.
        self._socket = _bound(self.port)

    def stop(self) -> None:
        """End everything: no thread and no socket is left behind."""
        self.stopping.set()
        self._end_accepting()
        self._socket.close()
        self._cut_connections()
        for thread in self._threads:
            thread.join(_JOIN_TIMEOUT)
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            raise RuntimeError(f"these threads did not end: {', '.join(stuck)}")

    def _end_accepting(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.close()
        if acceptor is not None:
            acceptor.join(_JOIN_TIMEOUT)

    def _cut_connections(self) -> None:
        with self._lock:
            live = list(self._live)
        for connection in live:
            connection.abort()

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        with contextlib.closing(woken), selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if woken in ready:
                    return
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    # The client was gone again before it was accepted.
                    continue
                self._begin(accepted)

    def _begin(self, accepted: socket.socket) -> None:
        accepted.setblocking(True)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._accepted += 1
            connection = Connection(accepted, self._accepted)
            self._live.add(connection)
        thread = threading.Thread(
            target=self._run,
            args=(connection, accepted),
            name=f"{self._name}-{connection.number}",
            daemon=True,
        )
        thread.start()
        # A thread outlives its connection by a moment, and stop() must see that as well.
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]

    def _run(self, connection: Connection, accepted: socket.socket) -> None:
        # A client that leaves or breaks the protocol off is this server's daily bread.
        try:
            with contextlib.suppress(OSError):
                if self._tls is not None:
                    secured = self._tls.wrap_socket(
                        accepted, server_side=True, do_handshake_on_connect=False
                    )
                    connection.use(secured)
                    # An abort may have come while neither of the two sockets could hear it.
                    if connection.aborted:
                        return
                    secured.do_handshake()
                self._serve(connection)
        finally:
            connection.close()
            with self._lock:
                self._live.discard(connection)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # Elsewhere it would let two servers share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock


class DeadEnds:
    """Ports on which nobody answers, in the ways in which a port can be dead."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def refused(self) -> int:
        """A port that refuses connections, and that nobody else can take meanwhile."""
        return self._keep(_bound(0))

    def stalled(self) -> int:
        """A port that accepts connections and never says a word: a TLS handshake stalls."""
        sock = _bound(0)
        port = self._keep(sock)
        # The kernel completes connections that wait in the backlog; nobody ever takes them.
        sock.listen(_BACKLOG)
        return port

    def unanswered(self) -> int:
        """A port whose backlog is full, so that connecting to it times out (on Linux)."""
        sock = _bound(0)
        port = self._keep(sock)
        sock.listen(0)
        for _ in range(4):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            self._keep(filler, port)
            filler.connect_ex((HOST, port))
        return port

    def _keep(self, sock: socket.socket, port: int | None = None) -> int:
        self._sockets.append(sock)
        found: int = sock.getsockname()[1] if port is None else port
        return found

    def close(self) -> None:
        """Give all ports back."""
        while self._sockets:
            self._sockets.pop().close()
