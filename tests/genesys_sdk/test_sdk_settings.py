"""The SDK's own settings: hooks, timeouts, authentication, gateway, and what is refused."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from sdk_scenes import QUEUES, failure_of, installed

import weatherglass
from weatherglass.genesys import Session as GenesysSession
from weatherglass.genesys import install, region
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer, FaultPlan, faults

OAUTH = ["PureCloud OAuth"]


def test_hooks_see_and_change(api_client: Any, server: FakeServer) -> None:
    """G2: the hook before may change the request, the one after the response."""
    client = api_client.get_http_client()

    def before(options: Any) -> Any:
        options.headers = {**options.headers, "X-Hooked": "yes"}
        options.query_params = {"hooked": "1"}
        return options

    def after(response: Any) -> Any:
        assert response.report.succeeded
        response.data = '"changed"'
        return response

    client.set_pre_request_hook(before)
    client.set_post_request_hook(after)

    assert api_client.call_api("/echo", "GET", response_type="object") == "changed"
    (entry,) = server.ledger.requests(path="/echo")
    assert (entry.header("X-Hooked"), entry.query) == ("yes", "hooked=1")


def test_hooks_are_checked_by_the_sdk(api_client: Any) -> None:
    """G2: a hook with another signature is refused as before."""
    client = api_client.get_http_client()
    for setter in (client.set_pre_request_hook, client.set_post_request_hook):
        with pytest.raises(ValueError, match="Hook must be a function"):
            setter(lambda: None)


def test_hooks_run_once_for_all_attempts(api_client: Any, server: FakeServer) -> None:
    """G2: a hook is about a call, not about its attempts; after a failure there is none."""
    told: list[str] = []
    client = api_client.get_http_client()

    def before(options: Any) -> Any:
        told.append("before")
        return options

    def after(response: Any) -> Any:
        told.append("after")
        return response

    client.set_pre_request_hook(before)
    client.set_post_request_hook(after)
    server.plan = FaultPlan.script(faults.answer(503), None, faults.answer(404), path="/echo")

    api_client.call_api("/echo", "GET")
    failure_of(lambda: api_client.call_api("/echo", "GET"))

    assert told == ["before", "after", "before"]
    assert len(server.ledger.requests(path="/echo")) == 3


class Noting(HTTPAdapter):
    """Sends as usual, and notes the timeouts."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]  # whatever requests passes
        self.timeouts.append(how["timeout"])
        return super().send(request, **how)


def test_timeouts_are_those_that_somebody_set(
    api_client: Any, session: weatherglass.Session
) -> None:
    """G2, D8: milliseconds that were set hold; the SDK's unused default does not."""
    noting = session.adapter.inner = Noting()
    client = api_client.get_http_client()

    def call() -> Any:
        api_client.call_api("/echo", "GET")
        return noting.timeouts[-1]

    assert call() == (5, 30)
    client.set_timeout(2500)
    assert call() == 2.5
    client.set_timeout(16000)
    assert call() == 16
    with pytest.raises(ValueError, match="must be a number"):
        client.set_timeout("soon")

    def before(options: Any) -> Any:
        options.timeout = 700
        return options

    client.set_pre_request_hook(before)
    assert call() == 0.7
    noting.close()


def authorization(server: FakeServer) -> str | None:
    header = server.ledger.requests(path="/echo")[-1].header("Authorization")
    return None if header is None else str(header)


def test_the_sessions_token_is_sent(
    api_client: Any, configuration: Any, server: FakeServer
) -> None:
    """G2: the SDK's empty or old bearer token gives way to the session's."""
    for own, common in (("", ""), ("old", ""), ("", "common")):
        api_client.access_token, configuration.access_token = own, common
        api_client.call_api("/echo", "GET", auth_settings=OAUTH)
        assert server.ledger.requests(path="/echo")[-1].token_generation == 1


def test_other_authentications_stay(
    api_client: Any, configuration: Any, server: FakeServer
) -> None:
    """T11: Basic, a guest's token and a header of one's own are sent as they are."""
    configuration.api_key["Authorization"] = "guest-token"
    configuration.api_key_prefix["Authorization"] = "Bearer"
    api_client.call_api("/echo", "POST", auth_settings=["Guest Chat JWT"])
    assert authorization(server) == "Bearer guest-token"

    api_client.set_default_header("Authorization", "Basic eDp5")
    api_client.call_api("/echo", "POST")
    assert authorization(server) == "Basic eDp5"


def test_calls_without_authentication_stay_so(api_client: Any, server: FakeServer) -> None:
    """G2: where the SDK sends no token, nor does the session."""
    api_client.call_api("/echo", "GET", auth_settings=[])
    assert authorization(server) is None


