"""The routes of the fake server, as a client sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from weatherglass.testing import FakeServer

TIMEOUT = 20
QUEUES = "/api/v2/routing/queues"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def create(server: FakeServer, name: str) -> requests.Response:
    return requests.post(f"{server.url}{QUEUES}", json={"name": name}, timeout=TIMEOUT)


def test_queue_can_be_made_read_changed_and_deleted(server: FakeServer) -> None:
    """A queue lives through create, read, update and delete, and is then gone."""
    made = create(server, "support")
    assert made.status_code == 200
    uri = server.url + made.json()["selfUri"]
    assert requests.get(uri, timeout=TIMEOUT).json() == made.json()
    changed = requests.put(uri, json={"name": "sales"}, timeout=TIMEOUT).json()
    assert (changed["name"], changed["version"], changed["id"]) == (
        "sales",
        2,
        made.json()["id"],
    )
    assert requests.delete(uri, timeout=TIMEOUT).status_code == 204
    for method in ("GET", "PUT", "DELETE"):
        gone = requests.request(method, uri, json={"name": "x"}, timeout=TIMEOUT)
        assert (gone.status_code, gone.json()["code"]) == (404, "not.found")


def test_name_can_be_taken_only_once(server: FakeServer) -> None:
    """The same name again, by POST or PUT, is 400 duplicate.name and takes no effect."""
    create(server, "support")
    second = create(server, "support")
    other = create(server, "sales").json()
    renamed = requests.put(server.url + other["selfUri"], json={"name": "support"}, timeout=TIMEOUT)
    for refused in (second, renamed):
        assert (refused.status_code, refused.json()["code"]) == (400, "duplicate.name")
    assert [entry.executed for entry in server.ledger.requests()] == [True, False, True, False]


def test_queues_are_paged(server: FakeServer) -> None:
    """Pages hold as many entities as asked for, and name their successor except for the last."""
    for number in range(5):
        create(server, f"queue {number}")
    page = requests.get(f"{server.url}{QUEUES}?pageSize=2", timeout=TIMEOUT).json()
    assert (page["total"], page["pageCount"], page["pageNumber"]) == (5, 3, 1)
    names = [entity["name"] for entity in page["entities"]]
    while "nextUri" in page:
        page = requests.get(server.url + page["nextUri"], timeout=TIMEOUT).json()
        names += [entity["name"] for entity in page["entities"]]
    assert names == [f"queue {number}" for number in range(5)]


def test_queues_can_be_found_by_name(server: FakeServer) -> None:
    """The list can be asked for one name."""
    create(server, "support")
    create(server, "sales")
    found = requests.get(f"{server.url}{QUEUES}", params={"name": "sales"}, timeout=TIMEOUT)
    assert [entity["name"] for entity in found.json()["entities"]] == ["sales"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", QUEUES + "?pageSize=0", None, 400),
        ("GET", QUEUES + "?pageNumber=x", None, 400),
        ("POST", QUEUES, "no json", 400),
        ("POST", QUEUES, "[]", 400),
        ("POST", QUEUES, '{"name": ""}', 400),
        ("POST", "/api/v2/quality/conversations/c1/evaluations", "no json", 400),
        ("PATCH", QUEUES, "{}", 405),
        ("GET", "/oauth/token", None, 405),
        ("GET", "/no/such/route", None, 404),
        ("GET", "/status/999", None, 404),
        ("GET", "/bytes/999999999", None, 400),
        ("GET", "/redirect", None, 400),
        ("GET", "/redirect?to=/echo&status=200", None, 400),
        ("GET", "/stream?chunks=0", None, 400),
    ],
)
def test_mistakes_are_answered_as_genesys_does(
    server: FakeServer, method: str, path: str, body: str | None, status: int
) -> None:
    """An error has code, message, status and contextId, which equals the correlation header."""
    answer = requests.request(method, server.url + path, data=body, timeout=TIMEOUT)
    assert answer.status_code == status
    error = answer.json()
    assert error["status"] == status
    assert error["code"]
    assert error["message"]
    assert error["contextId"] == answer.headers["ININ-Correlation-Id"]
    assert not server.ledger.executions()


def test_put_without_an_object_is_refused(server: FakeServer) -> None:
    """An update that is no JSON object changes nothing."""
    made = create(server, "support").json()
    uri = server.url + made["selfUri"]
    assert requests.put(uri, data="[]", timeout=TIMEOUT).status_code == 400
    assert requests.get(uri, timeout=TIMEOUT).json() == made


def test_base_headers_are_on_api_answers_only(server: FakeServer) -> None:
    """API answers have a correlation id of their own and rate-limit headers; plain ones none."""
    first, second = (
        requests.get(f"{server.url}{QUEUES}", timeout=TIMEOUT).headers for _ in range(2)
    )
    assert first["ININ-Correlation-Id"] != second["ININ-Correlation-Id"]
    assert {"inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset"} <= {
        name.lower() for name in first
    }
    plain = requests.get(f"{server.url}/echo", timeout=TIMEOUT).headers
    assert set(plain) == {"Date", "Content-Type", "Content-Length"}


def test_user_behind_the_token_is_told(server: FakeServer) -> None:
    """users/me answers a user's token, and 400 not.a.user a client's."""
    me = f"{server.url}/api/v2/users/me"

    def ask(token: str) -> requests.Response:
        return requests.get(me, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT)

    assert ask(server.issue_token(of_user=True)).json()["name"] == "Fake User"
    refused = ask(server.issue_token())
    assert (refused.status_code, refused.json()["code"]) == (400, "not.a.user")
    assert requests.get(me, timeout=TIMEOUT).status_code == 200


def test_evaluations_have_no_natural_key(server: FakeServer) -> None:
    """The same evaluation sent twice is made twice, and the ledger shows the duplicate."""
    url = f"{server.url}/api/v2/quality/conversations/c1/evaluations"
    ids = {requests.post(url, json={"a": 1}, timeout=TIMEOUT).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    (group,) = server.ledger.duplicates()
    assert [entry.number for entry in group] == [1, 2]


def test_echo_returns_what_it_got(server: FakeServer) -> None:
    """/echo answers every method with method, path, query, headers and body."""
    answer = requests.patch(
        f"{server.url}/echo?a=1&b=2", data=b"caf\xc3\xa9", headers={"X-A": "b"}, timeout=TIMEOUT
    ).json()
    assert (answer["method"], answer["path"], answer["query"]) == ("PATCH", "/echo", "a=1&b=2")
    assert answer["headers"]["X-A"] == "b"
    assert answer["body"] == "caf\u00e9"
    binary = requests.post(f"{server.url}/echo", data=b"\xff\xfe", timeout=TIMEOUT).json()
    assert binary["body_base64"] == "//4="


@pytest.mark.parametrize("status", [200, 204, 304, 418, 503, 599])
def test_status_is_the_one_asked_for(server: FakeServer, status: int) -> None:
    """/status/{code} answers with that status and no body."""
    answer = requests.get(f"{server.url}/status/{status}", timeout=TIMEOUT)
    assert (answer.status_code, answer.content) == (status, b"")


def test_redirect_leads_there(server: FakeServer) -> None:
    """/redirect leads to another URL with the status asked for, on another host as well."""
    answer = requests.post(
        f"{server.url}/redirect",
        params={"to": f"{server.other_url}/echo", "status": "307"},
        data="kept",
        timeout=TIMEOUT,
    )
    assert answer.url == f"{server.other_url}/echo"
    assert answer.json()["body"] == "kept"
    assert [entry.status for entry in server.ledger.requests()] == [307, 200]


def test_ids_repeat_with_the_seed() -> None:
    """Two servers with one seed give the same ids, with another seed others."""

    def made(seed: int) -> str:
        with FakeServer(seed=seed) as server:
            identity: str = create(server, "a").json()["id"]
            return identity

    assert made(1) == made(1) != made(2)
