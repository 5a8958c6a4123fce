"""The circuit breaker's rules, as a pure machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from weatherglass.decide.breaker import (
    LONGEST_HOLD,
    Alive,
    BreakerData,
    BreakerResult,
    Failed,
    Ignored,
    MaintenanceFailure,
    Permit,
    Refusal,
    Success,
    Transition,
    abandon_probe,
    acquire,
    cooldown,
    count_successes,
    end_maintenance,
    force,
    forgettable,
    fresh,
    refuse,
    settle,
)
from weatherglass.policy import BreakerPolicy
from weatherglass.vocabulary import BreakerCause, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, DISABLED = BreakerState.FORCED_OPEN, BreakerState.DISABLED

POLICY = BreakerPolicy(jitter=0)
FAILED: BreakerResult = Failed(0.1)
SUCCESS: BreakerResult = Success(0.1)
NAME = "https://api.example.com:443"


class Machine:
    """A breaker with a clock that is moved by hand."""

    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.policy = policy
        self.data: BreakerData = fresh(NAME, policy)
        self.now = 0.0
        self.told: list[Transition] = []

    def ask(self) -> Permit | Refusal:
        self.data, answer, transition = acquire(self.data, self.now, self.policy)
        self._tell(transition)
        return answer

    def permit(self) -> Permit:
        answer = self.ask()
        assert isinstance(answer, Permit)
        return answer

    def refusal(self) -> Refusal:
        answer = self.ask()
        assert isinstance(answer, Refusal)
        return answer

    def settle(self, permit: Permit, result: BreakerResult) -> None:
        self.data, transition = settle(self.data, permit, result, self.now, self.policy, random=0.0)
        self._tell(transition)

    def calls(self, *results: BreakerResult) -> None:
        for result in results:
            self.settle(self.permit(), result)

    def open(self) -> None:
        self.calls(*[FAILED] * self.policy.consecutive_failures)
        assert self.data.state is OPEN

    def half_open(self) -> Permit:
        self.open()
        self.now = self.data.probe_at
        return self.permit()

    def _tell(self, transition: Transition | None) -> None:
        if transition is not None:
            self.told.append(transition)


def test_five_failures_in_a_row_open_it() -> None:
    """B1: the fifth consecutive failure opens, for 60 s."""
    machine = Machine()
    machine.calls(*[FAILED] * 4)
    assert machine.data.state is CLOSED
    machine.calls(FAILED)
    assert machine.data.state is OPEN
    assert machine.told == [
        Transition(NAME, CLOSED, OPEN, BreakerCause.CONSECUTIVE_FAILURES, 0.0, 1)
    ]
    machine.now = 59.5
    assert machine.refusal() == Refusal(NAME, OPEN, 0.5, None)


def test_a_success_ends_a_run_of_failures() -> None:
    """B1: only failures in a row count as a run."""
    machine = Machine()
    machine.calls(*[FAILED] * 4, SUCCESS, *[FAILED] * 4)
    assert machine.data.state is CLOSED


def test_threshold_and_cooldown_are_policy() -> None:
    """B1: both numbers are the policy's."""
    machine = Machine(BreakerPolicy(consecutive_failures=2, cooldown=7, jitter=0))
    machine.calls(FAILED, FAILED)
    assert machine.refusal().next_probe_in == 7


def test_a_failure_rate_opens_it_with_enough_calls() -> None:
    """B1: half of at least 20 calls in the window failed: it opens, though never in a row."""
    machine = Machine()
    machine.calls(*[FAILED, SUCCESS] * 9, SUCCESS)
    assert machine.data.state is CLOSED
    machine.calls(FAILED)
    assert machine.data.state is OPEN
    assert machine.told[-1].cause is BreakerCause.FAILURE_RATE


def test_a_failure_rate_below_the_threshold_does_not() -> None:
    """B1: a rate below the threshold opens nothing, however many calls there are."""
    machine = Machine()
    for _ in range(50):
        machine.calls(SUCCESS, FAILED, SUCCESS)
    assert machine.data.state is CLOSED


def test_a_rate_is_never_judged_on_a_good_call() -> None:
    """B1: the twentieth call makes the rate count, but a success does not open a breaker."""
    machine = Machine()
    machine.calls(*[FAILED, FAILED, SUCCESS] * 6, SUCCESS, SUCCESS)
    assert machine.data.window.calls == 20
    assert machine.data.state is CLOSED


