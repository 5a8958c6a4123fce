"""The SDK's own calls, as its users make them, on weatherglass."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from sdk_scenes import PATIENCE, QUEUES, in_threads

import weatherglass
from weatherglass.call import current_call
from weatherglass.genesys import Session as GenesysSession
from weatherglass.genesys import install
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    VirtualClock,
    faults,
)


def queues(sdk: Any, api_client: Any) -> Any:
    return sdk.RoutingApi(api_client)


def create(sdk: Any, api_client: Any, name: str) -> Any:
    request = sdk.CreateQueueRequest()
    request.name = name
    return queues(sdk, api_client).post_routing_queues(request)


def test_created_entities_come_back_typed(sdk: Any, api_client: Any, server: FakeServer) -> None:
    """G2: what is created comes back as the SDK's model."""
    made = create(sdk, api_client, "Support")

    assert type(made) is sdk.Queue
    assert made.name == "Support"
    (post,) = server.ledger.executions(method="POST", path=QUEUES)
    assert post.body == b'{"name": "Support"}'


def test_lists_are_typed_and_paged(sdk: Any, api_client: Any) -> None:
    """G2: lists come back as models, page by page."""
    for number in range(5):
        create(sdk, api_client, f"Queue {number}")

    found = []
    for page in (1, 2, 3):
        listing = queues(sdk, api_client).get_routing_queues(page_size=2, page_number=page)
        assert type(listing) is sdk.QueueEntityListing
        assert listing.page_count == 3
        found += listing.entities

    assert {type(queue) for queue in found} == {sdk.Queue}
    assert [queue.name for queue in found] == [f"Queue {number}" for number in range(5)]


def test_entities_are_changed_and_deleted(sdk: Any, api_client: Any, server: FakeServer) -> None:
    """G2: GET, PUT and DELETE of one entity work as before."""
    made = create(sdk, api_client, "Old")
    wanted = sdk.QueueRequest()
    wanted.name = "New"

    changed = queues(sdk, api_client).put_routing_queue(made.id, wanted)
    assert (type(changed), changed.name) == (sdk.Queue, "New")
    assert queues(sdk, api_client).get_routing_queue(made.id).name == "New"
    assert queues(sdk, api_client).delete_routing_queue(made.id) is None
    assert server.ledger.by_status(method="DELETE") == {204: 1}


def test_entities_are_patched(sdk: Any, api_client: Any, server: FakeServer) -> None:
    """G2: PATCH carries its body, and its answer comes back typed."""
    answer = {"id": "1", "name": "Ann", "version": 3}
    server.plan = FaultPlan.script(faults.answer(200, json=answer), method="PATCH")
    change = sdk.UpdateUser()
    change.version = 2

    user = sdk.UsersApi(api_client).patch_user("1", change)

    assert (type(user), user.name) == (sdk.User, "Ann")
    (patch,) = server.ledger.requests(method="PATCH")
    assert patch.body == b'{"version": 2}'


def test_calls_with_a_callback_run_in_a_thread(sdk: Any, api_client: Any) -> None:
    """G2: the SDK's asynchronous calls hand their model to the callback."""
    create(sdk, api_client, "Support")
    got: list[Any] = []
    done = threading.Event()

    def take(listing: Any) -> None:
        got.append(listing)
        done.set()

    thread = queues(sdk, api_client).get_routing_queues(callback=take)

    thread.join(PATIENCE)
    assert done.is_set()
    assert [queue.name for queue in got[0].entities] == ["Support"]


def test_the_last_response_is_whole(sdk: Any, api_client: Any) -> None:
    """G2, D7: the SDK's last response has text, bytes, headers without case, and the report."""
    queues(sdk, api_client).get_routing_queues()
    response = api_client.last_response

    assert response.status == 200
    assert response.reason == "OK"
    assert response.data.encode() == response.content
    assert response.getheader("content-type") == "application/json"
    assert response.getheader("x-none", "nothing") == "nothing"
    assert response.getheaders()["ININ-CORRELATION-ID"] == response.getheader("inin-correlation-id")
    assert response.report.succeeded
    assert weatherglass.report(response) is response.report


def test_the_route_is_told_to_telemetry(
    sdk: Any, api_client: Any, session: weatherglass.Session
) -> None:
    """O6: calls have the SDK's route as their template, beside the options of the caller."""
    told: list[tuple[str | None, float | None]] = []

    def note(*_: Any, **__: Any) -> None:
        call = current_call()
        assert call is not None
        told.append((call.options.url_template, call.policy.deadline))

    session.hooks["response"].append(note)
    made = create(sdk, api_client, "Support")
    with weatherglass.options(deadline=20):
        queues(sdk, api_client).get_routing_queue(made.id)

    assert told == [(QUEUES, None), (QUEUES + "/{queueId}", 20)]


