"""No secret is told: everything exported and logged is searched for marked ones (O7, C10, T9)."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import Any
from urllib.parse import quote

import pytest
import requests
from stage import Stage

import weatherglass
from weatherglass.testing import CLIENT_ID, TOKEN_PATH, FaultPlan, faults, rules_of

MARK = "s3cr3t"
"""Part of every secret of these stories; whatever contains it must not be told."""

QUEUES = "/api/v2/routing/queues"


def find_secrets(stage: Stage, *others: str) -> list[str]:
    """Where a secret is told: in traces, metrics or logs, at whatever level."""
    told = {
        "traces": stage.exported.traces(),
        "metrics": stage.exported.metrics(),
        "logs": "\n".join(_everything(record) for record in stage.logs).encode(),
    }
    secrets = {MARK, MARK.upper(), base64.b64encode(MARK.encode()).decode()[:7], *others}
    return [
        f"{secret!r} in the {where}"
        for where, text in told.items()
        for secret in sorted(secrets)
        if secret.encode() in text
    ]


def _everything(record: logging.LogRecord) -> str:
    error = "" if record.exc_info is None else "".join(traceback.format_exception(*record.exc_info))
    return f"{record.getMessage()} {vars(record)!r} {error} {record.stack_info}"


def tokens_on_the_wire(stage: Stage) -> list[str]:
    """Every credential that the server received."""
    found = {
        value.partition(" ")[2]
        for entry in stage.server.ledger.requests()
        for name, value in entry.headers
        if name.lower() == "authorization"
    }
    return sorted(found - {""})


@pytest.fixture
def stage() -> Any:
    with Stage() as stage:
        yield stage


def told_something(stage: Stage) -> bool:
    """Whether the search could have found anything."""
    return bool(stage.exported.spans()) and bool(stage.logs)


def test_credentials_in_urls(stage: Stage) -> None:
    """O7: user, password and secret parameters of URLs are told nowhere, in whatever weather."""
    stage.script(faults.answer(503), faults.answer(503, retry_after=999))
    host = stage.url.removeprefix("http://")
    query = "&".join(
        f"{name}={MARK}-{number}"
        for number, name in enumerate(
            ["access_token", "api_key", "X-Amz-Signature", "code", "client%5Fsecret", "sig"]
        )
    )
    url = f"http://user:{MARK}@{host}/echo?{query}&page=2#id_token={MARK}"
    stage.get(stage.session(), url)
    full = [span.attributes.get("url.full") for span in stage.exported.spans()]
    assert told_something(stage)
    assert find_secrets(stage, *tokens_on_the_wire(stage)) == []
    assert any("page=2" in str(each) for each in full)


def test_credentials_in_urls_that_cannot_be_reached(stage: Stage) -> None:
    """O7: messages of other libraries, which quote URLs, are told without what is secret."""
    host = stage.server.refused_url().removeprefix("http://")
    stage.get(stage.session(), f"http://user:{MARK}@{host}/path?token={MARK}", max_retries=1)
    proxies = {"http": f"http://user:{MARK}@{host}"}
    stage.get(stage.session(), f"/echo?secret={MARK}", proxies=proxies, max_retries=1)
    stage.get(stage.session(), f"http://user:{MARK}@no.such.host.invalid/?key={MARK}")
    stage.get(stage.session(), f"http://user:{MARK}@{host}:{MARK}/")
    stage.get(stage.session(), f"gopher://user:{MARK}@{host}/?key={MARK}")
    assert told_something(stage)
    assert find_secrets(stage, *tokens_on_the_wire(stage)) == []


def test_redirects_with_secrets(stage: Stage) -> None:
    """O7: URLs that a server redirects to are redacted like all others."""
    stage.script(faults.redirect(f"/echo?code={MARK}&state=ok"), faults.answer(503))
    stage.get(stage.session())
    assert told_something(stage)
    assert find_secrets(stage) == []


def test_headers_and_bodies(stage: Stage) -> None:
    """O7, C10: headers, cookies and bodies, of requests and of answers, are told nowhere."""
    stage.script(
        faults.answer(503, message=f"the secret {MARK}", headers={"Set-Cookie": f"a={MARK}"}),
        faults.answer(502, form="html", body=f"<p>{MARK}</p>"),
        faults.cut(of=faults.answer(200, body=MARK * 20)),
        faults.answer(400, json={"error": {"message": MARK, "details": [MARK]}}),
    )
    stage.play(
        stage.session(raise_failures=True),
        "PUT",
        "/echo",
        headers={"Authorization": f"Bearer {MARK}", "X-Api-Key": MARK, "Cookie": f"c={MARK}"},
        cookies={"session": MARK},
        json={"password": MARK},
    )
    assert told_something(stage)
    assert find_secrets(stage) == []


@pytest.mark.parametrize(
    "body",
    [
        {"code": f"user {MARK}@example.com was not found"},
        {"errorCode": f"no such thing: {MARK}"},
        {"error": f"invalid token <{MARK}>", "error_description": MARK},
        {"type": f"https://example.com/errors?user={MARK}", "title": f"Hello {MARK}"},
    ],
)
def test_sentences_in_the_place_of_codes(stage: Stage, body: dict[str, str]) -> None:
    """O7: what a server puts where a code belongs is only told if it looks like one."""
    stage.script(faults.answer(400, json=body, headers={"ININ-Correlation-Id": f"<{MARK}>"}))
    stage.get(stage.session())
    codes = [span.attributes.get("weatherglass.failure.code") for span in stage.exported.spans()]
    assert codes[-1] in ("_OTHER", "GENERIC")
    assert find_secrets(stage) == []


def test_basic_authentication(stage: Stage) -> None:
    """O7: the caller's own authentication is told nowhere."""
    stage.script(faults.answer(401, code="bad.credentials"))
    stage.get(stage.session(), auth=("user", MARK))
    assert find_secrets(stage, *tokens_on_the_wire(stage)) == []


