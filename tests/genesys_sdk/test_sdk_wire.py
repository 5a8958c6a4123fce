"""What goes over the wire is what the SDK alone sends, and what comes back is kept whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sdk_scenes import QUEUES, failure_of

from weatherglass.testing import FakeServer, FaultPlan, faults

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data"}

CALLS: dict[str, dict[str, Any]] = {
    "get": {"method": "GET"},
    "get with a query": {
        "method": "GET",
        "query_params": {"q": "a b&c=ä/ü", "many": ["x", "y"], "no": False, "n": 3, "e": ""},
    },
    "get with a body": {"method": "GET", "body": {"a": 1}},
    "delete": {"method": "DELETE", "query_params": {"force": True}},
    "delete with a body": {"method": "DELETE", "body": {"a": 1}},
    "head": {"method": "HEAD"},
    "options": {"method": "OPTIONS"},
    "post without a body": {"method": "POST"},
    "post of an empty object": {"method": "POST", "body": {}},
    "post with a query": {"method": "POST", "query_params": {"a": "1 2"}, "body": {"a": "ä"}},
    "post of a list": {"method": "POST", "body": [{"b": None}, "☃", 1.5, True]},
    "post of a text": {"method": "POST", "body": "text"},
    "put": {"method": "PUT", "body": {"name": "Ümläut", "n": 10**20}},
    "patch": {"method": "PATCH", "body": {"a": 1}},
    "numbers in headers": {"method": "GET", "header_params": {"If-Match": 7, "X-Flag": True}},
    "form": {
        "method": "POST",
        "header_params": FORM,
        "post_params": [("a", "1 2"), ("b", "ä&="), ("a", "3")],
    },
    "form of a mapping": {"method": "POST", "header_params": FORM, "post_params": {"a": ["x", 1]}},
    "empty form": {"method": "POST", "header_params": FORM},
    "empty multipart": {"method": "POST", "header_params": MULTIPART},
    "path parameters": {"method": "GET", "path": "/echo", "path_params": {"no": "a/ b"}},
}


def sent(server: FakeServer, client: Any, call: dict[str, Any]) -> Any:
    """The request that the server gets when a client makes this call."""
    asked = {"path": "/echo", **call}
    # The SDK changes what it is given.
    asked = {name: dict(v) if isinstance(v, dict) else v for name, v in asked.items()}
    client.call_api(asked.pop("path"), **asked, auth_settings=["PureCloud OAuth"])
    return server.ledger.requests(path="/echo")[-1]


@pytest.fixture
def alone(sdk: Any, configuration: Any, server: FakeServer) -> Any:
    """The SDK's client as it comes."""
    assert sdk.configuration is configuration
    return sdk.ApiClient(host=server.url)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_wire_is_the_same(
    server: FakeServer, api_client: Any, alone: Any, call: dict[str, Any]
) -> None:
    """G2: method, path, query, body and the SDK's headers are those of the SDK alone."""
    theirs, ours = sent(server, alone, call), sent(server, api_client, call)

    for name in ("method", "path", "query", "body"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for header in (
        "Content-Type",
        "User-Agent",
        "purecloud-sdk",
        "If-Match",
        "X-Flag",
        "Accept-Language",
    ):
        assert ours.header(header) == theirs.header(header), header


def test_files_are_sent_as_before(
    server: FakeServer, api_client: Any, alone: Any, tmp_path: Path
) -> None:
    """G2: a multipart body with fields and files is the SDK's, but for the random boundary."""
    picture, page = tmp_path / "picture.png", tmp_path / "päge.txt"
    picture.write_bytes(bytes(range(256)))
    page.write_text("☃")
    call = {
        "method": "POST",
        "header_params": MULTIPART,
        "post_params": [("name", "Ann"), ("n", "1")],
        "files": {"one": str(picture), "many": [str(page), str(picture)]},
    }

    bodies = []
    for client in (alone, api_client):
        entry = sent(server, client, {**call, "post_params": [("name", "Ann"), ("n", "1")]})
        kind, _, boundary = entry.header("Content-Type").partition("; boundary=")
        assert kind == "multipart/form-data"
        bodies.append(entry.body.replace(boundary.encode(), b"BOUNDARY"))

    assert bodies[0] == bodies[1]
    assert bytes(range(256)) in bodies[1]


def test_files_are_sent_again_whole(server: FakeServer, api_client: Any, tmp_path: Path) -> None:
    """G2, D12: a multipart body is the same when it has to be sent again."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(bytes(range(256)))
    server.plan = FaultPlan.script(faults.answer(429, retry_after=1), path="/echo")

    api_client.call_api("/echo", "POST", header_params=dict(MULTIPART), files={"one": str(picture)})

    first, second = server.ledger.requests(path="/echo")
    assert first.body == second.body
    assert first.header("Content-Type") == second.header("Content-Type")


@pytest.mark.parametrize(
    ("content_type", "body", "wire"),
    [
        ("application/scim+json", {"a": 1}, b'{"a": 1}'),
        ("application/json; charset=utf-8", {"a": 1}, b'{"a": 1}'),
        ("text/plain", "snow ☃", "snow ☃".encode()),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("multipart/form-data; boundary=x", None, b""),
    ],
)
def test_other_content_types_are_sent(
    sdk: Any, server: FakeServer, api_client: Any, content_type: str, body: Any, wire: bytes
) -> None:
    """G2: content types on which the SDK alone breaks are sent in the way that suits them."""
    options = request_options(sdk, server, method="POST", body=body)
    options.headers = {"content-type": content_type}

    api_client.get_http_client().request(options)

    (entry,) = server.ledger.requests(path="/echo")
    assert entry.body == wire
    if not content_type.startswith("multipart"):
        assert entry.header("Content-Type") == content_type


def request_options(sdk: Any, server: FakeServer, **given: Any) -> Any:
    """The options of one request, as the SDK makes them."""
    from PureCloudPlatformClientV2.http_request_options import (  # noqa: PLC0415 - after the fixture
        HttpRequestOptions,
    )

    assert sdk
    return HttpRequestOptions(url=server.url + "/echo", **given)


def test_what_the_sdk_does_not_send_is_refused(
    sdk: Any, server: FakeServer, api_client: Any
) -> None:
    """G2: options that are none, TRACE, and a body beside a form are the caller's mistake."""
    client = api_client.get_http_client()
    both = request_options(sdk, server, method="POST", body={"a": 1}, post_params={"b": 2})
    trace = request_options(sdk, server, method="TRACE")

    for wrong, words in (({}, "HttpRequestOptions"), (both, "post_params"), (trace, "TRACE")):
        with pytest.raises(ValueError, match=words):
            client.request(wrong)
    assert server.ledger.requests() == ()


def test_the_callers_headers_are_not_changed(sdk: Any, server: FakeServer, api_client: Any) -> None:
    """G2: the SDK redacts its headers for the log; neither sees what the other does to them."""
    headers = {"X-Own": "1", "Authorization": "Bearer "}
    options = request_options(sdk, server, method="POST", headers=headers, body={"a": 1})

    api_client.get_http_client().request(options)

    assert headers == {"X-Own": "1", "Authorization": "Bearer "}


def test_binary_downloads_are_whole(
    server: FakeServer, api_client: Any, configuration: Any, tmp_path: Path
) -> None:
    """G2: bytes that are no text arrive as they were sent, in the response and in a file."""
    configuration.temp_folder_path = str(tmp_path)

    path = api_client.call_api("/bytes/1000", "GET", response_type="file")

    whole = (bytes(range(256)) * 4)[:1000]
    assert Path(path).parent == tmp_path
    assert Path(path).read_bytes() == whole
    assert api_client.last_response.content == whole
    assert api_client.last_response.data.encode("latin-1") == whole
    assert server.ledger.by_status(path="/bytes/1000") == {200: 1}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="report.csv"', "report.csv"),
        ("attachment; filename=report.csv", "report.csv"),
        ("attachment; filename=../../etc/passwd", "passwd"),
        ("attachment; filename=C:\\\\temp\\\\x.txt", "x.txt"),
        ("attachment; filename=..", None),
        ("attachment", None),
        ("attachment; filename=" + 300 * "x", None),
    ],
)
def test_downloads_have_the_servers_name_and_our_folder(
    server: FakeServer,
    api_client: Any,
    configuration: Any,
    tmp_path: Path,
    header: str,
    name: str | None,
) -> None:
    """G2, S1: a download has the name that the server gives it, and stays in its folder."""
    configuration.temp_folder_path = str(tmp_path)
    answer = faults.answer(200, body=b"\xff\xfe\r\n", headers={"Content-Disposition": header})
    server.plan = FaultPlan.chaos([answer], 1, path="/file")

    # Twice: a name that is taken is replaced, as by the SDK.
    paths = {Path(api_client.call_api("/file", "GET", response_type="file")) for _ in range(2)}

    assert {path.parent for path in paths} == {tmp_path}
    assert {path.read_bytes() for path in paths} == {b"\xff\xfe\r\n"}
    assert len(paths) == (2 if name is None else 1)
    assert name is None or {path.name for path in paths} == {name}
    assert len(list(tmp_path.iterdir())) == len(paths)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("snow ☃".encode(), "text/plain; charset=latin-1", "snow ☃"),
        ("gestört".encode("latin-1"), "text/html", "gestört"),
        ("€5".encode("cp1252"), "text/html; charset=windows-1252", "€5"),
        ("дом".encode("koi8-r"), "text/html; charset=koi8-r", "дом"),
        (b"\xff\xfex", "text/html; charset=no-such", "ÿþx"),
        (b"\xff\\x", "text/html; charset=unicode_escape", "ÿ\\x"),
        (b"\xff-", "text/html; charset=punycode", "ÿ-"),
        (b"\xff", "text/html; charset=ascii", "ÿ"),
    ],
)
def test_bodies_are_text_without_loss(
    server: FakeServer, api_client: Any, body: bytes, content_type: str, text: str
) -> None:
    """G2: text is UTF-8, else what was declared, else Latin-1; no body raises."""
    answer = faults.answer(200, body=body, headers={"Content-Type": content_type})
    server.plan = FaultPlan.script(answer, path="/page")

    assert api_client.call_api("/page", "GET", response_type="str") == text
    assert api_client.last_response.content == body


def test_repeated_headers_are_joined(server: FakeServer, api_client: Any) -> None:
    """G2: a header that comes twice is one value with a comma, as the SDK has it."""
    answer = faults.answer(404, headers=[("X-Two", "a"), ("X-Two", "b")])
    server.plan = FaultPlan.script(answer, path=QUEUES)

    error = failure_of(lambda: api_client.call_api(QUEUES, "GET"))

    assert error.headers["x-two"] == "a, b"
