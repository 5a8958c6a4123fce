"""A whole day of failures with everything turned up to DEBUG, and no secret anywhere in it."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from storm_crew import API, Ended, credentials, reach

from weatherglass import (
    Callbacks,
    ClientCredentials,
    InvalidPolicy,
    Policy,
    RefreshToken,
    Session,
)
from weatherglass.telemetry import Recorder
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    Spelling,
    VirtualClock,
    faults,
)

MakeSession = Callable[..., Session]


class Notebook:
    """Everything that an application, its logs and its telemetry could come to show."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.spans = InMemorySpanExporter()
        self.metrics = InMemoryMetricReader()
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self._meters = MeterProvider([self.metrics])

    def recorder(self) -> Recorder:
        return Recorder(tracer_provider=self._tracers, meter_provider=self._meters)

    def note(self, thing: Any) -> None:
        self.pages += [repr(thing), str(thing)]

    def note_pickle(self, thing: Any) -> None:
        self.pages.append(pickle.dumps(thing).decode("latin-1"))

    def note_end(self, end: Ended) -> None:
        """All that a caller has of a call, as far as text or a pickle can show it."""
        self.note(end.report)
        self.pages.append(json.dumps(end.report.to_dict()))
        self.note_pickle(end.report)
        for response in (end.response, getattr(end.error, "response", None)):
            if response is None:
                continue
            for seen in (response, *response.history):
                self.note(seen)
                self.note(dict(seen.request.headers))
                self.note(dict(seen.headers))
            self.note_pickle(response)
        if end.error is not None:
            self.note(end.error)
            self.pages += traceback.format_exception(end.error)
            if end.error.request is not None:
                self.note(dict(end.error.request.headers))
            self.note_pickle(end.error)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Everything that anybody logs meanwhile, with what stands beside the message."""

        class Handler(logging.Handler):
            def emit(handler, record: logging.LogRecord) -> None:  # noqa: N805 - self is the notebook
                self.pages += [handler.format(record), repr(vars(record))]

        handler, root = Handler(), logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)

    def text(self) -> str:
        told = [span.to_json() for span in self.spans.get_finished_spans()]
        data = self.metrics.get_metrics_data()
        return "\n".join([*self.pages, *told, "" if data is None else data.to_json()])


def secrets_of(server: FakeServer) -> set[str]:
    """All that the server was ever shown: tokens, and every form field that is a secret."""
    found = {CLIENT_SECRET, base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()}
    for entry in server.ledger.requests():
        authorization = entry.header("Authorization")
        if authorization is not None:
            found.add(authorization.partition(" ")[2])
        if entry.path == TOKEN_PATH:
            form = parse_qs(entry.body.decode())
            found.update(form.get("refresh_token", []))
            found.update(form.get("client_secret", []))
    return found


def quoting(secret: str) -> Any:
    """A token endpoint that quotes what it was sent in its error, as some do."""
    return faults.answer(
        400,
        json={
            "error": "invalid_grant",
            "error_description": f"refresh token {secret} is expired",
        },
    )


@pytest.mark.parametrize("raise_failures", [False, True])
@pytest.mark.parametrize("auth_method", ["basic", "post"])
def test_failing_day(
    server: FakeServer,
    clock: VirtualClock,
    make_session: MakeSession,
    auth_method: str,
    raise_failures: bool,
) -> None:
    """T9, O7: no secret of a day of failures shows in logs, reprs, errors, pickles or spans."""
    notebook = Notebook()
    rotated: list[str] = []
    given = server.issue_refresh_token()
    source = RefreshToken(
        token_url=server.token_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        refresh_token=given,
        on_rotated=rotated.append,
        auth_method=auth_method,
        origins=[server.url],
    )
    told = ("on_failure", "on_retry", "on_give_up", "on_call", "on_refresh")
    session = make_session(
        tokens=source,
        recorder=notebook.recorder(),
        callbacks=Callbacks(**dict.fromkeys(told, notebook.note)),
        policy=Policy(raise_failures=raise_failures),
    )
    url = server.url + API

    def call(plan: FaultPlan = FaultPlan(), to: str = url) -> Ended:  # noqa: B008 - immutable
        server.plan = plan
        end = reach(session, to)
        notebook.note_end(end)
        for thing in (session, session.adapter, source, session.adapter.live.tokens):
            notebook.note(thing)
        return end

    with notebook.logging():
        assert call().status == 200
        server.revoke_tokens()
        assert call().statuses == [401, 200]
        server.expire_tokens()
        assert call().statuses == [401, 200]
        call(FaultPlan.script(*[faults.answer(401)] * 2, path=API))
        call(FaultPlan.script(*[faults.reset()] * 4, path=API))
        call(FaultPlan.script(*[faults.answer(503)] * 6, path=API))
        session.breakers.force_closed(server.url)
        call(FaultPlan.script(faults.redirect(server.url + API + "?again=1"), path=API))
        call(FaultPlan.script(faults.redirect(server.other_url + "/status/404"), path=API))
        server.revoke_tokens()
        call(FaultPlan.script(*[faults.answer(503)] * 3, path=TOKEN_PATH))
        clock.advance(6)
        call(FaultPlan.script(*[faults.reset()] * 3, path=TOKEN_PATH))
        clock.advance(6)
        call(FaultPlan.script(faults.cut(20), path=TOKEN_PATH))
        clock.advance(6)
        call(FaultPlan.script(quoting(rotated[-1]), path=TOKEN_PATH))
        call()
    # Callbacks that belong to the test do not travel.
    session.adapter.callbacks = Callbacks()
    notebook.note_pickle(session)
    notebook.note_pickle(session.adapter)

    secrets = secrets_of(server) | {given, *rotated}
    assert len(secrets) >= 10
    text = notebook.text()
    assert "reauthentication_required" in text
    assert "unauthorized_after_refresh" in text
    assert "urllib3.connectionpool" in text
    assert "weatherglass.token.refresh" in text
    assert [secret for secret in secrets if secret in text] == []


def test_refused_client(server: FakeServer, make_session: MakeSession) -> None:
    """T9: a wrong secret is in no word of the error that it leads to, however deep."""
    notebook = Notebook()
    with notebook.logging():
        for auth_method in ("basic", "post"):
            source = credentials(
                server, client_secret="hunter2-and-more", auth_method=auth_method, scope="s"
            )
            session = make_session(tokens=source, recorder=notebook.recorder())
            notebook.note_end(reach(session, server.url + API))
            notebook.note(source)
            notebook.note_pickle(session)
    text = notebook.text()
    assert "invalid_client" in text
    assert "hunter2-and-more" not in text
    assert base64.b64encode(f"{CLIENT_ID}:hunter2-and-more".encode()).decode() not in text


def test_code_of_a_token_endpoint_is_no_way_out(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T9, O7: a token endpoint that puts a secret into any field of its error is not quoted."""
    secret = server.issue_refresh_token()
    for field in ("error", "code", "errorCode", "message", "description"):
        notebook = Notebook()
        server.plan = FaultPlan.script(
            faults.answer(400, json={field: f"no such token: {secret}"}), path=TOKEN_PATH
        )
        source = RefreshToken(
            token_url=server.token_url,
            client_id=CLIENT_ID,
            refresh_token=secret,
            origins=[server.url],
        )
        session = make_session(tokens=source, recorder=notebook.recorder())
        with notebook.logging():
            notebook.note_end(reach(session, server.url + API))
        assert secret not in notebook.text()


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "http://192.0.2.1/token",
        "http://localhost.example.com/token",
        "ftp://login.example.com/token",
    ],
)
def test_token_endpoint_must_be_https(url: str) -> None:
    """T9: a token endpoint without TLS is refused when the source is made, and named."""
    with pytest.raises(InvalidPolicy, match=r"ClientCredentials\.token_url"):
        ClientCredentials(token_url=url, client_id="me", client_secret="hunter2")


