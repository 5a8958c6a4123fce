"""How the SDK is told to connect: proxy and certificates, for calls and for their token."""

from __future__ import annotations

import base64
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from forward_proxy import ForwardProxy
from requests.adapters import HTTPAdapter
from sdk_scenes import QUEUES, failure_of, installed, token_source

import weatherglass
from weatherglass.testing import FakeServer

CERTIFICATE = Path(__file__).parents[1] / "testing" / "loopback.pem"
"""Key and certificate for 127.0.0.1 and localhost, which is its own authority."""

ONCE = weatherglass.Policy(retry=weatherglass.RetryPolicy(max_retries=0))


@pytest.fixture
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without authorities from the environment, which ``requests`` puts above a session's."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secure_server() -> Iterator[FakeServer]:
    """A server that speaks HTTPS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with FakeServer(tls=context) as server:
        yield server


@pytest.fixture
def strict_server() -> Iterator[FakeServer]:
    """Likewise, and it wants a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(CERTIFICATE)
    with FakeServer(tls=context, require_tokens=True) as server:
        yield server


def test_the_proxy_is_used(
    sdk: Any, configuration: Any, server: FakeServer, session: weatherglass.Session
) -> None:
    """G2: calls and the token go through the SDK's proxy, with its credentials."""
    client = installed(sdk, server, session)
    with ForwardProxy() as proxy:
        configuration.proxy = proxy.url
        configuration.proxy_username = "us:er"
        configuration.proxy_password = "p@ss wörd"
        assert sdk.RoutingApi(client).get_routing_queues().total == 0
        configuration.proxy = None
        assert sdk.RoutingApi(client).get_routing_queues().total == 0

    asked = [line.split()[1].partition("?")[0] for line in proxy.requests]
    assert asked == [server.token_url, server.url + QUEUES]
    wanted = base64.b64encode("us:er:p@ss wörd".encode("latin-1")).decode()
    assert set(proxy.authorizations) == {f"Basic {wanted}"}
    assert len(server.ledger.requests(path=QUEUES)) == 2


def test_a_proxy_that_is_down_is_told_without_its_password(
    sdk: Any, configuration: Any, server: FakeServer
) -> None:
    """G2, T9: a proxy's failure is ours to tell, and its password nobody's."""
    with weatherglass.Session(policy=ONCE) as session:
        client = installed(sdk, server, session)
        configuration.proxy = server.refused_url()
        configuration.proxy_username, configuration.proxy_password = "user", "hunter2"
        error = failure_of(lambda: client.call_api("/echo", "GET"))

    assert error.status == 0
    assert isinstance(error.__cause__, requests.exceptions.ProxyError)
    assert "hunter2" not in f"{error}{error.__cause__!r}{weatherglass.report(error)}"


def test_verification_is_the_sdks(sdk: Any, configuration: Any, secure_server: FakeServer) -> None:
    """G2, S1: TLS is verified unless the SDK is told otherwise, with the authority it is told."""
    with weatherglass.Session(policy=ONCE) as session:
        client = installed(sdk, secure_server, session)
        error = failure_of(lambda: client.call_api("/echo", "GET"))
        assert error.failure.kind == "tls_certificate"
        configuration.verify_ssl = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.call_api("/echo", "GET")
        configuration.verify_ssl = True
        configuration.ssl_ca_cert = str(CERTIFICATE)
        client.call_api("/echo", "GET")
        configuration.ssl_ca_cert = "/no/such/file"
        assert "OSError" in failure_of(lambda: client.call_api("/echo", "GET")).reason
    assert secure_server.ledger.by_status(path="/echo") == {200: 2}


@pytest.mark.parametrize("way", ["files", "context"])
def test_client_certificates_are_sent(
    sdk: Any, configuration: Any, strict_server: FakeServer, way: str
) -> None:
    """G2: with mutual TLS, calls and their token get through, by files and by a context."""
    if way == "files":
        configuration.ssl_ca_cert = str(CERTIFICATE)
        configuration.cert_file = configuration.key_file = str(CERTIFICATE)
    else:
        configuration.set_mtls_certificates(*[str(CERTIFICATE)] * 3)
        before = configuration.ssl_context.cert_store_stats()
    with weatherglass.Session(tokens=token_source(strict_server)) as session:
        client = installed(sdk, strict_server, session)
        assert sdk.RoutingApi(client).get_routing_queues().total == 0
        configuration.ssl_context = configuration.cert_file = None
        configuration.ssl_ca_cert = str(CERTIFICATE)
        # Not on a connection that was opened with the certificate.
        error = failure_of(sdk.RoutingApi(client).get_routing_queues)
        assert error.status == 0
    if way == "context":
        configuration.set_mtls_certificates(*[str(CERTIFICATE)] * 3)
        assert configuration.ssl_context.cert_store_stats() == before


@pytest.mark.usefixtures("no_bundle")
def test_certificates_of_the_session_win(
    sdk: Any, configuration: Any, secure_server: FakeServer
) -> None:
    """G2: a context that the SDK made for another of its clients is not in the session's way."""
    sdk.ApiClient().get_http_client()
    assert configuration.ssl_context is not None
    with weatherglass.Session() as session:
        session.verify = str(CERTIFICATE)
        client = installed(sdk, secure_server, session)
        client.call_api("/echo", "GET")


def test_a_context_needs_our_adapter(
    sdk: Any, configuration: Any, secure_server: FakeServer
) -> None:
    """G2: where a foreign adapter would ignore the SDK's context, the call is refused."""
    configuration.set_mtls_certificates(*[str(CERTIFICATE)] * 3)
    with weatherglass.Session() as session:
        session.mount(secure_server.url, HTTPAdapter())
        client = installed(sdk, secure_server, session)
        with pytest.raises(weatherglass.InvalidPolicy, match="ssl_context needs a weatherglass"):
            client.call_api("/echo", "GET")


def test_a_foreign_adapter_is_let_be(
    sdk: Any, configuration: Any, secure_server: FakeServer
) -> None:
    """G2: what goes through another adapter works by the SDK's rules, without a report."""
    configuration.ssl_ca_cert = str(CERTIFICATE)
    with weatherglass.Session() as session:
        session.mount("https://", HTTPAdapter())
        client = installed(sdk, secure_server, session)
        client.call_api("/echo", "GET")
        assert client.last_response.report is None
        theirs = failure_of(lambda: client.call_api("/status/503", "GET"))
        client.host = secure_server.refused_url()
        ours = failure_of(lambda: client.call_api("/echo?access_token=abc123", "GET"))

    assert (theirs.status, theirs.report, theirs.failure) == (503, None, None)
    assert (ours.status, ours.report) == (0, None)
    assert ours.reason.startswith("ConnectionError: ")
    assert "abc123" not in str(ours)
    with pytest.raises(LookupError):
        weatherglass.report(theirs)


def test_mocked_calls_reach_the_sdk(
    sdk: Any, api_client: Any, configuration: Any, server: FakeServer
) -> None:
    """D3: tools that stand in for the network serve the SDK's calls, whatever its settings."""
    configuration.proxy = server.refused_url()
    with responses.RequestsMock() as mocked:
        mocked.post(server.token_url, json={"access_token": "x", "expires_in": 300})
        mocked.get(server.url + QUEUES, json={"total": 7}, headers={"X-Odd": "1"})
        assert sdk.RoutingApi(api_client).get_routing_queues().total == 7
    assert api_client.last_response.getheader("x-odd") == "1"
    assert server.ledger.requests() == ()