def test_calls_that_left_the_window_do_not_count() -> None:
    """B1: the failure rate looks at the sliding window only."""
    machine = Machine()
    machine.calls(*[FAILED, SUCCESS] * 9)
    machine.now += 61
    machine.calls(SUCCESS, FAILED)
    assert machine.data.state is CLOSED


def test_without_a_rate_only_runs_count() -> None:
    """B1: with no failure rate set, alternating failures open nothing."""
    machine = Machine(BreakerPolicy(failure_rate=None))
    machine.calls(*[FAILED, SUCCESS] * 100)
    assert machine.data.state is CLOSED


def test_a_rate_of_one_is_reached_by_failures_alone() -> None:
    """B1: a threshold of 1 opens when every call of the minimum failed."""
    machine = Machine(BreakerPolicy(failure_rate=1.0, minimum_calls=10, consecutive_failures=1000))
    machine.calls(*[FAILED] * 9)
    assert machine.data.state is CLOSED
    machine.calls(FAILED)
    assert machine.told[-1].cause is BreakerCause.FAILURE_RATE


def test_slow_calls_open_it_if_that_is_set() -> None:
    """B1: with `slow_call` set, a share of slow calls opens it, successes though they are."""
    machine = Machine(BreakerPolicy(slow_call=2.0, slow_call_rate=0.5, minimum_calls=4))
    machine.calls(SUCCESS, Success(2.0), SUCCESS)
    assert machine.data.state is CLOSED
    machine.calls(Success(9.0))
    assert machine.told[-1].cause is BreakerCause.SLOW_CALL_RATE


def test_slowness_is_nothing_unless_set() -> None:
    """B1: by default the slowest success is a success."""
    machine = Machine()
    machine.calls(*[Success(1e6)] * 100)
    assert machine.data.state is CLOSED


def test_one_probe_goes_through_and_the_rest_are_refused() -> None:
    """B2: after the cool-down the first caller probes, and the next ones are refused."""
    machine = Machine()
    probe = machine.half_open()
    assert probe.probe
    assert probe.state is HALF_OPEN
    assert machine.refusal() == Refusal(NAME, HALF_OPEN, None, None)
    assert machine.told[-1].cause is BreakerCause.PROBE_DUE


@pytest.mark.parametrize("result", [SUCCESS, Alive(), Alive(ends_run=True)])
def test_a_probe_that_finds_the_server_alive_closes(result: BreakerResult) -> None:
    """B2, B4: a success closes and resets; so does any answer of the server's own."""
    machine = Machine()
    machine.settle(machine.half_open(), result)
    assert machine.data.state is CLOSED
    assert machine.data.run == 0
    assert machine.data.window.calls == 0
    assert machine.told[-1].cause is BreakerCause.PROBE_SUCCEEDED


def test_a_failed_probe_reopens_for_longer_up_to_a_cap() -> None:
    """B2: each failed probe doubles the cool-down, up to ten minutes, and closing resets it."""
    machine = Machine()
    probe = machine.half_open()
    waits = []
    for _ in range(6):
        machine.settle(probe, FAILED)
        waits.append(machine.data.probe_at - machine.now)
        machine.now = machine.data.probe_at
        probe = machine.permit()
    assert waits == [120, 240, 480, 600, 600, 600]
    assert machine.told[-2].cause is BreakerCause.PROBE_FAILED
    machine.settle(probe, SUCCESS)
    machine.open()
    assert machine.data.probe_at - machine.now == 60


def test_the_cooldown_is_jittered_below_its_cap() -> None:
    """B2: chance lengthens a cool-down by up to a tenth, and never beyond the cap."""
    policy = BreakerPolicy()
    assert cooldown(policy, 0, 0.0) == 60
    assert cooldown(policy, 0, 0.5) == 63
    assert cooldown(policy, 3, 1.0) == 528
    assert cooldown(policy, 4, 1.0) == 600


@pytest.mark.parametrize("served", [1024, 10**9])
def test_no_number_of_cooldowns_overflows(served: int) -> None:
    """B2: after however many failed probes, the cool-down is its cap."""
    assert cooldown(BreakerPolicy(), served, 0.5) == 600


def test_a_late_outcome_moves_nothing() -> None:
    """B3: what calls of an earlier generation report is counted apart and changes no state."""
    machine = Machine()
    late = machine.permit()
    probe = machine.half_open()
    machine.settle(late, SUCCESS)
    assert machine.data.state is HALF_OPEN
    machine.settle(late, FAILED)
    assert machine.data.state is HALF_OPEN
    machine.settle(probe, SUCCESS)
    for _ in range(100):
        machine.settle(late, FAILED)
    assert machine.data.state is CLOSED
    assert machine.data.late == 102
    machine.calls(FAILED)
    assert machine.data.run == 1


