"""Where the token goes, and where it never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth
from storm_crew import API, OPEN, credentials, reach

from weatherglass import Adapter, InvalidPolicy, Session
from weatherglass.testing import FakeServer, FaultPlan, VirtualClock, faults

MakeSession = Callable[..., Session]


@pytest.fixture
def elsewhere(clock: VirtualClock) -> Iterator[FakeServer]:
    """Another server, on another port: another origin of the same host."""
    with FakeServer(clock=clock) as server:
        yield server


def authorizations(server: FakeServer) -> list[str | None]:
    """The credentials that arrived, token endpoint aside: only their scheme."""
    headers = [entry.header("Authorization") for entry in server.ledger.requests()[:]]
    return [None if header is None else header.partition(" ")[0] for header in headers]


def test_no_other_origin_receives_the_token(
    server: FakeServer, elsewhere: FakeServer, make_session: MakeSession
) -> None:
    """T11: to another port or another spelling of the host no token is sent."""
    session = make_session(tokens=credentials(server))
    for url in (elsewhere.url, server.other_url):
        assert reach(session, url + OPEN).status == 200
    assert authorizations(elsewhere) == [None]
    assert authorizations(server) == [None]
    assert server.ledger.token_calls() == ()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_does_not_take_the_token_along(
    server: FakeServer, elsewhere: FakeServer, make_session: MakeSession, status: int
) -> None:
    """T11, D15: a redirect to another origin arrives there without any credential."""
    session = make_session(tokens=credentials(server))
    for to in (elsewhere.url + OPEN, server.other_url + OPEN):
        server.plan = FaultPlan.script(faults.redirect(to, status), path=API)
        end = reach(session, server.url + API)
        assert end.statuses == [status, 200]
        assert end.generations == [1, None]
    assert authorizations(elsewhere) == [None]
    assert server.ledger.requests(path=OPEN)[0].header("Authorization") is None


def test_redirect_within_the_origin_keeps_the_token(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T11, D15: a hop to the same origin carries the token, by its own right."""
    server.plan = FaultPlan.script(faults.redirect(server.url + API + "?page=2"), path=API)
    session = make_session(tokens=credentials(server))
    assert reach(session, server.url + API).generations == [1, 1]


def test_redirect_to_the_bound_origin_gets_the_token(
    server: FakeServer, elsewhere: FakeServer, make_session: MakeSession
) -> None:
    """T11: a hop from elsewhere to the bound origin is authenticated there, and only there."""
    elsewhere.plan = FaultPlan.script(faults.redirect(server.url + API), path=OPEN)
    session = make_session(tokens=credentials(server))
    end = reach(session, elsewhere.url + OPEN)
    assert (end.statuses, end.generations) == ([302, 200], [None, 1])
    assert authorizations(elsewhere) == [None]


