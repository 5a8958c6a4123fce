"""The breaker against a model that is written from its rules, and checked at every step (B9)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from weatherglass.decide.breaker import (
    Alive,
    BreakerResult,
    Failed,
    Ignored,
    MaintenanceFailure,
    Permit,
    Refusal,
    Success,
    Transition,
    cooldown,
)
from weatherglass.decide.breakers import Breakers
from weatherglass.policy import BreakerPolicy
from weatherglass.testing.clocks import VirtualClock

NAME = "origin"
POLICY = BreakerPolicy(
    consecutive_failures=3,
    failure_rate=0.5,
    minimum_calls=6,
    slow_call=2.0,
    slow_call_rate=0.75,
    window=20.0,
    cooldown=8.0,
    max_cooldown=30.0,
    jitter=0.25,
    probe_lease=10.0,
)
NEVER = float("-inf")


class ChosenChance(VirtualClock):
    """A clock whose random numbers the test chooses."""

    chance = 0.0

    def random(self) -> float:
        return self.chance


@dataclass
class Ticket:
    """A permit that is out, with the era of the model in which it was given."""

    permit: Permit
    era: int


@dataclass
class Model:
    """The rules of section B in words of history: everything is worked out from what happened.

    An era begins with every change of state and with every probe.
    """

    state: str = "closed"
    era: int = 0
    calls: list[tuple[float, bool, bool]] = field(default_factory=list)
    """(when, failed, slow) of the calls that were counted since it was last closed."""
    run: int = 0
    cooldowns: int = 0
    probe_at: float = NEVER
    lease_until: float = NEVER
    window: str | None = None
    window_until: float = NEVER
    asked_until: float = NEVER
    """Until when the server has asked, while the breaker was open, to be left alone."""
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def go(self, state: str, cause: str) -> None:
        if state != self.state:
            self.told.append((self.state, state, cause))
        self.state = state
        self.era += 1
        if state != "half_open":
            self.calls, self.run = [], 0
            self.window, self.window_until, self.asked_until = None, NEVER, NEVER
        if state not in ("half_open", "open"):
            self.cooldowns = 0

    def admit(self, now: float) -> str:
        """What ``acquire`` must do: ``all``, ``probe`` or ``refuse``."""
        if self.state in ("closed", "disabled"):
            return "all"
        due = {"open": self.probe_at, "half_open": self.lease_until}.get(self.state, float("inf"))
        return "probe" if due <= now else "refuse"

    def probe(self, now: float) -> None:
        self.go("half_open", "probe_due")
        self.lease_until = now + 10

    def counted(self) -> list[tuple[float, bool, bool]]:
        """The calls in the window, which is kept in tenths of two seconds."""
        newest = max(int(at // 2) for at, _, _ in self.calls)
        return [call for call in self.calls if int(call[0] // 2) > newest - 10]

    def reason_to_open(self) -> str | None:
        _, failed, slow = self.calls[-1]
        window = self.counted()
        if failed and self.run >= 3:
            return "consecutive_failures"
        if len(window) >= 6 and failed and sum(f for _, f, _ in window) * 2 >= len(window):
            return "failure_rate"
        if len(window) >= 6 and slow and sum(s for _, _, s in window) * 4 >= len(window) * 3:
            return "slow_call_rate"
        return None

    def cool(self, cause: str, now: float, hold: float | None, chance: float) -> None:
        seconds = min(30.0, 8.0 * 2**self.cooldowns * (1 + 0.25 * chance))
        served = self.cooldowns + 1
        self.go("open", cause)
        self.cooldowns = served
        self.probe_at = now + max(seconds, hold or 0)

    def maintain(self, result: MaintenanceFailure, now: float) -> None:
        self.go("open", "maintenance")
        self.window, self.window_until = result.window, now + result.ends_in
        wait = min(result.ends_in, result.probe_interval)
        self.probe_at = now + max(wait, result.hold or 0)
        self.asked_until = now + (result.hold or 0)

    def end_window(self, ends_at: float, chance: float) -> None:
        if self.state == "open" and self.window is not None and ends_at < self.window_until:
            soon = max(ends_at + 5 * chance, self.asked_until)
            self.probe_at, self.window_until = min(self.probe_at, soon), ends_at

    def settle(self, era: int, result: BreakerResult, now: float, chance: float) -> None:
        if isinstance(result, MaintenanceFailure) and result.ends_in <= 0:
            result = Failed(0.0, result.hold)
        if era != self.era:
            hold = getattr(result, "hold", None)
            if self.state == "open" and hold is not None:
                self.probe_at = max(self.probe_at, now + hold)
                self.asked_until = max(self.asked_until, now + hold)
        elif self.state == "closed":
            self.settle_closed(result, now, chance)
        elif self.state == "half_open":
            self.settle_probe(result, now, chance)

    def settle_closed(self, result: BreakerResult, now: float, chance: float) -> None:
        if isinstance(result, MaintenanceFailure):
            self.maintain(result, now)
        elif isinstance(result, (Success, Failed)):
            failed = isinstance(result, Failed)
            self.calls.append((now, failed, result.duration >= 2))
            self.run = self.run + 1 if failed else 0
            cause = self.reason_to_open()
            if cause is not None:
                self.cool(cause, now, getattr(result, "hold", None), chance)
        elif result == Alive(ends_run=True):
            self.run = 0

    def settle_probe(self, result: BreakerResult, now: float, chance: float) -> None:
        if isinstance(result, MaintenanceFailure):
            self.maintain(result, now)
        elif isinstance(result, Failed):
            self.cool("probe_failed", now, result.hold, chance)
        elif isinstance(result, Ignored):
            self.era += 1
            self.lease_until = NEVER
        else:
            self.go("closed", "probe_succeeded")


HOLDS = st.sampled_from([None, 1.0, 12.0, 50.0])
RESULTS = st.one_of(
    st.builds(Success, st.sampled_from([0.1, 1.9, 2.0, 5.0])),
    st.builds(Failed, st.sampled_from([0.1, 3.0]), HOLDS),
    st.builds(Alive, st.booleans()),
    st.just(Ignored()),
)
WINDOWS = st.builds(
    MaintenanceFailure,
    st.just("release"),
    st.sampled_from([0.0, 5.0, 60.0]),
    st.sampled_from([4.0, 100.0]),
    HOLDS,
)


class BreakerMachine(RuleBasedStateMachine):
    """The real shell and machine, with many permits out at once, beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ChosenChance()
        self.told: list[Transition] = []
        self.breakers = Breakers(POLICY, self.clock, on_transition=self.told.append)
        self.model = Model()
        self.out: list[Ticket] = []

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def acquire_as_expected(self) -> Permit | None:
        expected = self.model.admit(self.now)
        answer = self.breakers.acquire(NAME)
        if expected == "refuse":
            self.check_refusal(answer)
            return None
        assert isinstance(answer, Permit)
        assert answer.probe == (expected == "probe")
        if expected == "probe":
            self.model.probe(self.now)
        return answer

    def check_refusal(self, answer: object) -> None:
        assert isinstance(answer, Refusal)
        assert str(answer.state) == self.model.state
        due = self.model.probe_at - self.now if self.model.state == "open" else None
        assert answer.next_probe_in == due
        in_window = self.now < self.model.window_until
        assert answer.maintenance == (self.model.window if in_window else None)

    @rule()
    def acquire(self) -> None:
        permit = self.acquire_as_expected()
        if permit is not None:
            self.out.append(Ticket(permit, self.model.era))

    @rule()
    def look(self) -> None:
        refusal = self.breakers.refusal(NAME)
        if self.model.admit(self.now) == "refuse":
            self.check_refusal(refusal)
        else:
            assert refusal is None

    @precondition(lambda self: self.out)
    @rule(data=st.data(), result=st.one_of(RESULTS, WINDOWS), chance=st.sampled_from([0.0, 0.5]))
    def settle(self, data: st.DataObject, result: BreakerResult, chance: float) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1), label="permit"))
        self.report(ticket, result, chance)

    @rule(results=st.lists(RESULTS, min_size=1, max_size=8))
    def call_in_turn(self, results: list[BreakerResult]) -> None:
        for result in results:
            permit = self.acquire_as_expected()
            if permit is not None:
                self.report(Ticket(permit, self.model.era), result, 0.0)

    def report(self, ticket: Ticket, result: BreakerResult, chance: float) -> None:
        self.clock.chance = chance
        self.breakers.settle(ticket.permit, result)
        self.model.settle(ticket.era, result, self.now, chance)

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.5, 10.0, 21.0, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.model.state == "open")
    @rule()
    def let_the_cooldown_pass(self) -> None:
        self.clock.advance(max(0.0, self.model.probe_at - self.now))

    @rule(wanted=st.sampled_from(["forced_open", "disabled", "closed", "closed", "reset"]))
    def force(self, wanted: str) -> None:
        change = {
            "forced_open": self.breakers.force_open,
            "disabled": self.breakers.disable,
            "closed": self.breakers.force_closed,
            "reset": self.breakers.reset,
        }[wanted]
        change(NAME)
        self.model.go("closed" if wanted == "reset" else wanted, "operator")

    @rule(ends_in=st.sampled_from([0.0, 3.0, 100.0]), chance=st.sampled_from([0.0, 0.5]))
    def end_maintenance(self, ends_in: float, chance: float) -> None:
        """M5: it is announced that the window is over, or when it ends."""
        self.clock.chance = chance
        self.breakers.maintenance_ends(NAME, ends_in)
        self.model.end_window(self.now + ends_in, chance)

    @invariant()
    def states_agree(self) -> None:
        """B1, B2, B3, B7, B8: state, run and news are what the rules say."""
        data = self.breakers.data(NAME)
        assert str(data.state) == self.model.state
        assert data.run == self.model.run
        assert self.told_words() == self.model.told

    def told_words(self) -> list[tuple[str, str, str]]:
        return [(str(t.previous), str(t.state), str(t.cause)) for t in self.told]

    @invariant()
    def news_are_a_chain(self) -> None:
        """B8: each transition begins where the last one ended, in a later generation."""
        for earlier, later in zip(self.told, self.told[1:], strict=False):
            assert later.previous is earlier.state
            assert later.generation > earlier.generation
            assert later.at >= earlier.at


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


@given(
    served=st.integers(min_value=0, max_value=5000),
    factor=st.floats(min_value=1, max_value=100),
    first=st.floats(min_value=0.1, max_value=600),
    chance=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_cooldowns_grow_within_their_bounds(
    served: int, factor: float, first: float, chance: float
) -> None:
    """B2: a cool-down is at least the first, at most the cap, and never shorter than the last."""
    policy = BreakerPolicy(cooldown=first, cooldown_factor=factor)
    assert first <= cooldown(policy, served, chance) <= policy.max_cooldown
    assert cooldown(policy, served, chance) <= cooldown(policy, served + 1, chance)