def test_a_silent_probe_frees_its_place_when_the_lease_lapses() -> None:
    """B3: a probe that never reports is given up after the lease, and another one goes."""
    machine = Machine()
    silent = machine.half_open()
    machine.now += 59.9
    assert machine.refusal().next_probe_in is None
    machine.now += 0.1
    second = machine.permit()
    assert second.probe
    assert [t.state for t in machine.told] == [OPEN, HALF_OPEN]
    machine.settle(silent, SUCCESS)
    assert machine.data.state is HALF_OPEN
    machine.settle(second, SUCCESS)
    assert machine.data.state is CLOSED


def test_a_probe_that_reports_late_still_counts_if_no_other_went() -> None:
    """B3: a lapsed lease only frees the place; until somebody takes it, the probe's word holds."""
    machine = Machine()
    slow = machine.half_open()
    machine.now += 300
    machine.settle(slow, SUCCESS)
    assert machine.data.state is CLOSED


def test_an_ignored_probe_gives_its_place_back() -> None:
    """B3, B4: a cancelled probe, or one that met a 429, lets the next caller probe at once."""
    machine = Machine()
    cancelled = machine.half_open()
    machine.settle(cancelled, Ignored())
    machine.settle(cancelled, SUCCESS)
    assert machine.data.state is HALF_OPEN
    assert machine.permit().probe
    machine.settle(cancelled, SUCCESS)
    assert machine.data.state is HALF_OPEN


def test_only_a_probe_can_be_abandoned() -> None:
    """D13: a breaker that has moved on meanwhile has no place to free."""
    machine = Machine()
    assert abandon_probe(machine.data) is machine.data
    machine.half_open()
    machine.data = abandon_probe(machine.data)
    assert machine.permit().probe


def test_client_errors_are_neither_success_nor_failure() -> None:
    """B4: a 4xx neither lengthens nor ends a run of failures, and no rate counts it."""
    machine = Machine()
    machine.calls(FAILED, FAILED, Alive(), Ignored(), FAILED, FAILED)
    assert machine.data.run == 4
    assert machine.data.window.calls == 4
    for _ in range(50):
        machine.calls(Alive(), Ignored())
    assert machine.data.state is CLOSED
    machine.calls(FAILED)
    assert machine.data.state is OPEN


def test_a_permanent_500_ends_a_run_of_failures() -> None:
    """B4: it proves that the server is alive, without being a success in any rate."""
    machine = Machine()
    machine.calls(*[FAILED] * 4, Alive(ends_run=True), *[FAILED] * 4)
    assert machine.data.state is CLOSED
    assert machine.data.window.calls == 8


def test_retry_after_extends_the_cooldown() -> None:
    """B7: when the breaker opens on a 503, no probe goes before its Retry-After has passed."""
    machine = Machine()
    machine.calls(*[FAILED] * 4, Failed(0.1, hold=150))
    assert machine.refusal().next_probe_in == 150


def test_retry_after_does_not_shorten_the_cooldown() -> None:
    """B7: a shorter Retry-After leaves the cool-down as it is."""
    machine = Machine()
    machine.calls(*[FAILED] * 4, Failed(0.1, hold=5))
    assert machine.refusal().next_probe_in == 60


def test_retry_after_means_nothing_to_a_closed_breaker() -> None:
    """B7: one 503 with Retry-After does not open a breaker, and is forgotten by the next."""
    machine = Machine()
    machine.calls(Failed(0.1, hold=500), *[FAILED] * 4)
    assert machine.refusal().next_probe_in == 60


def test_retry_after_extends_an_open_breaker() -> None:
    """B7: a 503 that comes in just after the opening still makes the cool-down longer."""
    machine = Machine()
    others = machine.permit()
    machine.open()
    machine.settle(others, Failed(0.1, hold=90))
    assert machine.refusal().next_probe_in == 90
    assert machine.data.generation == 1


def test_a_late_retry_after_does_not_disturb_a_probe() -> None:
    """B3, B7: once a probe is under way, it alone decides."""
    machine = Machine()
    others = machine.permit()
    probe = machine.half_open()
    machine.settle(others, Failed(0.1, hold=90))
    machine.settle(probe, SUCCESS)
    assert machine.data.state is CLOSED


def test_a_wild_retry_after_shuts_nobody_out_for_years() -> None:
    """B7, S1: the extension is at most a day."""
    machine = Machine()
    machine.calls(*[FAILED] * 4, Failed(0.1, hold=1e12))
    assert machine.refusal().next_probe_in == LONGEST_HOLD