def test_many_threads_share_one_client(sdk: Any, busy_client: Any, busy_server: FakeServer) -> None:
    """G3: one client serves many threads, with one token for all."""
    names = in_threads(8, lambda number: create(sdk, busy_client, f"Queue {number}").name)

    assert sorted(names) == [f"Queue {number}" for number in range(8)]
    assert len(busy_server.ledger.token_calls()) == 1


def test_threads_that_meet_one_expiry_make_one_refresh(
    sdk: Any, busy_client: Any, busy_server: FakeServer
) -> None:
    """G3: eight threads with one expired token make one refresh, and no call fails."""
    queues(sdk, busy_client).get_routing_queues()
    busy_server.expire_tokens()

    totals = in_threads(8, lambda _: queues(sdk, busy_client).get_routing_queues().total)

    assert totals == [0] * 8
    assert len(busy_server.ledger.token_calls()) == 2


def test_an_expired_client_credentials_token_is_renewed(
    sdk: Any, api_client: Any, server: FakeServer
) -> None:
    """G2: an expired token is renewed, where the SDK alone would fail from then on."""
    create(sdk, api_client, "Support")
    server.expire_tokens()

    assert queues(sdk, api_client).get_routing_queues().total == 1
    assert len(server.ledger.token_calls()) == 2


def test_retries_happen(sdk: Any, api_client: Any, server: FakeServer, clock: VirtualClock) -> None:
    """G2: a 429 is waited out as the server says, and the model comes back."""
    server.plan = FaultPlan.script(
        faults.answer(429, retry_after=42), faults.answer(503), path=QUEUES
    )

    assert queues(sdk, api_client).get_routing_queues().total == 0
    assert clock.monotonic() >= 42
    assert [a.status for a in api_client.last_response.report.attempts] == [429, 503, 200]


@pytest.mark.parametrize("count", [1, 2])
def test_installing_again_replaces(
    sdk: Any, api_client: Any, session: weatherglass.Session, count: int
) -> None:
    """G2: installed twice, each call is made once; uninstalled, the SDK is as it was."""
    client = api_client.http_client
    for _ in range(count):
        client = install(api_client, session)
    assert queues(sdk, api_client).get_routing_queues().total == 0
    assert client.session is session

    client.uninstall()
    assert api_client.http_client is None
    assert not {"call_api", "deserialize", "handle_expired_access_token"} & vars(api_client).keys()


def test_the_way_back_leads_to_before_the_first_installation(
    sdk: Any, configuration: Any, server: FakeServer, session: weatherglass.Session
) -> None:
    """G2: client, hooks and host are kept and put back, whichever was installed in between."""
    assert configuration is sdk.configuration
    api_client = sdk.ApiClient(host="https://api.mypurecloud.ie")
    own = api_client.get_http_client()

    def hook(options: Any) -> Any:
        options.headers = {**options.headers, "X-Hooked": "yes"}
        return options

    own.set_pre_request_hook(hook)
    with GenesysSession(
        api_url=server.url, login_url=server.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    ) as other:
        first, second = install(api_client, other), install(api_client, session)
        first.uninstall()
        assert api_client.http_client is second
        assert queues(sdk, api_client).get_routing_queues().total == 0
        assert server.ledger.requests(path=QUEUES)[-1].header("X-Hooked") == "yes"

        second.uninstall()
        assert (api_client.http_client, api_client.host) == (own, "https://api.mypurecloud.ie")

        again = install(api_client, other)
        api_client.host = "https://api.mypurecloud.de"
        again.uninstall()
        assert api_client.host == "https://api.mypurecloud.de"


def test_the_profile_holds_for_the_sdk(
    sdk: Any, configuration: Any, server: FakeServer, clock: VirtualClock
) -> None:
    """G1, G2: on a Genesys session, the SDK's calls go by the profile: codes, keys, waits."""
    assert configuration is sdk.configuration
    server.plan = FaultPlan.script(
        faults.answer(400, code="client.failed.request"), path=QUEUES, method="POST"
    )
    client = sdk.ApiClient()
    with GenesysSession(
        api_url=server.url,
        login_url=server.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        status_feed=False,
        runtime=clock,
    ) as session:
        install(client, session)
        assert create(sdk, client, "Support").name == "Support"

    first, second = server.ledger.requests(path=QUEUES, method="POST")
    assert first.idempotency_key == second.idempotency_key
    assert str(uuid.UUID(first.idempotency_key)) == first.idempotency_key
    assert client.last_response.report.attempts[0].failure.code == "client.failed.request"
