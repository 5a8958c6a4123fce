"""Origins: one spelling for each, and never another host than the one that is connected to."""

from __future__ import annotations

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import Origin, checked_url, declared_origins, origin_of

SPELLINGS = [
    ("https://api.example.com", "https://api.example.com"),
    ("https://api.example.com/", "https://api.example.com"),
    ("HTTPS://API.Example.COM:443/v2?q=/a#b", "https://api.example.com"),
    ("http://api.example.com:80", "http://api.example.com"),
    ("https://api.example.com:80/", "https://api.example.com:80"),
    ("http://api.example.com:443", "http://api.example.com:443"),
    ("https://api.example.com:8443/a", "https://api.example.com:8443"),
    ("https://user:pass@api.example.com/", "https://api.example.com"),
    ("https://api.example.com:/", "https://api.example.com"),
    ("https://api.example.com?next=https://evil.example/", "https://api.example.com"),
    ("https://evil.example#@api.example.com/", "https://evil.example"),
    ("https://[::1]/", "https://[::1]"),
    ("https://[0:0:0:0:0:0:0:1]:443/", "https://[::1]"),
    ("https://[2001:DB8::A]:8443/", "https://[2001:db8::a]:8443"),
    ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
    ("https://bücher.example/liste", "https://xn--bcher-kva.example"),
    ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
    ("http://a/b", "http://a"),
]


@pytest.mark.parametrize(("url", "name"), SPELLINGS)
def test_origin_is_normalised(url: str, name: str) -> None:
    """T11: case, default port, user info, path and IPv6 spelling make no other origin."""
    assert origin_of(url).name == name
    assert str(origin_of(url)) == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "/path",
        "https://",
        "https:///path",
        "https://host:port/",
        "https://host:99999/",
        "https://[::1",
        "https://user:secret-port",
        "http://\udcff/",
    ],
)
def test_origin_of_no_url_raises_what_requests_raises(url: str) -> None:
    """T11, T9: a URL without an origin is an InvalidURL, and the message does not quote it."""
    with pytest.raises(InvalidURL) as caught:
        origin_of(url)
    assert "secret" not in str(caught.value)


def test_origin_has_its_parts() -> None:
    """T11: host and port of an origin are what is connected to, the default port included."""
    assert origin_of("https://[::1]/x") == Origin("https://[::1]", "https", "::1", 443)
    assert origin_of("http://h:8080") == Origin("http://h:8080", "http", "h", 8080)
    assert origin_of("ws://h/a/b").port == 0


def test_paths_share_one_cache_entry() -> None:
    """T11: looking up the origin of many paths of one host parses it once."""
    first = origin_of("https://many-paths.example/0")
    assert all(origin_of(f"https://many-paths.example/{n}") is first for n in range(1, 50))


@given(
    st.sampled_from(["http", "https", "HTTP"]),
    st.text(alphabet="ab@:/?#\\[]%.1 \t", min_size=1, max_size=12),
)
def test_origin_is_where_requests_connects(scheme: str, rest: str) -> None:
    """T11: for any URL that requests would send, the origin names the host it connects to."""
    url = f"{scheme}://{rest}"
    prepared = requests.PreparedRequest()
    prepared.url = url
    try:
        host, _ = HTTPAdapter().build_connection_pool_key_attributes(prepared, verify=True)
        origin = origin_of(url)
    except ValueError:
        return
    own = 443 if scheme == "https" else 80
    assert (origin.scheme, origin.host, origin.port) == (
        host["scheme"],
        host["host"],
        own if host["port"] is None else host["port"],
    )


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1/", True),
        ("http://api.localhost/", True),
        ("http://127.0.0.1/", True),
        ("http://127.8.8.8/", True),
        ("http://[::1]:9/", True),
        ("http://localhost.example.com/", False),
        ("http://128.0.0.1/", False),
        ("http://notlocalhost/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://[::2]/", False),
    ],
)
def test_loopback(url: str, *, loopback: bool) -> None:
    """T9: only localhost, names below it and loopback addresses are loopback."""
    assert origin_of(url).loopback is loopback


def test_declared_origins_are_normalised() -> None:
    """T11: origins are compared by their normal form, and one may be given alone."""
    declared = declared_origins(
        ["https://API.example.com:443/", "http://localhost:80"], "x", allow_insecure=False
    )
    assert declared == frozenset({"https://api.example.com", "http://localhost"})
    alone = declared_origins("https://a.example", "x", allow_insecure=False)
    assert alone == frozenset({"https://a.example"})
    assert declared_origins(None, "x", allow_insecure=False) is None


@pytest.mark.parametrize(
    ("given_origins", "complaint"),
    [
        ([], "x is empty"),
        (["https://api.example.com/v2"], "path or query"),
        (["https://api.example.com?x=1"], "path or query"),
        (["https://api.example.com/#top"], "fragment"),
        (["https://user:hunter2@api.example.com"], "credentials"),
        (["http://api.example.com"], "must be https"),
        (["ftp://api.example.com"], "scheme"),
        (["api.example.com"], "no URL"),
        ([443], "must be a text"),
    ],
)
def test_bad_origins_are_refused(given_origins: list[str], complaint: str) -> None:
    """T9, T11: what is no plain, safe origin is refused, and a password in it is not shown."""
    with pytest.raises(InvalidPolicy, match=complaint) as caught:
        declared_origins(given_origins, "x", allow_insecure=False)
    assert "hunter2" not in str(caught.value)


def test_insecure_origin_needs_permission() -> None:
    """T9: plain HTTP beyond loopback is possible only when it is allowed in so many words."""
    assert checked_url("http://a.example/t", "x", allow_insecure=True).name == "http://a.example"
    with pytest.raises(InvalidPolicy, match="allow_insecure"):
        checked_url("http://a.example/t", "x", allow_insecure=False)
