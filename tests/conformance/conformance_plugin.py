"""A pytest plugin for the suites of others: swaps the session under test, and notes outcomes.

Loaded by ``tools/requests_conformance.py`` with ``-p conformance_plugin``. Whatever it changes
besides the class, it changes for the original too: the network ends at this machine, so that a
run depends on nothing outside it.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import pytest
import requests

import weatherglass
from weatherglass import Policy, RetryPolicy
from weatherglass.testing import ScaledClock

TIMES_FASTER = 50
"""How much faster than real time a swapped session waits; all else of its policy is as it is."""

_BACKLOG = 64


class Session(weatherglass.Session):
    """Our session with its default policy; only its waits pass faster."""

    def __init__(self) -> None:
        super().__init__(runtime=ScaledClock(TIMES_FASTER))


class SessionWithoutRetries(weatherglass.Session):
    """Our session where it differs from the original least."""

    def __init__(self) -> None:
        super().__init__(policy=Policy(retry=RetryPolicy(max_retries=0)))


class SessionWithAdapter(requests.Session):
    """The original session with our adapters mounted on it (rule D2)."""

    def __init__(self) -> None:
        super().__init__()
        for prefix in ("https://", "http://"):
            self.mount(prefix, weatherglass.Adapter(runtime=ScaledClock(TIMES_FASTER)))


SESSIONS: dict[str, type[requests.Session]] = {
    "original": requests.Session,
    "session": Session,
    "session-without-retries": SessionWithoutRetries,
    "adapter": SessionWithAdapter,
}


class Outcomes:
    """The worst of each test's phases, and what it said about it."""

    _RANKS = ("passed", "xfailed", "skipped", "xpassed", "failed", "error")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = _outcome(report)
        known = self._of.get(report.nodeid)
        if known is None or self._RANKS.index(outcome) > self._RANKS.index(known[0]):
            crash = getattr(report.longrepr, "reprcrash", None)
            self._of[report.nodeid] = (outcome, "" if crash is None else str(crash.message))

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._of, indent=1), encoding="utf-8")


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--session-class", choices=sorted(SESSIONS), default="original")
    group.addoption("--outcomes", type=Path, required=True, help="the JSON file to write")


def pytest_configure(config: pytest.Config) -> None:
    chosen = SESSIONS[config.getoption("--session-class")]
    # Whoever imports the name later gets ours, and so do requests.get and its siblings.
    for module in (requests, requests.sessions):
        module.Session = chosen  # type: ignore[attr-defined] # known to each of them
    socket.getaddrinfo = _only_this_machine(socket.getaddrinfo)
    if "pytest_httpbin" in sys.modules:
        _let_httpbin_do_several_things_at_once()
    config.pluginmanager.register(Outcomes(config.getoption("--outcomes")))


def pytest_collection_finish() -> None:
    """Give the tests of connect timeouts an address on this machine that never answers."""
    module = sys.modules.get("tests.test_requests")
    if module is not None:
        module.TARPIT = _tarpit()  # type: ignore[attr-defined] # a global of that suite


def _only_this_machine(look_up: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(look_up)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_this_machine(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *args, **kwargs)

    return getaddrinfo


def _is_this_machine(host: str | bytes | None) -> bool:
    if not host or host in ("localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else host.decode()).is_loopback
    except ValueError:
        return False


@functools.cache
def _tarpit() -> str:
    """The URL of a server whose queue of new connections is full."""
    server = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = server.getsockname()
    _held.append(server)
    for _ in range(_BACKLOG):
        client = socket.socket()
        client.settimeout(0.2)
        _held.append(client)
        try:
            client.connect(address)
        except TimeoutError:
            return f"http://127.0.0.1:{address[1]}"
    raise RuntimeError(f"the queue of a server took more than {_BACKLOG} connections")


_held: list[socket.socket] = []
"""Sockets that must stay open until the run has ended."""


def _let_httpbin_do_several_things_at_once() -> None:
    """Else every attempt after a timed-out one waits until the server has slept it off."""
    serve = sys.modules["pytest_httpbin.serve"]

    def make_threading_server(
        host: str, port: int, app: Any, server_class: type[WSGIServer] = WSGIServer, **rest: Any
    ) -> WSGIServer:
        class ThreadingServer(ThreadingMixIn, server_class):  # type: ignore[misc, valid-type] # made at run time
            daemon_threads = True
            block_on_close = False

        return make_server(host, port, app, server_class=ThreadingServer, **rest)

    serve.make_server = make_threading_server  # type: ignore[attr-defined] # a global of that module
