"""The session for Genesys Cloud: ready for use, and still the session that it is made of."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import requests
from genesys_scenes import NO_RETRIES, QUEUES, USERS_ME, api_script, session_on, travelled

import weatherglass
from weatherglass import (
    Callbacks,
    IdempotencyPolicy,
    MaintenancePolicy,
    Policy,
    RetryPolicy,
    load_policy,
)
from weatherglass.genesys import Session, profile
from weatherglass.policy.feed import StatusFeed
from weatherglass.testing import FakeServer, FaultPlan, faults


def test_session_is_ready_for_use(server: FakeServer) -> None:
    """G1: region, id and secret are enough: it gets its token and calls by relative paths."""
    with session_on(server) as session:
        response = session.get(QUEUES, params={"pageSize": 5})

    assert response.json()["pageSize"] == 5
    assert response.url == f"{server.url}{QUEUES}?pageSize=5"
    (call,) = server.ledger.token_calls()
    assert call.header(
        "Authorization",
    ).startswith("Basic ")  # type: ignore[union-attr]  # it is there
    assert b"grant_type=client_credentials" in call.body


@pytest.mark.parametrize("method", ["get", "options", "head", "post", "put", "patch", "delete"])
def test_every_verb_takes_a_relative_path(server: FakeServer, method: str) -> None:
    """G1: a path is put behind the API's URL, whatever the method; a URL is left as it is."""
    with session_on(server, api_url=f"{server.url}/status/") as session:
        assert getattr(session, method)("/204").url == f"{server.url}/status/204"
        assert getattr(session, method)(f"{server.url}/echo").url == f"{server.url}/echo"
        assert session.request(method=method, url="/204").status_code == 204


def test_path_cannot_lead_to_another_host(server: FakeServer) -> None:
    """T11: a path that looks like a host is still a path of the API."""
    with session_on(server) as session:
        response = session.get("//example.com/api/v2/users/me")
        path = "/api/v2/users/https://example.com/x"
        assert session.url(path) == session.api_url + path

    assert response.url.startswith(f"{server.url}//example.com")


def test_path_may_do_without_its_first_slash(server: FakeServer) -> None:
    """G1: ``api/v2/…`` is a path of the API as well; what else has no scheme is still refused."""
    with session_on(server) as session:
        assert session.get(QUEUES.removeprefix("/")).url == server.url + QUEUES
        with pytest.raises(requests.exceptions.MissingSchema):
            session.get("api.mypurecloud.ie/api/v2/users/me")


def test_gateways_path_stands_before_every_call(server: FakeServer) -> None:
    """G1: the prefix of a gateway comes before the path, for API and token endpoint alike."""
    server.plan = FaultPlan.script(
        faults.answer(200, json={"access_token": "t-1", "expires_in": 60}), path="/id/oauth/token"
    )
    with session_on(server, api_url=f"{server.url}/gw/", login_url=f"{server.url}/id") as session:
        session.get(QUEUES)

    assert [e.path for e in server.ledger.requests()] == ["/id/oauth/token", f"/gw{QUEUES}"]


def test_answer_tells_what_a_client_credentials_token_is_not(server: FakeServer) -> None:
    """G1: the API's own 400 ``not.a.user`` comes back as it is, and once."""
    with session_on(server) as session:
        response = session.get(USERS_ME)

    assert (response.status_code, response.json()["code"]) == (400, "not.a.user")
    assert len(weatherglass.report(response).attempts) == 1


def test_ip_not_authorized_fetches_no_new_token(server: FakeServer) -> None:
    """C8: a 401 that no token can change is final, where an expired token is fetched anew."""
    server.plan = api_script(
        faults.answer(401, code="ip.not.authorized"), faults.answer(401, code="bad.credentials")
    )
    with session_on(server) as session:
        assert session.get(QUEUES).status_code == 401
        assert len(server.ledger.token_calls()) == 1
        assert session.get(QUEUES).status_code == 200
        assert len(server.ledger.token_calls()) == 2


def test_correlation_id_is_in_the_report(server: FakeServer) -> None:
    """C2: the id by which Genesys finds an exchange again is that of the failure."""
    server.plan = api_script(faults.answer(503, code="service.unavailable"))
    with session_on(server, policy=NO_RETRIES) as session:
        response = session.get(QUEUES)

    failure = weatherglass.report(response).attempts[0].failure
    assert failure is not None
    assert failure.correlation_id == response.headers["ININ-Correlation-Id"]
    assert failure.correlation_id == response.json()["contextId"]


