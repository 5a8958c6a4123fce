"""Servers for the doctor's tests: a Prometheus as its API shows it, and endpoints gone wrong.

They answer on real sockets; what they answer is canned.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Canned:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Respond = Callable[[str, Mapping[str, str]], Canned]
"""From the path and the query's parameters to an answer."""


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """A server that answers everything by this function; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            answer = respond(
                url.path, {name: values[0] for name, values in parse_qs(url.query).items()}
            )
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_POST = do_HEAD = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def always(answer: Canned) -> Iterator[str]:
    """A server that always answers the same."""
    with serving(lambda _path, _params: answer) as url:
        yield url


@dataclass
class FakePrometheus:
    """What a Prometheus knows, for :func:`serving`."""

    now: float
    version: str = "3.16.0"
    flags: dict[str, str] = field(default_factory=lambda: {"web.enable-otlp-receiver": "true"})
    names: list[str] = field(default_factory=list)
    newest: dict[str, float] = field(default_factory=dict)
    """The time of the newest sample of calls, by job."""
    recent: bool = True
    """Whether that is recent enough for an instant query."""
    groups: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[dict[str, str]] = field(default_factory=list)
    """The labels of the doctor's own measurement, as it has arrived."""
    queries: list[str] = field(default_factory=list)

    def __call__(self, path: str, params: Mapping[str, str]) -> Canned:
        data: Any
        if path == "/api/v1/query":
            data = self._query(params["query"])
        elif path == "/api/v1/status/buildinfo":
            data = {"version": self.version}
        elif path == "/api/v1/status/flags":
            data = self.flags
        elif path == "/api/v1/label/__name__/values":
            data = self.names
        elif path == "/api/v1/rules":
            data = {"groups": self.groups}
        else:
            return Canned(404, b"404 page not found", {"Content-Type": "text/plain"})
        body = json.dumps({"status": "success", "data": data}).encode()
        return Canned(200, body, {"Content-Type": "application/json"})

    def _query(self, expression: str) -> dict[str, Any]:
        self.queries.append(expression)
        if expression == "time()":
            return {"resultType": "scalar", "result": [self.now, str(self.now)]}
        found: list[tuple[Mapping[str, str], float]] = []
        if "doctor" in expression:
            found = [(labels, 1.0) for labels in self.arrived]
        elif self.recent or "[1d:" in expression:
            found = [({"job": job}, time) for job, time in self.newest.items()]
        result = [{"metric": m, "value": [self.now, str(value)]} for m, value in found]
        return {"resultType": "vector", "result": result}


def http_date(at: float) -> str:
    """A time as HTTP writes it."""
    return formatdate(at, usegmt=True)
