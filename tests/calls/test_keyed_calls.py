"""Idempotency keys on the wire: made once, kept over every replay, and worth what is known."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
import requests
from scenes import QUEUES, Clock, in_threads, kinds, reason, statuses, token_source

import weatherglass
from weatherglass import IdempotencyPolicy, Policy, Session
from weatherglass.testing import FakeServer, FaultPlan, IdempotencyMode, faults
from weatherglass.vocabulary import KeySource, Replay

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def keyed(clock: Clock, **idempotency: Any) -> Session:
    given: dict[str, Any] = {"key": "deterministic", **idempotency}
    return Session(runtime=clock, policy=Policy(idempotency=IdempotencyPolicy(**given)))


def keys(server: FakeServer, path: str = "*") -> list[str | None]:
    return [entry.idempotency_key for entry in server.ledger.requests(path=path)]


# --- which requests carry one -----------------------------------------------------------------


def test_without_a_key_maker_no_key_is_sent(server: FakeServer, session: Session) -> None:
    """I1: a plain session attaches no key."""
    answer = session.post(f"{server.url}/echo", data=b"x")
    assert keys(server) == [None]
    assert weatherglass.report(answer).idempotency_key is None


def test_post_and_put_carry_a_key_and_others_do_not(server: FakeServer, clock: Clock) -> None:
    """I1: POST and PUT get a key, PATCH only by choice, and the rest never."""
    methods = ("POST", "PUT", "PATCH", "GET", "DELETE", "HEAD")
    with keyed(clock) as session:
        for method in methods:
            session.request(method, f"{server.url}/echo", data=b"x")
    assert [key is not None for key in keys(server)] == [True, True, False, False, False, False]
    server.ledger.clear()
    with keyed(clock, methods=("PATCH",)) as session:
        for method in methods:
            session.request(method, f"{server.url}/echo", data=b"x")
    assert [key is not None for key in keys(server)] == [False, False, True, False, False, False]


@pytest.mark.parametrize("how", ["header", "argument"])
def test_key_of_the_caller_s_is_kept(server: FakeServer, clock: Clock, how: str) -> None:
    """I1: a key that the caller gives, as a header or an argument, is sent as it is."""
    given: dict[str, Any] = (
        {"headers": {"idempotency-key": "mine"}} if how == "header" else {"idempotency_key": "mine"}
    )
    server.plan = FaultPlan.script(faults.answer(429, retry_after=1))
    with keyed(clock) as session:
        answer = session.request("POST", f"{server.url}/echo", data=b"x", **given)
    assert keys(server) == ["mine", "mine"]
    report = weatherglass.report(answer)
    assert (report.idempotency_key, report.idempotency_key_source) == ("mine", KeySource.CALLER)


def test_header_s_name_is_policy(server: FakeServer, clock: Clock) -> None:
    """I1: the header that carries the key is a setting."""
    with keyed(clock, header="X-Request-Token") as session:
        answer = session.post(f"{server.url}/echo", data=b"x")
    (entry,) = server.ledger.requests()
    assert entry.idempotency_key is None
    assert entry.header("X-Request-Token") == weatherglass.report(answer).idempotency_key


# --- what keys are made of --------------------------------------------------------------------


def key_of(session: Session, url: str, **body: Any) -> str:
    key = weatherglass.report(session.post(url, **body)).idempotency_key
    assert key is not None
    return key


def test_equal_requests_share_a_deterministic_key(server: FakeServer, clock: Clock) -> None:
    """I2: order and white space of JSON do not change the key, nor does another session."""
    url = f"{server.url}/echo"
    typed = {"Content-Type": "application/json"}
    with keyed(clock) as session, keyed(clock) as another:
        same = {
            key_of(session, url, json={"a": 1, "b": [1, 2]}),
            key_of(another, url, json={"b": [1, 2], "a": 1}),
            key_of(session, url, data=b'{ "b":[1,2],\n"a": 1 }', headers=typed),
        }
    (key,) = same
    assert re.fullmatch("[0-9a-f]{64}", key)


def test_different_requests_never_share_one(server: FakeServer, clock: Clock) -> None:
    """I2: method, path, query, origin, payload and client are all told apart."""
    url = f"{server.url}/echo"
    with keyed(clock) as session, keyed(clock, client_id="another") as another:
        found = [
            key_of(session, url, json={"a": 1}),
            key_of(session, url, json={"a": 2}),
            key_of(session, url, data=b"a=1"),
            key_of(session, url, json=[1, 2]),
            key_of(session, url, json=[2, 1]),
            key_of(session, f"{url}?q=1", json={"a": 1}),
            key_of(session, f"{server.url}/status/200", json={"a": 1}),
            key_of(session, f"{server.other_url}/echo", json={"a": 1}),
            key_of(another, url, json={"a": 1}),
            weatherglass.report(session.put(url, json={"a": 1})).idempotency_key,
        ]
    assert len(set(found)) == len(found)


def test_key_may_be_spelled_as_a_uuid(server: FakeServer, clock: Clock) -> None:
    """I2: a server that takes UUIDs only takes our deterministic keys, too."""
    server.plan = FaultPlan(idempotency=IdempotencyMode.UUID_ONLY)
    with keyed(clock, key_format="uuid") as session:
        assert session.post(f"{server.url}/echo", data=b"x").ok
        first, second = (key_of(session, f"{server.url}/echo", data=b"y") for _ in range(2))
    assert UUID.fullmatch(first)
    assert first == second


def test_key_per_call_is_another_one_each_time(server: FakeServer, clock: Clock) -> None:
    """I2: ``per_call`` draws a random UUID for every call, from every thread."""
    with keyed(clock, key="per_call") as session:
        found = in_threads(8, lambda _: key_of(session, f"{server.url}/echo", data=b"x"))
    assert len(set(found)) == 8
    assert all(UUID.fullmatch(key) for key in found)


# --- one key for all attempts of a call -------------------------------------------------------


@pytest.mark.parametrize("key", ["deterministic", "per_call"])
def test_key_is_the_same_over_retries_and_the_401_replay(clock: Clock, key: str) -> None:
    """I3: every attempt of a call carries the key of its first, and so does the report."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(
            faults.answer(429, retry_after=1), faults.revoke(), faults.answer(408), path=QUEUES
        )
        policy = Policy(idempotency=IdempotencyPolicy(key=key))
        with Session(runtime=clock, policy=policy, tokens=token_source(server)) as session:
            answer = session.post(server.url + QUEUES, json={"name": "q"})
        assert statuses(answer) == [429, 401, 408, 200]
        report = weatherglass.report(answer)
        assert keys(server, QUEUES) == [report.idempotency_key] * 4
        assert report.idempotency_key_source is KeySource(key)
        assert keys(server, "/oauth/token") == [None, None]


