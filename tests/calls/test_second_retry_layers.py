"""Retries beside ours multiply the attempts: refused where they can be, else warned of once."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import requests
import tenacity
from requests.adapters import HTTPAdapter
from scenes import Clock, statuses, token_source
from urllib3.util import Retry

from weatherglass import Adapter, InvalidPolicy, SecondRetryLayerWarning, Session
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults

pytestmark = pytest.mark.usefixtures("warned_of_nothing")

DOWN_ONCE = FaultPlan.script(faults.answer(503))


@pytest.mark.parametrize("given", [3, 0, Retry(3), Retry(total=None, connect=2)])
def test_max_retries_is_refused(given: int | Retry) -> None:
    """D4: ``max_retries`` on our adapter is an error that says what to set instead."""
    with pytest.raises(InvalidPolicy, match=r"RetryPolicy\(max_retries=\.\.\.\)") as caught:
        Adapter(max_retries=given)
    assert f"max_retries is {given!r}" in str(caught.value)


@pytest.mark.parametrize("given", [3, Retry(3), Retry(total=None, status=1)])
def test_max_retries_is_refused_on_a_mounted_adapter(session: Session, given: Any) -> None:
    """D4: likewise where applications are used to set it later on."""
    with pytest.raises(InvalidPolicy, match=r"RetryPolicy\(max_retries=\.\.\.\)"):
        session.adapter.max_retries = given


def test_urllib3_s_own_retries_are_off(server: FakeServer, session: Session) -> None:
    """D4: urllib3 repeats nothing below us, whatever it would repeat by default."""
    off = session.adapter.max_retries
    assert (off.total, off.read, off.respect_retry_after_header) == (0, False, False)
    server.plan = FaultPlan.script(
        faults.answer(503, retry_after=1), faults.reset(), faults.redirect("/echo")
    )
    session.request("GET", f"{server.url}/echo", max_retries=2)
    assert len(server.ledger) == 4  # the last is the redirect's, which requests follows


def test_retry_mounted_beside_a_session_s_adapter_warns_once(session: Session) -> None:
    """D4: an adapter with a ``urllib3.Retry`` beside ours warns as it is mounted, and once."""
    with pytest.warns(SecondRetryLayerWarning, match="'https://a.example'.*retries by itself"):
        session.mount("https://a.example", HTTPAdapter(max_retries=3))
    session.mount("https://b.example", HTTPAdapter(max_retries=3))


def test_retry_without_a_total_is_one_as_well(session: Session) -> None:
    """D4: a ``Retry`` that has only single counts is detected like one with a total."""
    with pytest.warns(SecondRetryLayerWarning):
        session.mount("https://a.example", HTTPAdapter(max_retries=Retry(total=None, connect=1)))


def test_adapters_that_do_not_retry_warn_of_nothing(session: Session) -> None:
    """D4: an ordinary adapter beside ours is no second layer."""
    session.mount("https://a.example", HTTPAdapter())
    session.mount("https://b.example", Adapter())
    session.mount("https://c.example", HTTPAdapter(max_retries=Retry(0)))


def test_retry_beside_the_adapter_on_a_plain_session_warns_at_the_first_retry(
    server: FakeServer, clock: Clock
) -> None:
    """D4: on a plain session it is found once a call is retried, and not before."""
    server.plan = FaultPlan.script(None, *[faults.answer(503)] * 2)
    with requests.Session() as plain:
        plain.mount(server.url, Adapter(runtime=clock))
        plain.mount("https://a.example", HTTPAdapter(max_retries=3))
        plain.get(f"{server.url}/echo")
        with pytest.warns(SecondRetryLayerWarning, match=r"https://a\.example") as caught:
            plain.get(f"{server.url}/echo")
        assert len(caught) == 1


def around(call: Any) -> Any:
    """Another tenacity, as an application might have it."""
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        retry=tenacity.retry_if_result(lambda answer: not answer.ok),
        wait=tenacity.wait_none(),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )(call)


def test_tenacity_around_a_call_warns_once(server: FakeServer, session: Session) -> None:
    """D4: a tenacity of the application's around our calls warns at the first retry, once."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 20)

    @around
    def get() -> requests.Response:
        return session.request("GET", f"{server.url}/echo", max_retries=1)

    with pytest.warns(SecondRetryLayerWarning, match="tenacity retry runs around") as caught:
        assert get().status_code == 503
    assert len(caught) == 1
    assert len(server.ledger) > 2, "the layers must have multiplied, or there is nothing to prove"


def test_tenacity_around_a_healthy_call_warns_of_nothing(
    server: FakeServer, session: Session
) -> None:
    """D4: nobody looks for a second layer, let alone warns of it, while all is well."""
    assert around(lambda: session.get(f"{server.url}/echo"))().ok


def test_our_own_tenacity_is_no_second_layer(server: FakeServer, clock: Clock) -> None:
    """D4: our own retries warn of nothing, nor do a refresh's amid those of a call."""
    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(None, *[faults.answer(503)] * 2, path=TOKEN_PATH).rules,
            *FaultPlan.script(
                *[faults.answer(503)] * 2, faults.revoke(of=faults.answer(401)), path="/echo"
            ).rules,
        )
    )
    with Session(runtime=clock, tokens=token_source(server)) as session, warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = session.get(f"{server.url}/echo")
    assert statuses(answer) == [503, 503, 401, 200]
    assert len(server.ledger.token_calls()) == 4