@pytest.mark.parametrize("method", ["basic", "post"])
@pytest.mark.parametrize(
    "fault",
    [
        None,
        faults.answer(503),
        faults.answer(400, code="invalid_client", spelling="oauth", message=f"not {MARK}"),
        faults.answer(200, json={"access_token": f"{MARK}\n", "token_type": MARK}),
        faults.answer(200, form="html", body=MARK),
        faults.reset(),
        faults.redirect(f"/elsewhere?client_secret={MARK}"),
    ],
)
def test_client_secrets_and_tokens(fault: faults.Fault | None, method: str) -> None:
    """T9: client secrets and tokens are told nowhere, however the token endpoint answers."""
    plan = FaultPlan(rules=rules_of(*[fault] * 3, path=TOKEN_PATH))
    with Stage(plan, require_tokens=True, clients={CLIENT_ID: MARK}) as stage:
        source = stage.client_credentials(
            client_secret=MARK, auth_method=method, extra={"assertion": lambda: MARK}
        )
        session = stage.session(token_source=source)
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.get(session, QUEUES)
        assert stage.exported.spans()
        assert find_secrets(stage, *tokens_on_the_wire(stage)) == []


def _cannot_store(token: str) -> None:
    raise RuntimeError(f"cannot store {token}")


def test_refresh_tokens_that_rotate() -> None:
    """T9, T10: refresh tokens are told nowhere, not even by a hook that raises with one."""
    rotated: list[str] = []

    def store(token: str) -> None:
        rotated.append(token)
        _cannot_store(token)

    with Stage(require_tokens=True, clients={CLIENT_ID: MARK}) as stage:
        first = stage.server.issue_refresh_token()
        source = weatherglass.RefreshToken(
            token_url=stage.server.token_url,
            client_id=CLIENT_ID,
            client_secret=MARK,
            refresh_token=first,
            origins=[stage.url],
            on_rotated=store,
        )
        session = stage.session(token_source=source)
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.server.revoke_refresh_tokens()
        stage.get(session, QUEUES)
        errors = [record for record in stage.logs if record.levelname == "ERROR"]
        assert len(rotated) == len(errors) == 2
        assert find_secrets(stage, first, *rotated, *tokens_on_the_wire(stage)) == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(MARK),
        requests.ConnectionError(f"https://user:{MARK}@host/?token={MARK}"),
        KeyError(MARK),
        OSError(5, MARK, MARK),
    ],
)
def test_token_functions_that_raise(stage: Stage, error: Exception) -> None:
    """T9: what a token function raises is told by its class alone."""

    def fetch() -> str:
        raise error

    source = weatherglass.CallableTokens(fetch, origins=[stage.url])
    raised = stage.get(stage.session(token_source=source))
    assert isinstance(raised, weatherglass.TokenRefreshFailed)
    assert told_something(stage)
    assert find_secrets(stage) == []


def test_application_code_that_raises(stage: Stage) -> None:
    """O7, R6: what callbacks and hooks of the application raise is told by its class alone."""

    def broken(*_: object, **__: object) -> None:
        raise requests.RequestException(f"{MARK} in a message")

    session = stage.session(
        callbacks=dict.fromkeys(("on_failure", "on_retry", "on_give_up"), broken)
    )
    stage.script(*[faults.answer(503)] * 2)
    stage.get(session, max_retries=1)
    stage.get(session, hooks={"response": broken})
    stage.get(session, auth=_BrokenAuth())
    assert told_something(stage)
    assert find_secrets(stage) == []


class _BrokenAuth(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {MARK}"
        request.hooks["response"].append(self._raise)
        return request

    def _raise(self, *_: object, **__: object) -> None:
        raise requests.ConnectionError(f"Basic {MARK} ?token={MARK} //user:{MARK}@host {MARK}")


def test_search_finds_what_is_there(stage: Stage) -> None:
    """The search itself finds a secret that is told, in traces, metrics and logs."""
    stage.get(stage.session(name=MARK), f"/{quote(MARK)}")
    logging.getLogger("weatherglass").info("a secret", extra={"given": MARK})
    found = find_secrets(stage)
    assert [each for each in found if "in the traces" in each]
    assert [each for each in found if "in the logs" in each]