WINDOW = MaintenanceFailure("release", ends_in=300, probe_interval=30)


def test_the_first_failure_in_a_maintenance_window_opens() -> None:
    """M3: in a window one failure is enough, and refusals name the window."""
    machine = Machine()
    machine.calls(WINDOW)
    assert machine.refusal() == Refusal(NAME, OPEN, 30, "release", True)
    assert machine.told[-1].cause is BreakerCause.MAINTENANCE


def test_probes_go_at_the_set_interval_until_the_window_ends() -> None:
    """B7, M3: a probe each `probe_interval`, and the last one at the window's end at latest."""
    machine = Machine()
    machine.calls(WINDOW)
    probed = []
    while machine.now < 300:
        machine.now = machine.data.probe_at
        probed.append(machine.now)
        left = 300 - machine.now
        machine.settle(
            machine.permit(), replace(WINDOW, ends_in=left, probe_interval=70) if left else FAILED
        )
    assert probed == [30, 100, 170, 240, 300]


def test_a_probe_under_maintenance_is_refused_by_the_windows_name() -> None:
    """M3: while a probe is under way in the window, the others are told of the window."""
    machine = Machine()
    machine.calls(WINDOW)
    machine.now = 30
    machine.permit()
    assert machine.refusal() == Refusal(NAME, HALF_OPEN, None, "release", True)


def test_a_window_that_ends_early_closes() -> None:
    """M5: a probe that succeeds closes, whatever the window says."""
    machine = Machine()
    machine.calls(WINDOW)
    machine.now = 30
    machine.calls(SUCCESS)
    assert machine.data.state is CLOSED
    assert machine.data.maintenance is None


def test_a_window_that_is_known_to_be_over_lets_a_probe_through_soon() -> None:
    """M5: an end that is announced early brings the probe on, by chance within seconds."""
    machine = Machine()
    machine.calls(WINDOW)
    assert machine.refusal().maintenance == "release"
    for random in (0.0, 0.5):
        over = end_maintenance(machine.data, 0, 10, random=random)
        assert over.probe_at == 10 + 5 * random
        assert over.maintenance_until == 10
    assert end_maintenance(machine.data, 0, 29, random=0.9).probe_at == 30, "it was put off"


def test_a_window_that_is_made_shorter_is_probed_after_its_new_end() -> None:
    """M5: an end that is moved forward counts from then on; one that is put off changes nothing."""
    machine = Machine()
    machine.calls(replace(WINDOW, probe_interval=3000))
    shorter = end_maintenance(machine.data, 100, 10, random=0.5)
    assert (shorter.probe_at, shorter.maintenance_until) == (112.5, 110)
    assert end_maintenance(shorter, 200, 20, random=0.5) is shorter


def test_an_early_end_does_not_cut_a_retry_after_short() -> None:
    """M5, B7: who asked to be left alone is left alone, whatever a status page says."""
    machine = Machine()
    late = machine.permit()
    machine.calls(replace(WINDOW, hold=100))
    machine.now = 50
    machine.settle(late, Failed(0.1, hold=70))
    assert end_maintenance(machine.data, 0, 50, random=0.5).probe_at == 120


def test_an_early_end_moves_no_breaker_but_one_that_a_window_keeps_open() -> None:
    """M5: closed, half-open, forced and ordinarily opened breakers are left as they are."""
    machine = Machine()
    assert end_maintenance(machine.data, 0, 0, random=0) is machine.data
    machine.open()
    assert end_maintenance(machine.data, 0, 1, random=0) is machine.data
    probed = Machine()
    probed.calls(WINDOW)
    probed.now = 30
    probed.permit()
    assert end_maintenance(probed.data, 0, 31, random=0) is probed.data


def test_a_window_that_overruns_falls_back_to_the_ordinary_rules() -> None:
    """M5: after its end a failed probe begins ordinary cool-downs, from the shortest."""
    machine = Machine()
    machine.calls(WINDOW)
    for _ in range(9):
        machine.now = machine.data.probe_at
        left = 300 - machine.now
        machine.calls(replace(WINDOW, ends_in=left))
    machine.now = 300
    machine.calls(FAILED)
    assert machine.refusal() == Refusal(NAME, OPEN, 60, None)
    assert machine.told[-1].cause is BreakerCause.PROBE_FAILED


