"""Scenes of tokens: fetched, refreshed, revoked, waited for, and not to be had."""

from __future__ import annotations

from collections.abc import Callable

from acts import waiters
from theatre import Theatre

import weatherglass
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, TOKEN_PATH, Spelling, faults

QUEUES = "/api/v2/routing/queues"

ENDPOINT_FAULTS = (
    faults.token_rate_limited(),
    faults.answer(429, retry_after=2, spelling=Spelling.OAUTH),
    faults.answer(500),
    faults.answer(503),
    faults.reset(),
    faults.disconnect(),
    faults.raw(b"rubbish\r\n\r\n"),
    faults.cut(),
    faults.answer(200, body="no token"),
    faults.answer(200, json={"access_token": ""}),
    *(
        faults.answer(400, code=code, spelling=spelling)
        for code in ("invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope")
        for spelling in Spelling
    ),
)
"""What a token endpoint can do, once and for good."""


def faults_of_the_endpoint(theatre: Theatre) -> None:
    for fault in ENDPOINT_FAULTS:
        stage = theatre.stage(require_tokens=True)
        stage.script(fault, path=TOKEN_PATH)
        session = stage.session(token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stage.get(session, QUEUES)


def endpoint_that_is_down(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True)
    session = stage.session(token_source=stage.client_credentials())
    stage.get(session, QUEUES)
    stage.server.revoke_tokens()
    stage.script(*[faults.answer(503)] * 6, path=TOKEN_PATH)
    stage.get(session, QUEUES)
    stage.get(session, QUEUES)


def reasons_to_refresh(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True, token_lifetime=1000)
    session = stage.session(token_source=stage.client_credentials())
    for passed in (0, 960, 990):
        theatre.clock.advance(passed)
        stage.get(session, QUEUES)
    for wither in (stage.server.revoke_tokens, stage.server.expire_tokens):
        wither()
        stage.get(session, QUEUES)


def tokens_that_are_refused(theatre: Theatre) -> None:
    for code in ("bad.credentials", "authentication.required", "ip.not.authorized"):
        stage = theatre.stage(require_tokens=True)
        stage.script(*[faults.answer(401, code=code)] * 2, path=QUEUES)
        stage.get(stage.session(token_source=stage.client_credentials()), QUEUES)


def token_that_is_revoked_on_the_way(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True)
    stage.script(None, faults.revoke(), path=QUEUES)
    session = stage.session(token_source=stage.client_credentials())
    for _ in range(3):
        stage.get(session, QUEUES)


def credentials_that_are_wrong(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True)
    source = stage.client_credentials(client_secret="wrong")
    stage.get(stage.session(token_source=source), QUEUES)


def refresh_tokens(theatre: Theatre) -> None:
    """They rotate, the application fails to store one, and at last they are revoked."""

    def broken(_: str) -> None:
        raise LookupError("of the application")

    stage = theatre.stage(require_tokens=True)
    source = weatherglass.RefreshToken(
        token_url=stage.server.token_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        refresh_token=stage.server.issue_refresh_token(),
        on_rotated=stage.watched("on_rotated", broken),
        origins=[stage.url],
    )
    session = stage.session(token_source=source)
    stage.get(session, QUEUES)
    stage.server.revoke_tokens()
    stage.server.revoke_refresh_tokens()
    stage.get(session, QUEUES)


def token_functions(theatre: Theatre) -> None:
    stage = theatre.stage(require_tokens=True)
    source = weatherglass.CallableTokens(stage.server.issue_token, origins=[stage.url])
    stage.get(stage.session(token_source=source), QUEUES)

    def broken() -> str:
        raise LookupError("of the application")

    stage.get(
        stage.session(token_source=weatherglass.CallableTokens(broken, origins=[stage.url])), QUEUES
    )


SCENES: tuple[Callable[[Theatre], None], ...] = (
    faults_of_the_endpoint,
    endpoint_that_is_down,
    reasons_to_refresh,
    tokens_that_are_refused,
    token_that_is_revoked_on_the_way,
    credentials_that_are_wrong,
    refresh_tokens,
    token_functions,
    waiters,
)
