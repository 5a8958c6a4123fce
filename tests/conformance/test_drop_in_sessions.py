"""What applications do with sessions of requests, done with both: subclasses, settings, copies."""

from __future__ import annotations

import copy
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

import weatherglass
from weatherglass.testing import FakeServer

Sent = list[tuple[requests.PreparedRequest, dict[str, Any]]]


class Original(requests.Session):
    """An application's session, as such classes are written: with attributes that pickle."""

    __attrs__ = [*requests.Session.__attrs__, "tenant"]

    def __init__(self) -> None:
        super().__init__()
        self.tenant = "acme"
        self.headers["X-Tenant"] = self.tenant


class Ours(weatherglass.Session):
    """The same on ours, and with the very same list of attributes."""

    __attrs__ = [*requests.Session.__attrs__, "tenant"]

    def __init__(self) -> None:
        super().__init__()
        self.tenant = "acme"
        self.headers["X-Tenant"] = self.tenant


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What reaches ``HTTPAdapter.send``, where nothing is sent."""
    seen: Sent = []

    def send(
        adapter: HTTPAdapter, request: requests.PreparedRequest, **how: Any
    ) -> requests.Response:
        seen.append((request, how))
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 204, str(request.url), request
        answer.connection = adapter
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", send)
    for name in [*os.environ]:
        if name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    return seen


def echoed(answer: requests.Response) -> Mapping[str, str]:
    """The headers that the server received."""
    headers: dict[str, str] = answer.json()["headers"]
    return {name.lower(): value for name, value in headers.items()}


# --- copies and subclasses ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Original, Ours])
@pytest.mark.parametrize(
    "duplicate",
    [lambda session: pickle.loads(pickle.dumps(session)), copy.copy, copy.deepcopy],  # noqa: S301 - what was pickled here
    ids=["pickle", "copy", "deepcopy"],
)
def test_duplicate_of_a_session_goes_on_alike(
    server: FakeServer, kind: type[Any], duplicate: Callable[[Any], Any]
) -> None:
    """D1, D13: a session that was pickled or copied keeps all settings, a subclass's own too."""
    with kind() as session:
        session.params = {"page": "1"}
        session.cookies.set("seen", "yes", domain="127.0.0.1")
        session.max_redirects = 3
        with duplicate(session) as again:
            assert (type(again), again.tenant, again.max_redirects) == (kind, "acme", 3)
            assert (again.headers, again.params) == (session.headers, session.params)
            assert type(again.adapters) is OrderedDict
            answer = again.get(f"{server.url}/echo")
    assert answer.json()["query"] == "page=1"
    assert echoed(answer)["x-tenant"] == "acme"
    assert echoed(answer)["cookie"] == "seen=yes"


def test_subclass_takes_part_in_a_call(
    server: FakeServer, session_class: type[requests.Session]
) -> None:
    """D1, D15: overrides of a session's methods are called where requests calls them."""
    called: list[str] = []

    class Watching(session_class):  # type: ignore[misc, valid-type] # which is the point
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
            called.append(f"request {method}")
            answer: requests.Response = super().request(method, server.url + url, *args, **kwargs)
            return answer

        def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
            called.append("prepare")
            prepared: requests.PreparedRequest = super().prepare_request(request)
            prepared.headers["X-Prepared"] = "yes"
            return prepared

        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            called.append(f"send {request.path_url}")
            answer: requests.Response = super().send(request, **kwargs)
            return answer

        def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
            called.append(f"rebuild_auth {response.status_code}")
            prepared_request.headers["Authorization"] = "Kept"

    with Watching() as session:
        answer = session.get("/redirect?to=/echo", auth=("user", "word"))
    assert called == [
        "request GET",
        "prepare",
        "send /redirect?to=/echo",
        "rebuild_auth 302",
        "send /echo",
    ]
    assert echoed(answer)["x-prepared"] == "yes"
    assert echoed(answer)["authorization"] == "Kept"


