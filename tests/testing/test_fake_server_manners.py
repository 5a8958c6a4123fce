"""Rate limits, maintenance windows and idempotency keys of the fake server."""

from __future__ import annotations

import math
import threading
import uuid

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.testing import (
    FakeServer,
    FaultPlan,
    IdempotencyMode,
    Limiting,
    Maintenance,
    RateLimit,
    Telling,
    VirtualClock,
    faults,
    rules_of,
)
from weatherglass.testing.limits import Level, take

TIMEOUT = 20
QUEUES = "/api/v2/routing/queues"
UUID_KEY = str(uuid.UUID(int=7))


def get(server: FakeServer, path: str = QUEUES, token: str | None = None) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.get(server.url + path, headers=headers, timeout=TIMEOUT)


def test_bucket_refills_evenly() -> None:
    """A 429 says how long until the next request is allowed, and exactly then it is."""
    clock = VirtualClock()
    with FakeServer(FaultPlan(rate_limit=RateLimit(limit=3, window=60)), clock) as server:
        assert [get(server).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = get(server)
        assert refused.headers["Retry-After"] == "20"
        assert refused.json()["code"] == "too.many.requests.retry.after"
        assert "Retry the request in [20] seconds" in refused.json()["message"]
        clock.advance(20)
        assert [get(server).status_code for _ in range(2)] == [200, 429]


def test_headers_tell_the_limit() -> None:
    """inin-ratelimit-* count up to what is allowed, on successes and refusals."""
    clock = VirtualClock()
    limit = RateLimit(limit=2, window=60, algorithm=Limiting.WINDOW)
    with FakeServer(FaultPlan(rate_limit=limit), clock) as server:
        seen = []
        for _ in range(3):
            headers = get(server).headers
            seen.append(
                tuple(headers[f"inin-ratelimit-{name}"] for name in ("count", "allowed", "reset"))
            )
            clock.advance(10)
    assert seen == [("1", "2", "60"), ("2", "2", "50"), ("2", "2", "40")]


def test_headers_tell_the_limit_as_github_does() -> None:
    """x-ratelimit-* count down, with a reset in epoch seconds; a refusal is a 403 without delay."""
    clock = VirtualClock()
    limit = RateLimit(limit=2, window=60, algorithm=Limiting.WINDOW, telling=Telling.GITHUB)
    with FakeServer(FaultPlan(rate_limit=limit), clock) as server:
        reset = str(math.ceil(clock.time() + 60))
        answers = [get(server) for _ in range(3)]
    names = ("Limit", "Remaining", "Used", "Reset")
    seen = [tuple(answer.headers[f"x-ratelimit-{name}"] for name in names) for answer in answers]
    assert seen == [("2", "1", "1", reset), ("2", "0", "2", reset), ("2", "0", "2", reset)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert "Retry-After" not in answers[2].headers
    assert "rate limit exceeded" in answers[2].json()["message"]
    assert "code" not in answers[2].json()


def test_window_lets_all_in_at_its_end() -> None:
    """With fixed windows nothing is allowed until the window ends, and then all of it."""
    clock = VirtualClock()
    limit = RateLimit(limit=2, window=60, algorithm=Limiting.WINDOW)
    with FakeServer(FaultPlan(rate_limit=limit), clock) as server:
        assert [get(server).status_code for _ in range(3)] == [200, 200, 429]
        clock.advance(59)
        assert get(server).headers["Retry-After"] == "1"
        clock.advance(1)
        assert [get(server).status_code for _ in range(3)] == [200, 200, 429]


def test_each_token_has_its_own_limit() -> None:
    """Tokens do not take each other's share, and some paths are not limited at all."""
    plan = FaultPlan(rate_limit=RateLimit(limit=1, path="/api/*"))
    with FakeServer(plan, VirtualClock()) as server:
        first, second = server.issue_token(), server.issue_token()
        assert [get(server, token=token).status_code for token in (first, second, first)] == [
            200,
            200,
            429,
        ]
        assert [get(server, "/echo").status_code for _ in range(3)] == [200] * 3
        assert [get(server, "/api/v2/summary.json").status_code for _ in range(3)] == [200] * 3


@settings(max_examples=60)
@given(
    st.sampled_from(Limiting),
    st.integers(1, 5),
    st.floats(1, 100),
    st.lists(st.floats(0, 50), max_size=30),
)
def test_limit_keeps_its_word(
    algorithm: Limiting, size: int, window: float, pauses: list[float]
) -> None:
    """Who waits as told is let in, and no window lets in more than twice the limit."""
    limit = RateLimit(limit=size, window=window, algorithm=algorithm)
    level: Level | None = None
    now, admitted = 0.0, []
    for pause in pauses:
        now += pause
        level, reading = take(limit, level, now)
        if not reading.allowed:
            assert 0 < reading.retry_in <= window + 1e-6
            now += reading.retry_in + 1e-9
            level, reading = take(limit, level, now)
        assert reading.allowed
        assert 0 < reading.count <= size
        admitted.append(now)
    for start in admitted:
        assert sum(start <= at < start + window for at in admitted) <= 2 * size


@pytest.fixture
def maintenance() -> Maintenance:
    return Maintenance(name="Database move", start=100, end=200)


def feed(server: FakeServer, page: str) -> list[str]:
    answer = requests.get(
        f"{server.url}/api/v2/scheduled-maintenances{page}.json", timeout=TIMEOUT
    ).json()
    return [entry["status"] for entry in answer["scheduled_maintenances"]]


def test_server_is_down_in_its_window(maintenance: Maintenance) -> None:
    """M1: between its two times every route is 503, except for the status page and tokens."""
    clock = VirtualClock()
    with FakeServer(FaultPlan(maintenance=(maintenance,)), clock) as server:
        assert get(server).ok
        clock.advance(100)
        down = get(server)
        assert (down.status_code, down.json()["code"]) == (503, "service.unavailable")
        assert server.ledger.requests()[-1].fault == "maintenance Database move"
        assert get(server, "/api/v2/summary.json").ok
        assert requests.post(server.token_url, timeout=TIMEOUT).status_code == 400
        clock.advance(100)
        assert get(server).ok


def test_window_is_announced(maintenance: Maintenance) -> None:
    """M1: the status page has it as scheduled, in progress and completed, each in its lists."""
    clock = VirtualClock()
    with FakeServer(FaultPlan(maintenance=(maintenance,)), clock) as server:
        pages = ("", "/upcoming", "/active")
        assert [feed(server, page) for page in pages] == [["scheduled"], ["scheduled"], []]
        clock.advance(150)
        assert [feed(server, page) for page in pages] == [["in_progress"], [], ["in_progress"]]
        summary = get(server, "/api/v2/summary.json").json()
        assert summary["status"]["indicator"] == "maintenance"
        clock.advance(100)
        assert [feed(server, page) for page in pages] == [["completed"], [], []]
        summary = get(server, "/api/v2/summary.json").json()
        assert (summary["status"]["indicator"], summary["scheduled_maintenances"]) == ("none", [])


def test_announcement_has_what_statuspage_says(maintenance: Maintenance) -> None:
    """M1: an entry has its times in ISO 8601 and the components concerned."""
    with FakeServer(FaultPlan(maintenance=(maintenance,)), VirtualClock()) as server:
        answer = get(server, "/api/v2/scheduled-maintenances.json").json()
        (entry,) = answer["scheduled_maintenances"]
        (window,) = server.maintenance_windows()
    assert entry["name"] == window.name == "Database move"
    assert entry["scheduled_for"] == "2026-01-01T00:01:40.000Z"
    assert entry["scheduled_until"] == "2026-01-01T00:03:20.000Z"
    assert window.start.isoformat() == "2026-01-01T00:01:40+00:00"
    assert window.concerns("127.0.0.1")
    assert [component["name"] for component in entry["components"]] == ["Americas (US East)"]


@pytest.mark.parametrize(("down_until", "states"), [(150, "uduuu"), (250, "udddu")])
def test_window_may_end_early_or_late(down_until: float, states: str) -> None:
    """M5: the server may be back before the announced end, or only after it."""
    window = Maintenance(name="m", start=100, end=200, down_from=110, down_until=down_until)
    clock = VirtualClock()
    with FakeServer(FaultPlan(maintenance=(window,)), clock) as server:
        seen = ""
        for at in (100, 120, 151, 220, 251):
            clock.advance(at - clock.monotonic())
            seen += "u" if get(server).ok else "d"
    assert seen == states


def test_window_may_come_unannounced_and_by_other_means() -> None:
    """A window may be missing from the status page, and the server may drop connections in it."""
    window = Maintenance(
        name="m", start=0, end=10, announced=False, fault=faults.reset(), path="/api/*"
    )
    with FakeServer(FaultPlan(maintenance=(window,)), VirtualClock()) as server:
        assert feed(server, "") == []
        assert get(server, "/echo").ok
        with pytest.raises(requests.ConnectionError):
            get(server)


def post(
    server: FakeServer, key: str | None, body: str = "{}", path: str = "/echo"
) -> requests.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return requests.post(server.url + path, data=body, headers=headers, timeout=TIMEOUT)


def test_keys_may_mean_nothing() -> None:
    """A server that ignores keys executes every delivery."""
    with FakeServer() as server:
        for _ in range(2):
            assert post(server, UUID_KEY).ok
        (group,) = server.ledger.duplicates()
        assert [entry.idempotency_key for entry in group] == [UUID_KEY] * 2


@pytest.mark.parametrize("mode", ["ietf", "stripe", "uuid_only"])
def test_same_key_is_executed_once(mode: str) -> None:
    """I5: where keys are honoured, the second delivery gets the first one's answer."""
    plan = FaultPlan(idempotency=IdempotencyMode(mode))
    with FakeServer(plan) as server:
        url = "/api/v2/quality/conversations/c1/evaluations"
        first, second = post(server, UUID_KEY, path=url), post(server, UUID_KEY, path=url)
        assert first.content == second.content
        assert (second.headers.get("Idempotent-Replayed") == "true") == (mode == "stripe")
        assert [entry.executed for entry in server.ledger.requests()] == [True, False]
        assert [entry.replayed for entry in server.ledger.requests()] == [False, True]
        assert not server.ledger.duplicates()
        post(server, None, path=url)
        post(server, str(uuid.UUID(int=8)), path=url)
        assert len(server.ledger.executions()) == 3


@pytest.mark.parametrize(("mode", "status"), [("ietf", 422), ("stripe", 400), ("uuid_only", 422)])
def test_key_of_another_request_is_refused(mode: str, status: int) -> None:
    """A key that comes with another body is refused, in the mode's own words."""
    with FakeServer(FaultPlan(idempotency=IdempotencyMode(mode))) as server:
        post(server, UUID_KEY, "one")
        answer = post(server, UUID_KEY, "two")
        assert answer.status_code == status
        said = answer.json()
        if mode == "stripe":
            assert said["error"]["type"] == "idempotency_error"
        elif mode == "ietf":
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert said["status"] == 422
        else:
            assert said["code"] == "idempotency.key.reused"


def test_key_must_be_a_uuid_where_only_those_are_taken() -> None:
    """A key that is no UUID is 400 where the pattern asks for one."""
    with FakeServer(FaultPlan(idempotency=IdempotencyMode.UUID_ONLY)) as server:
        assert post(server, "a" * 64).status_code == 400
        assert post(server, UUID_KEY.upper()).ok
        assert [entry.executed for entry in server.ledger.requests()] == [False, True]


def test_key_under_way_is_refused() -> None:
    """A second delivery while the first is under way is 409, and afterwards a replay."""
    plan = FaultPlan(
        rules=rules_of(faults.hold("first", after_execution=True)),
        idempotency=IdempotencyMode.IETF,
    )
    with FakeServer(plan) as server:
        thread = threading.Thread(target=post, args=(server, "k"))
        thread.start()
        server.wait_held("first")
        assert post(server, "k").status_code == 409
        server.release("first")
        thread.join(TIMEOUT)
        assert post(server, "k").ok
        assert len(server.ledger.executions()) == 1


def test_lost_answer_can_be_had_again() -> None:
    """I4: executed and lost, then sent again with its key: one execution, and the answer."""
    plan = FaultPlan(rules=rules_of(faults.lose()), idempotency=IdempotencyMode.STRIPE)
    with FakeServer(plan) as server:
        with pytest.raises(requests.ConnectionError):
            post(server, "k")
        assert post(server, "k").headers["Idempotent-Replayed"] == "true"
        assert len(server.ledger.executions()) == 1


def test_failure_gives_the_key_back() -> None:
    """A request that failed before execution does not use its key up."""
    plan = FaultPlan(rules=rules_of(faults.answer(503)), idempotency=IdempotencyMode.IETF)
    with FakeServer(plan) as server:
        assert [post(server, "k").status_code for _ in range(2)] == [503, 200]


def test_keys_belong_to_their_client() -> None:
    """I2: two clients with one key do not get each other's answers."""
    with FakeServer(FaultPlan(idempotency=IdempotencyMode.IETF)) as server:
        for client in ("fake-client", "another"):
            headers = {
                "Idempotency-Key": "k",
                "Authorization": f"Bearer {server.issue_token(client)}",
            }
            assert requests.post(f"{server.url}/echo", headers=headers, timeout=TIMEOUT).ok
        assert len(server.ledger.executions()) == 2