def test_key_does_not_stay_on_the_caller_s_request(server: FakeServer, clock: Clock) -> None:
    """I3: a prepared request that is sent twice is two calls, and carries nothing between them."""
    with keyed(clock, key="per_call") as session:
        prepared = session.prepare_request(requests.Request("POST", f"{server.url}/echo", data="x"))
        first, second = (weatherglass.report(session.send(prepared)) for _ in range(2))
    assert "Idempotency-Key" not in prepared.headers
    assert first.idempotency_key != second.idempotency_key
    assert keys(server) == [first.idempotency_key, second.idempotency_key]


# --- what a key is worth ----------------------------------------------------------------------


def test_key_alone_makes_nothing_replayable(server: FakeServer, clock: Clock) -> None:
    """I4, R3: a key that nobody is known to honour does not make a POST safe to repeat."""
    server.plan = FaultPlan.script(faults.lose())
    with keyed(clock) as session, pytest.raises(requests.ConnectionError) as caught:
        session.post(f"{server.url}/echo", data=b"once")
    assert reason(caught.value) == "method_not_replayable"
    assert len(server.ledger.executions()) == 1


HONOURED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everywhere": ({"honours_keys": True}, {}),
    "on a route": ({"honouring_routes": (f"POST {QUEUES}",)}, {}),
    "says the caller": ({}, {"honours_key": True}),
}


@pytest.mark.parametrize(("policy", "options"), HONOURED.values(), ids=HONOURED.keys())
def test_honoured_key_makes_a_post_replayable_and_executed_once(
    server: FakeServer, clock: Clock, policy: dict[str, Any], options: dict[str, Any]
) -> None:
    """I4, S2: where keys are honoured a lost POST is sent again, and takes effect once."""
    server.plan = FaultPlan.script(faults.lose(), idempotency=IdempotencyMode.IETF)
    with keyed(clock, **policy) as session:
        answer = session.request("POST", server.url + QUEUES, json={"name": "q"}, **options)
    assert kinds(answer) == ["connection_reset", None]
    assert answer.json()["name"] == "q"
    assert len(server.ledger.executions()) == 1
    assert server.ledger.duplicates() == ()


def test_key_is_not_honoured_on_other_routes(server: FakeServer, clock: Clock) -> None:
    """I4: a route that honours keys says nothing of the others, nor does the caller's "no"."""
    with keyed(clock, honouring_routes=("POST /echo",)) as session:
        for path, options, sent in (
            ("/echo", {}, 2),
            ("/echo", {"honours_key": False}, 1),
            (QUEUES, {}, 1),
        ):
            server.plan = FaultPlan.script(faults.answer(503))
            answer = session.request("POST", server.url + path, json={"name": "q"}, **options)
            assert len(statuses(answer)) == sent


