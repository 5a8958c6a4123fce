"""The token manager with one thread and a stopped clock."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from token_fakes import Counting, Endpoint, Listener, StoppedClock, answer, pickled, token

from weatherglass.policy import TokenPolicy
from weatherglass.tokens import (
    CallableTokens,
    ClientCredentials,
    IssuedToken,
    RefreshToken,
    TokenEndpointError,
    TokenManager,
    TokenSource,
    TokenUnavailable,
    Transport,
    Unavailability,
)
from weatherglass.vocabulary import TokenReason

POLICY = TokenPolicy()
DOWN = answer({}, 503)
REFUSED = answer({"error": "invalid_client"}, 401)


def credentials(**changes: Any) -> ClientCredentials:
    settings: dict[str, Any] = {
        "token_url": "https://login.example.com/token",
        "client_id": "app",
        "client_secret": "hunter2",
        "name": "app",
    }
    return ClientCredentials(**settings | changes)


class Bench:
    """A manager with a stopped clock, a scripted endpoint and a listener."""

    def __init__(
        self,
        transport: Transport,
        source: TokenSource | None = None,
        policy: TokenPolicy = POLICY,
        **more: Any,
    ) -> None:
        self.clock = StoppedClock()
        self.listener = Listener()
        self.manager = TokenManager(
            source or credentials(),
            policy,
            transport=transport,
            observer=self.listener,
            runtime=self.clock,
            **more,
        )

    def refusal(self, **options: Any) -> TokenUnavailable:
        with pytest.raises(TokenUnavailable) as caught:
            self.manager.obtain(**options)
        return caught.value


def test_one_token_serves_until_its_advisory_window() -> None:
    """T5: a fresh token is fetched once and handed out as the same object."""
    endpoint = Counting(3600)
    bench = Bench(endpoint)
    first = bench.manager.obtain()
    bench.clock.now += 3299
    assert bench.manager.obtain() is first
    assert (first.value, first.generation) == ("token-1", 1)
    assert first.authorization == "Bearer token-1"
    assert len(endpoint.requests) == 1


def test_fresh_token_needs_no_lock() -> None:
    """T5, D13: while the lock is held by somebody, a fresh token is still handed out."""
    bench = Bench(Counting())
    first = bench.manager.obtain()
    with bench.manager._using[1].lock:
        assert bench.manager.obtain() is first


def test_token_in_an_advisory_refresh_needs_no_lock() -> None:
    """T5: those who go on with the old token during another's refresh take no lock either."""
    seen: list[Any] = []

    def renew() -> tuple[str, float]:
        if bench.manager.current is not None:
            with bench.manager._using[1].lock:
                seen.append(bench.manager.obtain())
        return f"token-{len(seen)}", 3600

    bench = Bench(Endpoint(), CallableTokens(renew))
    first = bench.manager.obtain()
    bench.clock.now += 3400
    assert bench.manager.obtain().value == "token-1"
    assert seen == [first]


def test_advisory_refresh_is_made_by_the_call_that_finds_it_due() -> None:
    """T5: in the advisory window the calling thread refreshes and gets the new token."""
    bench = Bench(Counting(3600))
    bench.manager.obtain()
    bench.clock.now += 3300
    assert bench.manager.obtain().generation == 2
    assert bench.listener.reasons == [TokenReason.MISSING, TokenReason.ADVISORY]


def test_failed_advisory_refresh_changes_nothing_for_calls() -> None:
    """T5, T6: the old token is used on, and the endpoint is left alone for the cool-down."""
    endpoint = Endpoint(token("old"), DOWN, DOWN, token("new"))
    bench = Bench(endpoint)
    bench.manager.obtain()
    bench.clock.now += 3300
    assert [bench.manager.obtain().value for _ in range(3)] == ["old"] * 3
    assert len(endpoint.requests) == 2
    bench.clock.now += POLICY.cooldown
    assert bench.manager.obtain().value == "old"
    bench.clock.now += POLICY.cooldown
    assert bench.manager.obtain().value == "new"


def test_failed_mandatory_refresh_spares_a_token_that_lives() -> None:
    """T5: inside the mandatory window the old token serves until it has really expired."""
    bench = Bench(Endpoint(token("old"), DOWN))
    bench.manager.obtain()
    bench.clock.now += 3580
    assert bench.manager.obtain().value == "old"
    bench.clock.now += 20
    assert bench.refusal().why is Unavailability.FAILED


