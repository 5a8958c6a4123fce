"""Idempotency keys as the profile sends them, and what they are worth."""

from __future__ import annotations

import re

import pytest
import requests
from genesys_scenes import EVALUATIONS, QUEUES, api_script, session_on

import weatherglass
from weatherglass import IdempotencyPolicy, Policy
from weatherglass.genesys import profile
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    IdempotencyMode,
    faults,
    rules_of,
)

# The pattern of the operation that declares the header.
UUID = re.compile("[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}")

HONOURED = Policy(idempotency=IdempotencyPolicy(honours_keys=True))

SUPPORT = {"name": "Support", "description": "first"}


def keys(server: FakeServer, path: str = QUEUES) -> list[str | None]:
    return [entry.header("Idempotency-Key") for entry in server.ledger.requests(path=path)]


def lost_answer(path: str) -> FaultPlan:
    """The first request is executed and its answer lost; keys are honoured if they are UUIDs."""
    return FaultPlan(
        rules=rules_of(faults.lose(), path=path), idempotency=IdempotencyMode.UUID_ONLY
    )


@pytest.mark.parametrize("method", ["post", "put"])
def test_key_is_a_uuid_and_the_same_over_retries(server: FakeServer, method: str) -> None:
    """I1, I3: POST and PUT carry a UUID-shaped key, which stays over the attempts of a call."""
    server.plan = api_script(*[faults.answer(429, retry_after="delta_seconds")] * 2)
    with session_on(server) as session:
        response = session.request(method, QUEUES, json=SUPPORT)

    sent = keys(server)
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert UUID.fullmatch(sent[0] or "")
    assert weatherglass.report(response).idempotency_key == sent[0]


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_no_other_method_carries_a_key(server: FakeServer, method: str) -> None:
    """I1: keys are for POST and PUT alone, unless somebody chooses otherwise."""
    with session_on(server) as session:
        session.request(method, QUEUES, json=SUPPORT)

    assert keys(server) == [None]


def test_key_is_the_same_in_every_run_and_another_for_another_client() -> None:
    """I2: equal requests of one client share a key, over sessions; two clients never do."""
    clients = {CLIENT_ID: CLIENT_SECRET, "another": CLIENT_SECRET}
    with FakeServer(clients=clients) as server:
        for client, payload in (
            (CLIENT_ID, SUPPORT),
            (CLIENT_ID, dict(reversed(SUPPORT.items()))),
            ("another", SUPPORT),
            (CLIENT_ID, {**SUPPORT, "description": "second"}),
        ):
            with session_on(server, client_id=client) as session:
                session.post(QUEUES, json=payload)
        first, again, other, changed = keys(server)

    assert first == again
    assert len({first, other, changed}) == 3


def test_lost_answer_to_a_post_is_not_asked_for_again(server: FakeServer) -> None:
    """G3, I4: a key alone makes nothing replayable: one delivery, and its error is raised."""
    server.plan = lost_answer(QUEUES)
    with session_on(server) as session, pytest.raises(requests.ConnectionError) as caught:
        session.post(QUEUES, json=SUPPORT)

    report = weatherglass.report(caught.value)
    assert str(report.give_up_reason) == "method_not_replayable"
    assert len(server.ledger.executions(path=QUEUES, method="POST")) == 1


def test_one_switch_makes_posts_replayable(server: FakeServer) -> None:
    """I4: with ``honours_keys`` the lost answer is asked for again, and the queue made once."""
    server.plan = lost_answer(QUEUES)
    with session_on(server, policy=HONOURED) as session:
        response = session.post(QUEUES, json=SUPPORT)

    assert response.json()["name"] == "Support"
    assert len(server.ledger.requests(path=QUEUES, method="POST")) == 2
    assert len(server.ledger.executions(path=QUEUES, method="POST")) == 1


def test_put_is_replayed_in_any_case(server: FakeServer) -> None:
    """R3: PUT is idempotent by itself."""
    with session_on(server) as session:
        made = session.post(QUEUES, json=SUPPORT).json()
        server.plan = lost_answer(f"{QUEUES}/*")
        response = session.put(f"{QUEUES}/{made['id']}", json={**SUPPORT, "description": "second"})

    assert response.json()["description"] == "second"


@pytest.mark.parametrize("prefix", ["", "/gw/genesys"])
def test_the_one_documented_operation_is_replayed(server: FakeServer, prefix: str) -> None:
    """I4: the operation that declares the header honours keys, behind a gateway's path as well."""
    path = prefix + EVALUATIONS
    server.plan = lost_answer(path)
    with session_on(server, api_url=server.url + prefix) as session:
        session.post(EVALUATIONS, json={"evaluationForm": {"id": "f-1"}})

    sent = keys(server, path)
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert UUID.fullmatch(sent[0] or "")


def test_duplicate_name_after_a_replay_is_told(server: FakeServer) -> None:
    """I5: "the name is taken", to a request that was repeated, is marked as perhaps our own."""
    server.plan = FaultPlan(rules=rules_of(faults.lose(), path=QUEUES, method="POST"))
    with session_on(server) as session:
        response = session.post(QUEUES, json=SUPPORT, idempotent=True)
        assert response.json()["code"] == "duplicate.name"
        assert str(weatherglass.report(response).replay) == "ambiguous_replay"
        again = session.post(QUEUES, json=SUPPORT)
        assert again.json()["code"] == "duplicate.name"
        assert weatherglass.report(again).replay is None


def test_keys_can_be_hex_or_left_out(server: FakeServer) -> None:
    """I2: the shape of the key is a choice, and so is whether any is sent."""
    base = profile("mypurecloud.ie").policy()
    with session_on(server, policy=base.new(idempotency={"key_format": "hex"})) as session:
        session.post(QUEUES, json=SUPPORT)
    with session_on(server, policy=base.new(idempotency={"key": None})) as session:
        session.post(QUEUES, json=SUPPORT)

    hexadecimal, none = keys(server)
    assert re.fullmatch("[0-9a-f]{64}", hexadecimal or "")
    assert none is None