def test_token_does_not_stay_on_the_callers_request(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T9, T11: neither the prepared request nor the response holds what was added on the wire."""
    session = make_session(tokens=credentials(server))
    prepared = session.prepare_request(requests.Request("GET", server.url + API))
    response = session.send(prepared)
    assert response.status_code == 200
    assert "Authorization" not in prepared.headers
    assert response.request is prepared


OWN = [
    {"headers": {"Authorization": "Bearer mine"}},
    {"headers": {"authorization": "Bearer mine"}},
    {"auth": HTTPBasicAuth("me", "mine")},
    {"auth": ("me", "mine")},
    {"auth": lambda request: request},
]


@pytest.mark.parametrize("options", OWN)
def test_own_authentication_wins(
    server: FakeServer, make_session: MakeSession, options: dict[str, Any]
) -> None:
    """T11: with an Authorization header or auth= of the call, no token is fetched or sent."""
    session = make_session(tokens=credentials(server))
    end = reach(session, server.url + API, **options)
    assert (end.statuses, end.generations) == ([401], [None])
    assert end.report.give_up_reason is None
    assert server.ledger.token_calls() == ()


@pytest.mark.parametrize("options", OWN)
def test_own_authentication_wins_on_every_hop(
    server: FakeServer, elsewhere: FakeServer, make_session: MakeSession, options: dict[str, Any]
) -> None:
    """T11, D15: who brings an authentication gets no token instead of it on a later hop."""
    elsewhere.plan = FaultPlan.script(faults.redirect(server.url + API), path=OPEN)
    session = make_session(tokens=credentials(server))
    end = reach(session, elsewhere.url + OPEN, **options)
    assert end.statuses == [302, 401]
    assert server.ledger.token_calls() == ()


def test_own_authentication_of_the_session_wins(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T11: what was set on the session itself is the caller's as well."""
    session = make_session(tokens=credentials(server))
    session.auth = ("me", "mine")
    assert reach(session, server.url + API).statuses == [401]
    session.auth = None
    session.headers["Authorization"] = "Bearer mine"
    assert reach(session, server.url + API).statuses == [401]
    assert server.ledger.token_calls() == ()


def test_netrc_has_no_say_where_the_token_goes(
    server: FakeServer, make_session: MakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T11: a .netrc entry does not replace the token where it goes, and works elsewhere."""
    netrc = tmp_path / "netrc"
    entries = ("machine 127.0.0.1 login me password mine", "machine localhost login me password x")
    netrc.write_text("\n".join(entries))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    session = make_session(tokens=credentials(server))
    assert reach(session, server.url + API).generations == [1]
    assert reach(session, server.other_url + OPEN).status == 200
    [entry] = server.ledger.requests(path=OPEN)
    assert (entry.header("Authorization") or "").startswith("Basic ")


def test_401_with_own_authentication_does_not_refresh_the_token(
    server: FakeServer, make_session: MakeSession
) -> None:
    """T3, T11: a caller's own bad credential says nothing about the session's token."""
    session = make_session(tokens=credentials(server))
    reach(session, server.url + API)
    reach(session, server.url + API, headers={"Authorization": "Bearer mine"})
    assert reach(session, server.url + API).generations == [1]
    assert len(server.ledger.token_calls()) == 1


def test_source_is_bound_by_the_mount_prefix(
    server: FakeServer, elsewhere: FakeServer, make_session: MakeSession, clock: VirtualClock
) -> None:
    """T11: a source that names no origins serves the one that its adapter is mounted on."""
    session = make_session()
    adapter = Adapter(tokens=credentials(server, origins=None), runtime=clock)
    session.mount(server.url + "/api/", adapter)
    session.mount("http://", adapter)
    assert reach(session, server.url + API).generations == [1]
    assert reach(session, elsewhere.url + OPEN).generations == [None]
    assert authorizations(elsewhere) == [None]
    adapter.close()


def test_source_without_any_origin_is_refused(server: FakeServer, clock: VirtualClock) -> None:
    """T11: where neither source nor prefix says where the token may go, nothing is sent at all."""
    source = credentials(server, origins=None)
    with pytest.raises(InvalidPolicy, match=r"tokens\.origins"):
        Session(tokens=source)
    with requests.Session() as session:
        adapter = Adapter(tokens=source, runtime=clock)
        session.mount(server.url, adapter)
        with pytest.raises(InvalidPolicy, match=r"tokens\.origins"):
            session.get(server.url + API)
    assert server.ledger.requests() == ()


def test_plain_session_with_our_adapter(
    server: FakeServer, elsewhere: FakeServer, clock: VirtualClock
) -> None:
    """T11, D2: on a requests.Session as well, the token goes to its origin and no further."""
    with requests.Session() as session:
        adapter = Adapter(tokens=credentials(server), runtime=clock)
        session.mount("http://", adapter)
        server.plan = FaultPlan.script(faults.redirect(elsewhere.url + OPEN), path=API)
        assert reach(session, server.url + API).status == 200
        assert reach(session, server.url + API).generations == [1]
    assert authorizations(elsewhere) == [None]