def test_subclass_chooses_the_adapter(sent: Sent, session_class: type[requests.Session]) -> None:
    """D1: what an override of ``get_adapter`` returns is what sends, whatever is mounted."""
    chosen = HTTPAdapter()

    class Choosing(session_class):  # type: ignore[misc, valid-type] # which is the point
        def get_adapter(self, *, url: str) -> HTTPAdapter:
            assert url == "https://a.example/"
            return chosen

    with Choosing() as session:
        answer = session.get("https://a.example")
    assert answer.connection is chosen
    assert len(sent) == 1


@pytest.mark.usefixtures("sent")
def test_mount_sorts_the_longest_prefix_first(session: requests.Session) -> None:
    """D1: adapters are found by their longest prefix, in whatever order they are mounted."""
    for prefix in ("http://b.example/deep/", "http://b", "http://b.example"):
        session.mount(prefix, HTTPAdapter())
    assert list(session.adapters) == [
        "http://b.example/deep/",
        "http://b.example",
        "https://",
        "http://b",
        "http://",
    ]
    for url, prefix in (
        ("HTTP://B.example/deep/1", "http://b.example/deep/"),
        ("http://b.example/1", "http://b.example"),
        ("http://c.example", "http://"),
    ):
        assert session.get_adapter(url) is session.adapters[prefix]
        answer = session.get(url)
        assert answer.connection is session.adapters[prefix]
    with pytest.raises(requests.exceptions.InvalidSchema):
        session.get("ftp://b.example")


def test_closing_closes_each_adapter_once(session_class: type[requests.Session]) -> None:
    """D1, D14: leaving the ``with`` block closes what is mounted, once each."""
    closed: list[int] = []

    class Closing(HTTPAdapter):
        def close(self) -> None:
            closed.append(id(self))
            super().close()

    with session_class() as session:
        session.mount("http://a.example", Closing())
        session.mount("http://b.example", Closing())
    assert len(closed) == len(set(closed)) == 2
    assert session.get_adapter("http://c.example") is session.adapters["http://"]


def test_closing_a_session_of_ours_closes_the_shared_adapter_once() -> None:
    """D14: an adapter that is mounted on several prefixes is closed once."""
    closed: list[bool] = []

    class Closing(weatherglass.Adapter):
        def close(self) -> None:
            closed.append(True)
            super().close()

    shared = Closing()
    with weatherglass.Session() as session:
        session.mount("https://", shared)
        session.mount("http://", shared)
    assert closed == [True]


def test_closing_clears_managers_of_any_kind(session: requests.Session) -> None:
    """D1, D14: what else a subclass keeps among the proxies' managers is cleared, and no more."""
    cleared: list[bool] = []

    class Manager:
        def clear(self) -> None:
            cleared.append(True)

    adapter: Any = session.get_adapter("http://a.example")
    adapter.proxy_manager["its own"] = Manager()
    session.close()
    assert cleared == [True]
    assert session.get_adapter("http://a.example") is adapter


# --- settings -------------------------------------------------------------------------------

Setting = Callable[[requests.Session, pytest.MonkeyPatch], Any]

URL = "https://a.example/path"


def _own_settings(session: requests.Session, _: pytest.MonkeyPatch) -> None:
    session.proxies = {"https": "http://proxy.example:8080", "http://b.example": "http://other"}
    session.verify, session.cert, session.stream = "own.pem", ("own.crt", "own.key"), True
    session.get(URL)


def _settings_of_a_call(session: requests.Session, _: pytest.MonkeyPatch) -> None:
    session.proxies = {"https": "http://proxy.example:8080"}
    session.verify, session.cert = "own.pem", "own.crt"
    session.get(URL, verify=False, cert="its.crt", stream=True, proxies={"http": "http://its"})