# --- answers that say "already done" ----------------------------------------------------------


def test_replayed_answer_is_marked(server: FakeServer, clock: Clock) -> None:
    """I5: an answer that calls itself a replay is reported as one, and is a success."""
    server.plan = FaultPlan.script(faults.lose(), idempotency=IdempotencyMode.STRIPE)
    with keyed(clock, honours_keys=True) as session:
        answer = session.post(server.url + QUEUES, json={"name": "q"})
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert weatherglass.report(answer).replay is Replay.REPLAYED
        other = session.post(server.url + QUEUES, json={"name": "p"})
        assert weatherglass.report(other).replay is None


DONE = [faults.answer(409), faults.answer(400, code="duplicate.name")]
KNOWN = {"done_codes": ("duplicate.name",)}


@pytest.mark.parametrize("fault", DONE, ids=["409", "duplicate.name"])
def test_already_done_after_a_replay_is_ambiguous(
    server: FakeServer, clock: Clock, fault: Any
) -> None:
    """I5: "it is there already" is no ordinary failure when the request was sent before."""
    server.plan = FaultPlan.script(faults.lose(), fault)
    with keyed(clock, key=None, **KNOWN) as session:
        answer = session.put(f"{server.url}/echo", data=b"x")
    assert statuses(answer) == [None, fault.status]
    assert weatherglass.report(answer).replay is Replay.AMBIGUOUS
    told = json.loads(json.dumps(weatherglass.report(answer).to_dict()))
    assert told["replay"] == "ambiguous_replay"


@pytest.mark.parametrize("fault", DONE, ids=["409", "duplicate.name"])
def test_already_done_at_first_is_an_ordinary_failure(
    server: FakeServer, clock: Clock, fault: Any
) -> None:
    """I5: to a request that was sent once the same answer means what it says."""
    server.plan = FaultPlan.script(fault)
    with keyed(clock, key=None, **KNOWN) as session:
        answer = session.put(f"{server.url}/echo", data=b"x")
    assert weatherglass.report(answer).replay is None


def test_code_that_no_policy_names_is_an_ordinary_failure(
    server: FakeServer, session: Session
) -> None:
    """I5: which codes say "already done" is a vendor's matter: a plain session knows none."""
    server.plan = FaultPlan.script(faults.lose(), faults.answer(400, code="duplicate.name"))
    answer = session.put(f"{server.url}/echo", data=b"x")
    assert statuses(answer) == [None, 400]
    assert weatherglass.report(answer).replay is None


def test_name_that_a_lost_post_took_is_told_apart(server: FakeServer, clock: Clock) -> None:
    """I5: where keys are believed in wrongly, the duplicate's name at least is ambiguous."""
    server.plan = FaultPlan.script(faults.lose(), path=QUEUES)
    with keyed(clock, honours_keys=True, **KNOWN) as session:
        answer = session.post(server.url + QUEUES, json={"name": "q"})
    assert (statuses(answer), answer.json()["code"]) == ([None, 400], "duplicate.name")
    assert weatherglass.report(answer).replay is Replay.AMBIGUOUS


# --- bodies that can be read only once --------------------------------------------------------


def test_one_shot_body_gets_a_key_per_call_and_says_so(server: FakeServer, clock: Clock) -> None:
    """I6: what cannot be read twice cannot be hashed; its key is random, and the report says it."""
    with keyed(clock) as session:
        answers = [session.post(f"{server.url}/echo", data=iter([b"x", b"y"])) for _ in range(2)]
    reports = [weatherglass.report(answer) for answer in answers]
    assert [entry.body for entry in server.ledger.requests()] == [b"xy", b"xy"]
    assert {report.idempotency_key_source for report in reports} == {KeySource.PER_CALL_ONE_SHOT}
    assert reports[0].idempotency_key != reports[1].idempotency_key
    assert keys(server) == [report.idempotency_key for report in reports]


def test_file_is_hashed_from_where_it_stands_and_sent_whole(
    server: FakeServer, clock: Clock
) -> None:
    """I2, I6, D12: a file is hashed without being used up, from its position on."""
    with keyed(clock) as session:
        file = io.BytesIO(b"skipped, then sent")
        file.seek(len(b"skipped, "))
        answer = session.post(f"{server.url}/echo", data=file)
        assert server.ledger.requests()[0].body == b"then sent"
        report = weatherglass.report(answer)
        assert report.idempotency_key_source is KeySource.DETERMINISTIC
        assert report.idempotency_key == key_of(session, f"{server.url}/echo", data=b"then sent")
