"""Policies, adapters and sessions travel; their live state and their secrets do not."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from scenes import QUEUES, Clock, outcome_of, statuses, token_source

import weatherglass
from weatherglass import (
    Adapter,
    CallableTokens,
    Callbacks,
    CircuitOpen,
    IdempotencyPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    ReauthenticationRequired,
    RetryPolicy,
    Rule,
    Session,
)
from weatherglass.testing import CLIENT_SECRET, FakeServer, FaultPlan, faults


def one_for_all(origin: str, method: str) -> str:
    return f"{method} anywhere" if origin else ""


def told(_: Any) -> None:
    """A callback that pickles by its name."""


def known_secret() -> str:
    return CLIENT_SECRET


RICH = Policy(
    name="rich",
    deadline=50,
    retry=RetryPolicy(max_retries=1, idempotent_routes=("POST /echo",)),
    idempotency=IdempotencyPolicy(key="deterministic", client_id="me"),
    maintenance=MaintenancePolicy(
        windows=(
            MaintenanceWindow(
                name="past",
                start=datetime(2020, 1, 1, tzinfo=timezone.utc),
                end=datetime(2020, 1, 2, tzinfo=timezone.utc),
            ),
        )
    ),
    rules=(Rule(name="teapot", statuses=(418,), transient=True),),
    breaker_key=one_for_all,
)

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def travelled(thing: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(thing, protocol))  # noqa: S301 - made in place


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_policy_travels_whole(protocol: int) -> None:
    """D13: a policy is equal to itself after pickling, rules, windows and key function included."""
    assert travelled(RICH, protocol) == RICH
    assert copy.deepcopy(RICH) == RICH


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_adapter_travels_with_its_settings(server: FakeServer, protocol: int) -> None:
    """D13: an adapter keeps policy, callbacks and pool settings, and works."""
    adapter = Adapter(policy=RICH, callbacks=Callbacks(on_call=told), pool_maxsize=3)
    arrived = travelled(adapter, protocol)
    assert arrived.policy == RICH
    assert arrived.callbacks.on_call is told
    assert arrived._pool_maxsize == 3
    with requests.Session() as plain:
        plain.mount("http://", arrived)
        answer = plain.get(f"{server.url}/echo")
    assert weatherglass.report(answer).policy == "rich"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_session_travels_with_what_a_session_has(server: FakeServer, protocol: int) -> None:
    """D13, D1: a session keeps headers, cookies, auth and mounts as in requests, and its policy."""
    with Session(policy=RICH) as session:
        session.headers["X-Mine"] = "1"
        session.cookies["c"] = "2"
        session.auth = ("user", "password")
        session.mount("https://plain.example", HTTPAdapter())
        arrived: Session = travelled(session, protocol)
    with arrived:
        assert arrived.policy == RICH
        assert arrived.adapter is arrived.get_adapter("https://api.example.com")
        assert type(arrived.get_adapter("https://plain.example")) is HTTPAdapter
        sent = arrived.get(f"{server.url}/echo").json()["headers"]
    assert (sent["X-Mine"], sent["Cookie"]) == ("1", "c=2")
    assert sent["Authorization"].startswith("Basic ")


def test_live_state_stays_at_home(server: FakeServer, clock: Clock) -> None:
    """D13: connections, breakers, gates and budgets of the original are not the copy's."""
    with Session(runtime=clock) as session:
        server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
        session.request("GET", f"{server.url}/echo", max_retries=0)
        session.breakers.force_open(server.other_url)
        arrived: Session = travelled(session)
        with arrived:
            assert arrived.get(f"{server.url}/echo").ok
            assert arrived.get(f"{server.other_url}/echo").ok
        assert isinstance(outcome_of(lambda: session.get(f"{server.other_url}/echo")), CircuitOpen)
    assert [entry.connection for entry in server.ledger.requests()] == [1, 2, 3]


def test_secrets_do_not_travel(clock: Clock) -> None:
    """D13, T9: neither the client's secret nor a token is in a session's pickle."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        with Session(runtime=clock, tokens=token_source(server)) as session:
            answer = session.get(server.url + QUEUES)
            token = session.adapter.live.tokens
            assert token is not None
            assert token.current is not None
            for thing in (session, session.adapter, answer):
                for protocol in PROTOCOLS:
                    pickled = pickle.dumps(thing, protocol).decode("latin-1")
                    assert CLIENT_SECRET not in pickled
                    assert token.current.value not in pickled
            arrived: Session = travelled(session)
        with arrived:
            with pytest.raises(ReauthenticationRequired, match="not carried by the pickle"):
                arrived.get(server.url + QUEUES)
            # Where it travelled to, the secret is given again.
            arrived.adapter.replace_tokens(token_source(server))
            assert statuses(arrived.get(server.url + QUEUES)) == [200]


def test_secret_that_a_function_knows_is_found_again(clock: Clock) -> None:
    """D13, T9: a module-level function travels by its name, and the copy has tokens by it."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        tokens = token_source(server, client_secret=known_secret)
        with Session(runtime=clock, tokens=tokens) as session:
            session.get(server.url + QUEUES)
            arrived: Session = travelled(session)
        with arrived:
            assert statuses(arrived.get(server.url + QUEUES)) == [200]
        assert len(server.ledger.token_calls()) == 2


def issued() -> tuple[str, float]:
    return "token-of-a-callable", 60.0


def test_token_of_a_callable_does_not_travel_either(server: FakeServer) -> None:
    """D13, T9: what a callable has returned is fetched anew by the copy."""
    tokens = CallableTokens(issued, origins=[server.url])
    with Session(tokens=tokens) as session:
        session.get(f"{server.url}/echo")
        pickled = pickle.dumps(session)
        assert b"token-of-a-callable" not in pickled
        arrived: Session = pickle.loads(pickled)  # noqa: S301 - made in place
    with arrived:
        sent = arrived.get(f"{server.url}/echo").json()["headers"]
    assert sent["Authorization"] == "Bearer token-of-a-callable"


def test_bound_prefix_travels(server: FakeServer, clock: Clock) -> None:
    """D13, T11: an adapter bound to the prefix that it is mounted on stays bound to it."""
    tokens = token_source(server, origins=None, client_secret=known_secret)
    with Session(runtime=clock) as session:
        session.mount(server.url, Adapter(tokens=tokens, runtime=clock))
        arrived: Session = travelled(session)
    with arrived:
        sent = arrived.get(f"{server.url}/echo").json()["headers"]
        assert sent["Authorization"].startswith("Bearer ")
        elsewhere = arrived.get(f"{server.other_url}/echo").json()["headers"]
        assert "Authorization" not in elsewhere