def _proxies_of_the_environment(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@env.example:3128")
    monkeypatch.setenv("NO_PROXY", "b.example")
    session.get(URL)
    session.get("https://b.example")
    session.get(URL, proxies={"https": "http://its"})
    session.trust_env = False
    session.get(URL)


def _bundle_of_the_environment(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "env.pem")
    session.get(URL)
    session.get(URL, verify=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("CURL_CA_BUNDLE", "curl.pem")
    session.get(URL)
    session.verify = False
    session.get(URL)


def _another_environment(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**os.environ, "https_proxy": "http://its.example", "CURL_CA_BUNDLE": "its.pem"}
    monkeypatch.setattr(os, "environ", changed)
    session.get(URL)


def _prepared_request(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://env.example")
    prepared = session.prepare_request(requests.Request("POST", URL, json={"a": 1}))
    session.send(prepared)
    session.send(prepared, stream=True, verify="its.pem", cert="its.crt", proxies={})


SETTINGS: list[Setting] = [
    _own_settings,
    _settings_of_a_call,
    _proxies_of_the_environment,
    _bundle_of_the_environment,
    _another_environment,
    _prepared_request,
]


@pytest.mark.parametrize("use", SETTINGS, ids=lambda use: use.__name__.strip("_"))
def test_settings_reach_the_adapter_as_with_requests(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, use: Setting
) -> None:
    """D1: proxies, verify, cert and stream come from session, call and environment alike."""
    arrived = []
    for kind in (requests.Session, weatherglass.Session):
        with kind() as session, monkeypatch.context() as patch:
            use(session, patch)
        arrived.append([{**how, "timeout": None} for _, how in sent])
        sent.clear()
    assert arrived[0] == arrived[1]
    assert arrived[0]
    assert {frozenset(how) for how in arrived[0]} == {
        frozenset({"stream", "timeout", "verify", "cert", "proxies"})
    }


@pytest.mark.parametrize(("given", "used"), [({}, (5.0, 30.0)), ({"timeout": None}, None)])
def test_timeout_is_the_one_setting_that_differs(
    sent: Sent, given: dict[str, Any], used: Any
) -> None:
    """D8: where none is given the policy's timeout holds; an explicit one wins, ``None`` too."""
    with weatherglass.Session() as session:
        session.get(URL, **given)
        session.get(URL, timeout=(1, 2))
    assert [how["timeout"] for _, how in sent] == [used, (1, 2)]


def test_only_prepared_requests_can_be_sent(session: requests.Session) -> None:
    """D1: misuse is answered with the same errors."""
    with pytest.raises(ValueError, match="You can only send PreparedRequests"):
        session.send(requests.Request("GET", URL))  # type: ignore[arg-type] # which is the misuse
    with pytest.raises(TypeError, match="colour"):
        session.get(URL, colour="red")  # type: ignore[call-arg] # likewise
    with pytest.raises(requests.exceptions.MissingSchema):
        session.get("a.example")


# --- the API of requests replaced -------------------------------------------------------------


def test_functions_of_requests_use_a_class_put_in_the_place_of_theirs(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: with the class swapped in the module, ``requests.get`` and its siblings use ours."""
    monkeypatch.setattr(requests.sessions, "Session", weatherglass.Session)
    monkeypatch.setattr(requests, "Session", weatherglass.Session)
    for call in (requests.get, requests.post, requests.head, requests.delete, requests.options):
        assert weatherglass.report(call(URL)).succeeded
    assert weatherglass.report(requests.request("PATCH", URL, timeout=1)).method == "PATCH"
    assert isinstance(requests.session(), weatherglass.Session)
    assert [request.method for request, _ in sent] == [
        "GET",
        "POST",
        "HEAD",
        "DELETE",
        "OPTIONS",
        "PATCH",
    ]


@pytest.mark.parametrize("name", ["request", "prepare_request", "send", "get_adapter"])
def test_method_replaced_on_the_original_is_reached(
    sent: Sent, session: requests.Session, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """D1, D3: a tool that replaces a method of ``requests.Session`` replaces it for ours."""
    original = getattr(requests.Session, name)
    reached = []

    def replaced(self: requests.Session, *args: Any, **kwargs: Any) -> Any:
        reached.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, name, replaced)
    assert session.get(URL).status_code == 204
    assert set(map(id, reached)) == {id(session)}
    assert len(sent) == 1
