"""What the tests of the profile for Genesys Cloud have in common: sessions on a fake server."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

from weatherglass import Policy, RetryPolicy
from weatherglass.genesys import Session
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    Fault,
    FaultPlan,
    VirtualClock,
)

QUEUES = "/api/v2/routing/queues"
EVALUATIONS = "/api/v2/quality/conversations/c-1/evaluations"
USERS_ME = "/api/v2/users/me"

NO_RETRIES = Policy(retry=RetryPolicy(max_retries=0))

PATIENCE = 30.0
"""Real seconds after which a thread is taken to be stuck."""


Thing = TypeVar("Thing")


def unpickled(data: bytes) -> Any:
    """What a pickle of our own holds."""
    return pickle.loads(data)  # noqa: S301 - our own


def travelled(thing: Thing) -> Thing:
    """A thing after a journey to another process and back."""
    return unpickled(pickle.dumps(thing))  # type: ignore[no-any-return]  # what it was


class Clock(VirtualClock):
    """A virtual clock with the same chance every time, so that delays are known."""

    def random(self) -> float:
        return 0.5


def api_script(*script: Fault | None) -> FaultPlan:
    """What the API's requests meet, one after the other; the token endpoint is left alone."""
    return FaultPlan.script(*script, path="/api/*")


def session_on(server: FakeServer, **changes: Any) -> Session:
    """A session for a region whose hosts are played by the server; nothing is read elsewhere."""
    given: dict[str, Any] = {
        "region": "mypurecloud.ie",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "api_url": server.url,
        "login_url": server.url,
        "status_feed": False,
        "runtime": server.clock,
    }
    if "tokens" in changes:
        del given["client_id"], given["client_secret"]
    return Session(**{**given, **changes})
