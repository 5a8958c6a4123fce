"""A small forward proxy for plain HTTP, on a real socket."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_END = b"\r\n\r\n"


class ForwardProxy:
    """Passes requests on, one per connection, and notes them; a context manager."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """The request lines."""
        self.authorizations: list[str | None] = []
        """The ``Proxy-Authorization`` of each."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> ForwardProxy:  # noqa: PYI034 - Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Wakes accept, which closing alone does not do everywhere.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        data = b""
        while _END not in data:
            data += client.recv(65536)
        head, _, body = data.partition(_END)
        line, *headers = head.decode("latin-1").split("\r\n")
        named = {name.lower(): value for name, _, value in (h.partition(": ") for h in headers)}
        while len(body) < int(named.get("content-length", 0)):
            body += client.recv(65536)
        self.requests.append(line)
        self.authorizations.append(named.pop("proxy-authorization", None))
        method, url, version = line.split(" ")
        target = urlsplit(url)
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        # One request per connection: the end of the answer is the end of the stream.
        named["connection"] = "close"
        lines = [f"{method} {path} {version}", *(f"{n}: {v}" for n, v in named.items())]
        with socket.create_connection((target.hostname or "", target.port or 80)) as server:
            server.sendall("\r\n".join(lines).encode("latin-1") + _END + body)
            while piece := server.recv(65536):
                client.sendall(piece)