def test_short_lived_token_is_not_refreshed_at_every_call() -> None:
    """T5: a token that lives for less than the windows is used for most of its life."""
    endpoint = Counting(60)
    bench = Bench(endpoint)
    for _ in range(60):
        bench.manager.obtain()
        bench.clock.now += 1
    assert len(endpoint.requests) == 2


def test_token_without_lifetime() -> None:
    """T5: it is refreshed after a 401 and never before."""
    endpoint = Counting(None)
    bench = Bench(endpoint)
    bench.manager.obtain()
    bench.clock.now += 1e9
    assert bench.manager.obtain().generation == 1
    assert bench.manager.rejected(1).generation == 2
    assert bench.manager.ttl() is None


def test_lifetime_counts_from_when_the_token_was_asked_for() -> None:
    """T5: a slow answer does not make a token look younger than it is."""
    bench = Bench(Endpoint(lambda _: (bench.clock.wait(threading.Event(), 20), token())[1]))
    bench.manager.obtain()
    assert bench.manager.ttl() == 3580


def test_wall_clock_that_jumps_forward_expires_the_token() -> None:
    """T5: a machine that slept refreshes before it sends, instead of collecting a 401."""
    bench = Bench(Counting(3600))
    bench.manager.obtain()
    bench.clock.wall_offset += 7200
    assert bench.manager.obtain().generation == 2
    bench.clock.wall_offset -= 7200
    assert bench.manager.obtain().generation == 2


def test_rejected_current_generation_is_replaced_once() -> None:
    """T2, T3: the first report of a generation refreshes, later ones get its successor."""
    endpoint = Counting()
    bench = Bench(endpoint)
    bench.manager.obtain()
    assert [bench.manager.rejected(1).generation for _ in range(3)] == [2, 2, 2]
    assert len(endpoint.requests) == 2
    assert bench.listener.reasons[-1] is TokenReason.UNAUTHORIZED


def test_rejected_token_is_not_handed_out_again() -> None:
    """T2: after a failed refresh for a 401 the refused token is not used, however long it lives."""
    bench = Bench(Endpoint(token("old"), DOWN))
    bench.manager.obtain()
    with pytest.raises(TokenUnavailable):
        bench.manager.rejected(1)
    assert bench.refusal().why is Unavailability.FAILED


def test_failed_refresh_cools_down() -> None:
    """T6: meanwhile calls fail at once, with the same error and the time until the next try."""
    endpoint = Endpoint(answer({"error": "server_error"}, 503), token())
    bench = Bench(endpoint)
    first = bench.refusal()
    bench.clock.now += 2
    second = bench.refusal()
    assert (first.retry_in, second.retry_in) == (5.0, 3.0)
    assert (first.why, second.why) == (Unavailability.FAILED, Unavailability.FAILED)
    assert str(first) == str(second)
    assert first.error is not None
    assert second.error is not None
    assert vars(first.error) == vars(second.error)
    assert (first.error.status, first.error.code) == (503, "server_error")
    assert first.transient
    assert len(endpoint.requests) == 1
    bench.clock.now += 3
    assert bench.manager.obtain().generation == 1


def test_cool_down_is_as_long_as_the_endpoint_asks() -> None:
    """T6: a Retry-After longer than the cool-down is kept."""
    limited = answer({"error": "invalid_request", "description": "rate limit exceeded; x"}, 400)
    limited.headers["Retry-After"] = "42"
    bench = Bench(Endpoint(limited))
    assert bench.refusal().retry_in == 42


def test_remembered_failure_keeps_no_stack_alive() -> None:
    """S2, T9: what is kept for the cool-down has neither cause nor traceback."""
    bench = Bench(Endpoint(requests.ConnectionError("reset")))
    first = bench.refusal()
    second = bench.refusal()
    assert isinstance(first.__cause__, TokenEndpointError)
    assert isinstance(first.__cause__.__cause__, requests.ConnectionError)
    assert second.__cause__ is second.error
    assert second.error is not None
    assert (second.error.__cause__, second.error.__context__, second.error.__traceback__) == (
        None,
        None,
        None,
    )


def test_terminal_failure_stays_until_new_credentials() -> None:
    """T7: calls fail at once without asking the endpoint, until credentials are replaced."""
    endpoint = Endpoint(REFUSED, token("new"))
    bench = Bench(endpoint)
    for _ in range(3):
        refusal = bench.refusal()
        assert refusal.terminal
        assert refusal.retry_in is None
        assert not refusal.transient
        assert "new ones must be given: the token endpoint answered 401 invalid_client" in str(
            refusal
        )
        bench.clock.now += 1e6
    assert len(endpoint.requests) == 1
    bench.manager.replace_credentials(credentials(client_secret="other", name="other"))
    assert bench.manager.obtain().value == "new"
    assert bench.manager.name == "other"


