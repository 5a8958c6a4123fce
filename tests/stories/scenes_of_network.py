"""Scenes in which the network fails, before a server is reached and after."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from theatre import Theatre

from weatherglass.testing import faults

CERTIFICATE = Path(__file__).parent.parent / "testing" / "loopback.pem"
SHORT = 0.05
"""Real seconds of a socket timeout that is meant to pass."""


@contextmanager
def no_names() -> Iterator[None]:
    """A resolver that knows nobody."""
    real = socket.getaddrinfo

    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    socket.getaddrinfo = nobody
    try:
        yield
    finally:
        socket.getaddrinfo = real


def never_reached(theatre: Theatre) -> None:
    stage = theatre.stage()
    once = {"max_retries": 1}
    stage.get(stage.session(retry=once), stage.server.refused_url() + "/")
    stage.get(stage.session(retry=once), stage.server.unanswered_url() + "/", timeout=(SHORT, 20))
    stage.get(stage.session(retry=once), stage.server.stalled_url() + "/", timeout=(SHORT, SHORT))
    proxy = {"http": stage.server.refused_url()}
    stage.get(stage.session(retry=once), proxies=proxy)
    with no_names():
        stage.get(stage.session(retry=once), "http://api.example.com/")


def certificate_that_nobody_trusts(theatre: Theatre) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    stage = theatre.stage(tls=context)
    stage.get(stage.session())
    stage.get(stage.session(), verify=str(CERTIFICATE))


class _Strange(HTTPAdapter):
    """Sends, and then fails in a way that nobody has heard of."""

    def send(self, *given: Any, **named: Any) -> requests.Response:
        super().send(*given, **named).close()
        raise OSError(None, "strange")


class _Interrupting(HTTPAdapter):
    """Sends, and is interrupted before the answer is handed on."""

    def send(self, *given: Any, **named: Any) -> requests.Response:
        super().send(*given, **named).close()
        raise KeyboardInterrupt


def failures_of_no_kind(theatre: Theatre) -> None:
    for inner in (_Strange(), _Interrupting()):
        stage = theatre.stage()
        session = stage.session(retry={"max_retries": 1})
        session.adapter.inner = inner
        stage.get(session)
        session.adapter.inner = None


def calls_that_cannot_be_made(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.get(stage.session(), timeout=(1, 2, 3))


def server_that_goes_down(theatre: Theatre) -> None:
    stage = theatre.stage()
    session = stage.session(retry={"max_retries": 1})
    stage.get(session)
    stage.server.refuse()
    stage.get(session)
    stage.server.resume()
    stage.get(session)


def broken_streams(theatre: Theatre) -> None:
    stage = theatre.stage()
    session = stage.session()
    stage.script(faults.answer(503), None, faults.cut(of=faults.answer(200, body="x" * 99)))
    with stage.get(session, "/stream", stream=True) as streamed:
        assert len(list(streamed.iter_lines())) == 3
    with stage.get(session, stream=True) as broken:
        try:
            broken.content  # noqa: B018 - the property reads the body
        except requests.RequestException:
            return
    raise AssertionError("the body was whole")


SCENES: tuple[Callable[[Theatre], None], ...] = (
    never_reached,
    certificate_that_nobody_trusts,
    failures_of_no_kind,
    calls_that_cannot_be_made,
    server_that_goes_down,
    broken_streams,
)