def test_without_a_token_source_the_sdks_token_is_sent(
    sdk: Any,
    configuration: Any,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """G2: a token that the SDK has goes through; an empty one, or one of .netrc, does not."""
    assert configuration is sdk.configuration
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with weatherglass.Session() as session:
        client = installed(sdk, server, session)
        client.call_api("/echo", "GET", auth_settings=OAUTH)
        assert authorization(server) is None
        client.access_token = "own"
        client.call_api("/echo", "GET", auth_settings=OAUTH)
        assert authorization(server) == "Bearer own"
        session.auth = ("user", "password")
        client.call_api("/echo", "GET", auth_settings=OAUTH)
        assert authorization(server) == "Basic " + base64.b64encode(b"user:password").decode()


def test_the_sdks_own_grants_work(sdk: Any, configuration: Any, server: FakeServer) -> None:
    """G2: a token that the SDK is told to fetch is fetched through us, each time anew."""
    assert configuration is sdk.configuration
    policy = weatherglass.Policy(idempotency=weatherglass.IdempotencyPolicy(key="deterministic"))
    with weatherglass.Session(policy=policy) as session:
        client = installed(sdk, server, session)
        for number in (1, 2):
            client.get_client_credentials_token(CLIENT_ID, CLIENT_SECRET)
            listing = sdk.RoutingApi(client).get_routing_queues()
            assert listing.total == 0
            assert server.ledger.requests(path=QUEUES)[-1].token_generation == number
        failure = failure_of(lambda: client.get_client_credentials_token(CLIENT_ID, "wrong"))
    with weatherglass.Session() as session, weatherglass.options(policy=policy):
        installed(sdk, server, session).get_client_credentials_token(CLIENT_ID, CLIENT_SECRET)
    assert failure.status == 401
    assert {entry.idempotency_key for entry in server.ledger.token_calls()} == {None}


def test_the_sdk_never_refreshes_by_itself(api_client: Any, sdk: Any, server: FakeServer) -> None:
    """G2: a 401 that reaches the SDK stands, even if it was given a refresh token."""
    server.plan = FaultPlan.chaos([faults.answer(401)], 1, path=QUEUES)
    api_client.refresh_token = server.issue_refresh_token()

    error = failure_of(sdk.RoutingApi(api_client).get_routing_queues)

    assert error.status == 401
    assert api_client.refresh_token
    assert len(server.ledger.requests(path=QUEUES)) == 2
    bodies = {entry.body for entry in server.ledger.token_calls()}
    assert bodies == {b"grant_type=client_credentials"}
    with pytest.raises(weatherglass.InvalidPolicy, match="token source alone"):
        api_client.handle_expired_access_token()


def test_code_grants_are_token_sources(sdk: Any, configuration: Any, server: FakeServer) -> None:
    """G2: a refresh token that the SDK has needs a token source, which then serves its calls."""
    assert configuration is sdk.configuration
    client = sdk.ApiClient(host=server.url)
    client.refresh_token = server.issue_refresh_token()
    with weatherglass.Session() as session:
        with pytest.raises(weatherglass.InvalidPolicy, match=r"weatherglass\.RefreshToken"):
            install(client, session)
        assert client.http_client is None
    source = weatherglass.RefreshToken(
        token_url=server.token_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        refresh_token=client.refresh_token,
        origins=[server.url],
    )
    with weatherglass.Session(tokens=source) as session:
        install(client, session)
        assert sdk.UsersApi(client).get_users_me().name == "Fake User"


def test_a_genesys_session_says_where(sdk: Any, configuration: Any, server: FakeServer) -> None:
    """G1, G2: the SDK sends to where a Genesys session lives, without being told."""
    assert configuration is sdk.configuration
    client = sdk.ApiClient()
    with GenesysSession(
        api_url=server.url + "/prefix",
        login_url=server.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        status_feed=False,
    ) as session:
        installed_client = install(client, session)
        server.plan = FaultPlan.chaos([faults.answer(200, json={"total": 7})], 1, path="/prefix/*")
        assert sdk.RoutingApi(client).get_routing_queues().total == 7
        installed_client.uninstall()
    assert client.host == sdk.configuration.host
    (entry,) = server.ledger.requests(path="/prefix" + QUEUES)
    assert entry.token_generation == 1


def test_the_sdks_regions_are_regions(sdk: Any) -> None:
    """G1: each region of the SDK's list is known by its member, its name and its hosts."""
    for host in sdk.PureCloudRegionHosts:
        known = region(host)
        assert known.api_url == host.value
        assert known == region(host.name)


def test_a_gateway_is_gone_through(
    sdk: Any, configuration: Any, server: FakeServer, session: weatherglass.Session
) -> None:
    """G2: a gateway with a path is where calls go, with the session's token."""
    assert configuration is sdk.configuration
    client = sdk.ApiClient()
    client.set_gateway("127.0.0.1", "http", server.port, "login", "/api-path/")
    install(client, session)
    server.plan = FaultPlan.chaos([faults.answer(200, json={"total": 7})], 1, path="/api-path/*")

    assert sdk.RoutingApi(client).get_routing_queues().total == 7
    (entry,) = server.ledger.requests(path="/api-path" + QUEUES)
    assert entry.token_generation == 1
    assert client.host == sdk.configuration.host


def test_the_token_must_go_to_where_the_sdk_sends(
    sdk: Any, configuration: Any, server: FakeServer, session: weatherglass.Session
) -> None:
    """G2, T11: a gateway or host that does not get the token is refused by name."""
    assert configuration is sdk.configuration
    gateway = sdk.ApiClient()
    gateway.set_gateway("gw.example.com", "https", 8443, None, None)
    elsewhere = sdk.ApiClient(host="https://api.mypurecloud.ie")
    nowhere = sdk.ApiClient(host="api.mypurecloud.ie")

    for client, words in (
        (gateway, "the SDK's gateway is https://gw.example.com:8443, to which"),
        (elsewhere, "api_client.host is https://api.mypurecloud.ie, to which"),
        (nowhere, "api_client.host is no URL"),
    ):
        with pytest.raises(weatherglass.InvalidPolicy, match=re.escape(words)):
            install(client, session)
        assert client.http_client is None
    assert server.ledger.requests() == ()


def test_what_is_no_client_or_session_is_refused(sdk: Any, session: weatherglass.Session) -> None:
    """D16: things of another kind are refused with what is wanted."""
    with pytest.raises(weatherglass.InvalidPolicy, match="api_client is a str"):
        install("client", session)
    with pytest.raises(weatherglass.InvalidPolicy, match="session is a Session"):
        install(sdk.ApiClient(), requests.Session())  # type: ignore[arg-type]  # the point
