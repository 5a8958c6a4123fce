"""How long an attempt may take: the caller's word, else the policy's, else the default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from scenes import SHORT, Clock, Noting, kinds
from urllib3.util import Timeout

import weatherglass
from weatherglass import Adapter, Policy, Session, TimeoutPolicy
from weatherglass.testing import FakeServer, FaultPlan, faults

SLOW = Policy(timeout=TimeoutPolicy(connect=7, read=70))


@pytest.fixture
def below() -> Iterator[Noting]:
    """What stands below the adapter and sees the timeout of each attempt."""
    noting = Noting()
    yield noting
    noting.close()


@pytest.fixture
def noted(session: Session, below: Noting) -> Session:
    """A session whose attempts are noted."""
    session.adapter.inner = below
    return session


def test_default_timeout_is_where_requests_has_none(
    server: FakeServer, noted: Session, below: Noting
) -> None:
    """D8: without a word of the caller's, connecting may take 5 s and each read 30 s."""
    server.plan = FaultPlan.script(faults.answer(503))
    noted.get(f"{server.url}/echo")
    noted.send(noted.prepare_request(requests.Request("GET", f"{server.url}/echo")))
    noted.get(f"{server.url}/redirect?to=/echo")
    assert below.timeouts == [(5, 30)] * 5


@pytest.mark.parametrize("given", [3, (1, 2), (None, 4), None, Timeout(connect=8, read=9)])
def test_explicit_timeout_wins(
    server: FakeServer, noted: Session, below: Noting, given: Any
) -> None:
    """D8: a timeout that is given is passed on as it is, ``None`` for "wait for ever" too."""
    server.plan = FaultPlan.script(faults.answer(503))
    noted.get(f"{server.url}/echo", timeout=given)
    prepared = noted.prepare_request(requests.Request("GET", f"{server.url}/echo"))
    noted.send(prepared, timeout=given)
    noted.get(f"{server.url}/redirect?to=/echo", timeout=given)
    assert below.timeouts == [given] * 5


def test_policy_sets_the_timeout(server: FakeServer, clock: Clock, below: Noting) -> None:
    """D8, D16: the policy's timeouts hold, that of the session or of a single call."""
    with Session(runtime=clock, policy=SLOW) as session:
        session.adapter.inner = below
        session.get(f"{server.url}/echo")
        session.request("GET", f"{server.url}/echo", policy=Policy())
        with weatherglass.options(policy=Policy(timeout=TimeoutPolicy(connect=None, read=1))):
            session.get(f"{server.url}/echo")
            session.get(f"{server.url}/echo", timeout=2)
    assert below.timeouts == [(7, 70), (5, 30), (None, 1), 2]


def test_adapter_on_a_plain_session_has_a_default_too(
    server: FakeServer, clock: Clock, below: Noting
) -> None:
    """D8: with the adapter, a plain session's calls without a timeout get the policy's."""
    with requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock, inner=below))
        plain.mount(server.other_url, Adapter(runtime=clock, inner=below, policy=SLOW))
        plain.get(f"{server.url}/echo")
        plain.get(f"{server.other_url}/echo")
        plain.get(f"{server.url}/echo", timeout=3)
    assert below.timeouts == [(5, 30), (7, 70), 3]


def test_timeout_that_passes_is_a_failure_like_any_other(
    server: FakeServer, session: Session
) -> None:
    """D8, N1: an attempt that is cut off by its timeout is classified and replayed."""
    server.plan = FaultPlan.script(faults.hang(), faults.hang())
    answer = session.get(f"{server.url}/echo", timeout=(20, 6 * SHORT))
    assert kinds(answer) == ["read_timeout", "read_timeout", None]


def test_nonsense_timeout_is_requests_own_error(server: FakeServer, session: Session) -> None:
    """D8: what requests takes for an invalid timeout, it still says so, deadline or not."""
    nonsense: Any = (1, 2, 3)
    given: list[dict[str, Any]] = [{}, {"deadline": 5}]
    for options in given:
        with pytest.raises(ValueError, match="Invalid timeout"):
            session.request("GET", f"{server.url}/echo", timeout=nonsense, **options)
    assert len(server.ledger) == 0