def test_a_window_that_ended_meanwhile_is_none() -> None:
    """M5: a failure that is reported when the window is over is an ordinary one."""
    machine = Machine()
    machine.calls(replace(WINDOW, ends_in=0))
    assert machine.data.state is CLOSED
    assert machine.data.run == 1


def test_a_retry_after_in_a_window_puts_the_probe_off() -> None:
    """B7: in a window, too, nobody probes before the server said to come back."""
    machine = Machine()
    machine.calls(replace(WINDOW, hold=400))
    assert machine.refusal().next_probe_in == 400
    machine.now = 350
    assert machine.refusal().maintenance is None


def test_forced_open_refuses_until_told_otherwise() -> None:
    """B8: nothing but an operator opens a breaker that an operator closed to all."""
    machine = Machine()
    before = machine.permit()
    machine.data, transition = force(machine.data, FORCED_OPEN, machine.now)
    assert transition == Transition(NAME, CLOSED, FORCED_OPEN, BreakerCause.OPERATOR, 0.0, 1)
    machine.settle(before, SUCCESS)
    machine.now = 1e9
    assert machine.refusal() == Refusal(NAME, FORCED_OPEN, None, None)


def test_disabled_admits_everything_and_counts_nothing() -> None:
    """B8: a disabled breaker lets failures pass."""
    machine = Machine()
    machine.data, _ = force(machine.data, DISABLED, machine.now)
    for _ in range(50):
        machine.calls(FAILED, WINDOW)
    assert machine.data.state is DISABLED
    assert machine.data.window.calls == 0


def test_forced_closed_forgets_and_goes_on_by_the_ordinary_rules() -> None:
    """B8: an operator may end a cool-down; five failures open it again."""
    machine = Machine()
    machine.open()
    machine.data, _ = force(machine.data, CLOSED, machine.now)
    machine.calls(*[FAILED] * 4)
    assert machine.data.state is CLOSED
    machine.calls(FAILED)
    assert machine.refusal().next_probe_in == 60


def test_forcing_what_is_so_already_is_no_transition() -> None:
    """B8: closing a closed breaker tells nobody, but makes outcomes under way late."""
    machine = Machine()
    before = machine.permit()
    machine.data, transition = force(machine.data, CLOSED, machine.now)
    assert transition is None
    machine.settle(before, FAILED)
    assert machine.data.run == 0


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN])
def test_only_lasting_states_can_be_forced(state: BreakerState) -> None:
    """B8: the states of the ordinary rules are theirs, and the error says which are not."""
    with pytest.raises(ValueError, match="must be closed, disabled or forced_open"):
        force(fresh(NAME, POLICY), state, 0.0)


def test_a_policy_without_breakers_has_disabled_ones() -> None:
    """B1: with `enabled` off there is no breaker, unless an operator forces one."""
    machine = Machine(BreakerPolicy(enabled=False))
    machine.calls(*[FAILED] * 100)
    assert machine.data.state is DISABLED
    assert forgettable(machine.data, machine.policy)


def test_only_what_a_fresh_breaker_would_be_is_forgettable() -> None:
    """B5: open, half-open, forced and disabled breakers are never forgotten."""
    machine = Machine()
    assert forgettable(machine.data, POLICY)
    machine.half_open()
    assert not forgettable(machine.data, POLICY)
    for state in (FORCED_OPEN, DISABLED):
        assert not forgettable(force(machine.data, state, 0.0)[0], POLICY)
    assert not forgettable(replace(machine.data, state=OPEN), POLICY)


def test_looking_takes_no_permit() -> None:
    """B6: asking whether a call would be refused changes nothing and lets nobody through."""
    machine = Machine()
    assert refuse(machine.data, 0.0) is None
    machine.open()
    assert refuse(machine.data, 0.0) == Refusal(NAME, OPEN, 60, None)
    assert refuse(machine.data, 60.0) is None
    assert machine.data.state is OPEN


def test_good_calls_counted_later_are_counted_in_their_own_time() -> None:
    """B1: successes that the shell has noted count in the window where they ended."""
    machine = Machine()
    permit = machine.permit()
    machine.data = count_successes(machine.data, permit, [0.0, 1.0, 100.0], POLICY)
    assert machine.data.window.calls == 1
    machine.open()
    counted = count_successes(machine.data, permit, [101.0], POLICY)
    assert counted == replace(machine.data, late=1)


def test_admission_to_a_closed_breaker_makes_nothing() -> None:
    """B3: all callers of a generation share one permit."""
    machine = Machine()
    assert machine.permit() is machine.permit()
    assert machine.permit().generation == machine.data.generation