def test_plain_http_by_explicit_wish() -> None:
    """T9: loopback may do without TLS, and any host that somebody allows."""
    for url, allowed in (
        ("http://127.0.0.1:8080/token", False),
        ("http://[::1]/token", False),
        ("http://localhost/token", False),
        ("http://login.example.com/token", True),
    ):
        ClientCredentials(
            token_url=url, client_id="me", client_secret="hunter2", allow_insecure=allowed
        )


def test_token_endpoint_does_not_redirect_secrets(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T9, T11: a token endpoint that redirects to another host is not followed with the secret."""
    server.plan = FaultPlan.script(
        *[faults.redirect(server.other_url + "/echo", 307)] * 3, path=TOKEN_PATH
    )
    session = make_session(tokens=credentials(server, auth_method="post"))
    assert reach(session, server.url + API).status is None
    assert [entry.path for entry in server.ledger.requests()] == [TOKEN_PATH]


def test_spelling_of_oauth_errors_is_understood(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T9: what may be said of a refusal is said: the status and the code."""
    server.plan = FaultPlan.script(
        faults.answer(400, code="invalid_scope", spelling=Spelling.OAUTH), path=TOKEN_PATH
    )
    session = make_session(tokens=credentials(server))
    end = reach(session, server.url + API)
    assert "answered 400 invalid_scope" in str(end.error)