def test_reset_of_the_limit_is_waited_for(server: FakeServer) -> None:
    """A3: a 429 without Retry-After says in ``inin-ratelimit-reset`` when to come back."""
    limited = faults.answer(429, code="too.many.requests", headers={"inin-ratelimit-reset": "7"})
    server.plan = api_script(limited)
    with session_on(server) as session:
        report = weatherglass.report(session.get(QUEUES))

    failure = report.attempts[0].failure
    assert failure is not None
    assert failure.retry_after is not None
    assert (str(failure.retry_after.source), failure.retry_after.seconds) == ("ratelimit_reset", 7)
    assert report.succeeded
    assert report.waited >= 7


def test_daily_limit_is_not_waited_for(server: FakeServer) -> None:
    """A6: a limit that lasts for hours ends the call at once, with the server's own words."""
    server.plan = api_script(faults.daily_limit(5.0))
    with session_on(server) as session:
        began = server.clock.monotonic()
        report = weatherglass.report(session.get(QUEUES))

    assert str(report.give_up_reason) == "retry_after_above_ceiling"
    assert server.clock.monotonic() - began < 1


def test_settings_of_ones_own_stay(server: FakeServer, tmp_path: Path) -> None:
    """G1: what a policy sets holds; what it leaves at its default is the profile's."""
    own = Policy(
        name="orders",
        deadline=20,
        retry=RetryPolicy(max_retries=1),
        idempotency=IdempotencyPolicy(key="per_call", done_codes=("already.there",)),
    )
    with session_on(server, policy=own) as session:
        policy = session.policy

    assert (policy.name, policy.deadline, policy.retry.max_retries) == ("orders", 20, 1)
    assert (policy.idempotency.key, policy.idempotency.key_format) == ("per_call", "uuid")
    assert policy.idempotency.done_codes == ("already.there", "duplicate.name")
    assert policy.correlation_headers == ("inin-correlation-id",)

    file = tmp_path / "weatherglass.toml"
    file.write_text('[idempotency]\nkey_format = "hex"\n', encoding="utf-8")
    loaded = load_policy(file, environ={})
    with session_on(server, policy=loaded) as session:
        assert session.policy.idempotency.key_format == "hex"
        assert session.policy.idempotency.key == "deterministic"


def test_policy_that_has_the_profile_is_taken_as_it_is(server: FakeServer) -> None:
    """G1: whoever takes the profile's own policy and changes it gets just that."""
    own = profile("mypurecloud.ie", "me", status_feed=False).policy()
    own = own.new(idempotency={"key": None})
    with session_on(server, policy=own) as session:
        assert session.policy is own
        session.post(QUEUES, json={"name": "Support"})

    (entry,) = server.ledger.requests(path=QUEUES)
    assert entry.header("Idempotency-Key") is None


def test_rule_that_was_taken_out_of_the_profile_stays_out(server: FakeServer) -> None:
    """G1: the profile's own policy is known by what is left in it, be it rules or headers."""
    whole = profile(client_id="me").policy().new(idempotency={"key": None})
    for own in (whole.new(rules=whole.rules[1:]), whole.new(rules=())):
        with session_on(server, policy=own) as session:
            assert session.policy is own


def test_two_clients_share_no_key_whoever_made_the_policy(server: FakeServer) -> None:
    """I2: a policy made by the profile, but for no client, gets the session's."""
    own = profile().policy(Policy(deadline=20))
    with session_on(server, policy=own, client_id="one", client_secret="x") as session:
        assert session.policy == own.new(idempotency={"client_id": "one"})


def test_profile_works_on_a_plain_session(server: FakeServer) -> None:
    """G1: the profile is data, and serves any session of weatherglass."""
    policy = profile(client_id="me").policy(NO_RETRIES)
    server.plan = FaultPlan.script(faults.answer(500, code="internal.dependency.error"))
    with weatherglass.Session(policy=policy, runtime=server.clock) as session:
        failure = weatherglass.report(session.get(f"{server.url}/echo")).attempts[0].failure

    assert failure is not None
    assert failure.rule == "Genesys: dependency failed"
    assert policy.maintenance.feeds == ()