def test_terminal_advisory_refresh_lets_the_token_live_out() -> None:
    """T7: a token that still lives is used although no other can be had."""
    bench = Bench(Endpoint(token("old"), REFUSED))
    bench.manager.obtain()
    bench.clock.now += 3300
    assert bench.manager.obtain().value == "old"
    bench.clock.now += 299
    assert bench.manager.obtain().value == "old"
    bench.clock.now += 1
    assert bench.refusal().terminal


def test_replaced_credentials_drop_the_old_token() -> None:
    """T7, T3: the next token is a new generation, and the old one's 401 refreshes nothing."""
    endpoint = Counting()
    bench = Bench(endpoint)
    bench.manager.obtain()
    bench.manager.replace_credentials(credentials())
    assert bench.manager.current is None
    assert bench.manager.obtain().generation == 2
    assert bench.manager.rejected(1).generation == 2
    assert len(endpoint.requests) == 2


def test_lost_secret_is_terminal() -> None:
    """T7, D13: a source whose secret a pickle dropped asks for new credentials."""
    endpoint = Endpoint(token())
    lost = Bench(endpoint, pickled(credentials()))
    assert lost.refusal().terminal
    assert endpoint.requests == []
    lost.manager.replace_credentials(credentials())
    assert lost.manager.obtain().value == "token-1"


def test_spent_limit_begins_nothing() -> None:
    """T8, D9: a call without time left gets no token and leaves no trace at the endpoint."""
    endpoint = Endpoint(token())
    bench = Bench(endpoint)
    refusal = bench.refusal(wait_limit=0)
    assert refusal.timed_out
    assert refusal.transient
    assert endpoint.requests == []
    assert bench.manager.obtain(wait_limit=1).generation == 1


def test_refresh_is_bounded_by_policy_and_by_the_call() -> None:
    """T8: the transport gets the shorter of the refresh timeout and what the call has left."""
    endpoint = Endpoint(token())
    for limit in (None, float("inf"), 100.0, 7.0):
        Bench(endpoint).manager.obtain(limit)
    assert [request.timeout for request in endpoint.requests] == [30.0, 30.0, 30.0, 7.0]


def test_dispensable_refresh_takes_half_of_the_limit_at_most() -> None:
    """T5, T8: a call in the advisory window keeps time for what it wanted to do."""
    endpoint = Endpoint(token())
    bench = Bench(endpoint)
    bench.manager.obtain()
    bench.clock.now += 3300
    bench.manager.obtain(wait_limit=10)
    assert endpoint.requests[1].timeout == 5.0


def test_call_in_a_hurry_does_not_spoil_it_for_others() -> None:
    """T8, T6: a refresh cut short by its call's own limit is no failure of the endpoint."""

    def slow(request: Any) -> requests.Response:
        bench.clock.now += request.timeout
        if request.timeout < 30:
            raise requests.ReadTimeout("slow")
        return token()

    bench = Bench(Endpoint(slow))
    refusal = bench.refusal(wait_limit=2)
    assert refusal.timed_out
    assert refusal.error is not None
    assert bench.manager.obtain(wait_limit=60).generation == 1


def test_quick_failure_counts_even_for_a_call_in_a_hurry() -> None:
    """T6: an endpoint that refuses at once has failed, whatever the call's limit."""
    endpoint = Endpoint(requests.ConnectionError("refused"))
    bench = Bench(endpoint)
    assert bench.refusal(wait_limit=2).why is Unavailability.FAILED
    assert bench.refusal().retry_in == 5.0
    assert len(endpoint.requests) == 1


def test_closed_session_begins_no_refresh() -> None:
    """D14: with its ``wake`` set a call fetches nothing, and the lease is free again."""
    closed = threading.Event()
    closed.set()
    endpoint = Endpoint(token())
    bench = Bench(endpoint)
    assert bench.refusal(wake=closed).closed
    assert endpoint.requests == []
    assert bench.manager.obtain().generation == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_interrupted_refresh_frees_the_flight(interruption: BaseException) -> None:
    """T2, T8: the next call takes over at once, without a cool-down; the end is told."""
    bench = Bench(Endpoint(interruption, token()))
    with pytest.raises(type(interruption)):
        bench.manager.obtain()
    assert bench.listener.ended[0][1].error is interruption
    assert bench.manager.obtain().generation == 1
    assert bench.clock.waits == []