def test_profile_without_a_session_knows_the_regions_hosts() -> None:
    """M1: what the page says of a region concerns its API and its token endpoint, and no other."""
    (feed,) = profile("eu-west-1").feeds

    assert feed.hosts == ("api.mypurecloud.ie", "login.mypurecloud.ie")


def test_status_feed_is_the_regions() -> None:
    """M1: unless told otherwise, a session reads the status page for its region's components."""

    def feeds(**arguments: Any) -> tuple[StatusFeed, ...]:
        with Session(client_id="me", client_secret="x", **arguments) as session:
            return session.policy.maintenance.feeds

    (feed,) = feeds(region="mypurecloud.de")
    assert feed.url == "https://status.mypurecloud.com"
    assert set(feed.hosts) == {"api.mypurecloud.de", "login.mypurecloud.de"}
    assert feed.components == ("*(Frankfurt)*",)
    assert feeds(region="mypurecloud.de", status_feed=False) == ()
    (other,) = feeds(region="mypurecloud.de", status_feed="https://status.example.com")
    assert (other.url, other.components) == ("https://status.example.com", feed.components)
    assert feeds(api_url="https://a.example.com", login_url="https://b.example.com") == ()
    assert feeds(region="mypurecloud.de", api_url="http://127.0.0.1:1") == ()


@pytest.mark.parametrize("status_feed", [True, False])
def test_policy_of_the_profile_brings_no_status_page_in(
    server: FakeServer, status_feed: bool
) -> None:
    """G1: switched off, or on loopback, the page is not read, though the policy has it already."""
    base = Policy(maintenance=MaintenancePolicy(feeds=(StatusFeed("https://status.example.com"),)))
    own = profile("mypurecloud.ie", "me").policy(base)
    assert len(own.maintenance.feeds) == 2
    with session_on(server, policy=own, status_feed=status_feed) as session:
        assert session.policy == own.new(maintenance={"feeds": base.maintenance.feeds})


def test_own_feed_is_asked_as_well() -> None:
    """M1: feeds of a policy are joined with the profile's."""
    own = StatusFeed("https://status.example.com", name="ours")
    policy = Policy(maintenance=MaintenancePolicy(feeds=(own,)))
    with Session(
        region="mypurecloud.ie", client_id="me", client_secret="x", policy=policy
    ) as session:
        assert [f.name for f in session.policy.maintenance.feeds] == ["ours", "genesys status page"]


def test_all_else_is_the_cores(server: FakeServer) -> None:
    """D1: further arguments are those of ``weatherglass.Session``, and so is the rest of it."""
    ended: list[Any] = []
    callbacks = Callbacks(on_call=ended.append)
    with session_on(server, callbacks=callbacks, pool_maxsize=1, pool_block=True) as session:
        assert isinstance(session, weatherglass.Session)
        assert isinstance(session, requests.Session)
        session.headers["X-Own"] = "yes"
        session.get(QUEUES, deadline=5)

    assert len(ended) == 1
    assert server.ledger.requests(path=QUEUES)[0].header("X-Own") == "yes"
    with pytest.raises(TypeError, match="max_retries"):
        session_on(server, max_retries=5)


def test_session_travels_and_copies(server: FakeServer) -> None:
    """D13: a pickled session knows its region and its hosts, with what a subclass adds."""
    with session_on(server) as session:
        session.headers["X-Own"] = "yes"
        for other in (travelled(session), copy.copy(session)):
            assert type(other) is Session
            assert other.region == session.region
            assert (other.api_url, other.login_url) == (session.api_url, session.login_url)
            assert other.headers["X-Own"] == "yes"
            assert other.url("/x") == f"{server.url}/x"


def test_pickled_code_grant_stays_bound_to_the_api(server: FakeServer) -> None:
    """T11: a source that names no origin is bound to the API's, in a pickle as well."""
    tokens = weatherglass.CallableTokens(a_token)
    with session_on(server, tokens=tokens) as session:
        session.get("/echo")
        with travelled(session) as restored:
            restored.get("/echo")

    sent = [entry.header("Authorization") for entry in server.ledger.requests(path="/echo")]
    assert sent == ["Bearer a-token"] * 2


def a_token() -> str:
    """A function that pickles by its name."""
    return "a-token"


def test_repr_says_where_it_is(server: FakeServer) -> None:
    """D7: a session shows its region and where its calls go."""
    with session_on(server) as session:
        assert repr(session) == f"Session(region='mypurecloud.ie', api_url='{server.url}')"