def test_source_that_raises_something_unknown() -> None:
    """T6: whatever a source of the application raises is a failed refresh that cools down."""

    class Odd:
        name = "odd"
        origins = None

        def fetch(self, *_: Any) -> IssuedToken:
            raise ZeroDivisionError("SECRET")

    refusal = Bench(Endpoint(token()), Odd()).refusal()
    assert refusal.retry_in == 5.0
    assert not refusal.transient
    assert "failed with ZeroDivisionError" in str(refusal)
    assert "SECRET" not in str(refusal)
    assert refusal.error is not None
    assert isinstance(refusal.error.__cause__, ZeroDivisionError)


def test_source_that_needs_its_own_token() -> None:
    """T8: a token function that calls the API it serves fails at once instead of waiting."""

    def fetch() -> str:
        return bench.manager.obtain().value

    bench = Bench(Endpoint(token()), CallableTokens(fetch, name="loop"))
    refusal = bench.refusal()
    assert bench.clock.waits == []
    assert refusal.error is not None
    inner = refusal.error.__cause__
    assert isinstance(inner, TokenUnavailable)
    assert "needs its own token" in str(inner)


def test_observer_is_told_the_whole_story() -> None:
    """O1: start and end of each refresh, with reason, duration, generation and error."""

    def slow(_: Any) -> requests.Response:
        bench.clock.now += 1.5
        return token(expires_in=100)

    bench = Bench(Endpoint(slow, DOWN))
    bench.manager.obtain()
    with pytest.raises(TokenUnavailable):
        bench.manager.rejected(1)
    assert bench.listener.started == [
        ("app", TokenReason.MISSING),
        ("app", TokenReason.UNAUTHORIZED),
    ]
    (handle, first), (_, second) = bench.listener.ended
    assert handle == "refresh 1"
    assert first.succeeded
    assert (first.source, first.reason) == ("app", TokenReason.MISSING)
    assert (first.duration, first.generation, first.expires_in) == (1.5, 1, 100.0)
    assert (second.generation, second.expires_in) == (None, None)
    assert isinstance(second.error, TokenEndpointError)


def test_rotation_is_stored_before_the_token_is_out() -> None:
    """T10: when the hook runs, no call has the new access token yet."""
    seen: list[Any] = []
    source = RefreshToken(
        token_url="https://login.example.com/token",
        client_id="app",
        refresh_token="first",
        on_rotated=lambda new: seen.append((new, bench.manager.current)),
    )
    bench = Bench(Endpoint(token(refresh_token="second")), source)
    bench.manager.obtain()
    assert seen == [("second", None)]


def test_ttl() -> None:
    """T5: seconds left of the held token; nothing without one; never negative."""
    bench = Bench(Endpoint(token(expires_in=100)))
    assert bench.manager.ttl() is None
    bench.manager.obtain()
    bench.clock.now += 40
    assert bench.manager.ttl() == 60
    bench.clock.now += 100
    assert bench.manager.ttl() == 0


def test_binding_by_the_source() -> None:
    """T11: a source's own origins decide, whatever the adapter is bound to."""
    source = credentials(origins=["https://api.example.com"])
    manager = Bench(Endpoint(token()), source, bound_to=lambda _: True).manager
    assert manager.serves("https://api.example.com")
    assert not manager.serves("https://api.example.com:8443")
    assert not manager.serves("http://api.example.com")
    assert not manager.serves("https://evil.example.com")


def test_binding_by_the_adapter() -> None:
    """T11: without origins of its own a source serves what the adapter says, else nothing."""
    bound = Bench(Endpoint(token()), bound_to={"https://api.example.com"}.__contains__).manager
    assert bound.serves("https://api.example.com")
    assert not bound.serves("https://evil.example.com")
    assert not Bench(Endpoint(token())).manager.serves("https://api.example.com")


def test_binding_survives_new_credentials() -> None:
    """T11: replaced credentials never widen the binding unless they say so themselves."""
    manager = Bench(Endpoint(token()), credentials(origins="https://a.example")).manager
    manager.replace_credentials(credentials())
    assert manager.serves("https://a.example")
    assert not manager.serves("https://b.example")
    manager.replace_credentials(credentials(origins="https://b.example"))
    assert manager.serves("https://b.example")
    assert not manager.serves("https://a.example")
