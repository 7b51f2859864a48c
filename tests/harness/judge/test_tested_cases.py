"""Each invariant on a history that holds, with one tested case too few, and with enough of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest

from harness.judge.invariants import REGISTRY
from harness.records.setup import Window
from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import judged
from tests.harness.judge.conversations import say
from tests.harness.judge.invariants.test_growth_bounded import LEVEL, soaked
from tests.harness.judge.invariants.test_harm_stays_local import struck
from tests.harness.judge.invariants.test_ping_free_after_leave import arm_of
from tests.harness.judge.invariants.test_restored import built, connected, copy, restored
from tests.harness.judge.invariants.test_store_weather import (
    clearing,
    coming_back,
    conversations,
    looked_at,
    paying,
    waiting,
)
from tests.harness.judge.invariants.test_tools_come_back import shaken as tools_shaken

QUIET_S = 10_000.0
RATES = (8, 16)


@dataclass(frozen=True)
class Pair:
    """An arm with so many cases, and one to compare it with."""

    arm: Arm
    versus: Arm | None = None


def asked(requests: int, *calls: str, arm: Arm | None = None, failed: bool = False) -> Arm:
    """One request after another, each with a model call of these attempts."""
    arm = arm or Arm(containers=1)
    status, error = (502, "the model refused") if failed else (200, None)
    for number in range(requests):
        arm.request(due_s=number * 10.0, calls=[calls or ["ok"]], status=status, error=error)
    return arm


def queued(cases: int) -> Arm:
    """Requests that come one after another while the only container is full, and a hundred in quiet times."""
    arm = Arm(containers=1)
    for number in range(cases + 1):
        due_s, begin_s, end_s = max(0.0, number - 0.5), number + 0.002, number + 1.0
        work = [Try(at_s=begin_s + 0.001, lasted_s=0.99)]
        arm.request(due_s=due_s, begin_s=begin_s, end_s=end_s, calls=[work])
    for number in range(100):
        arm.request(due_s=QUIET_S + 100.0 * number, end_s=QUIET_S + 100.0 * number + 1)
    return arm


def with_a_choice(cases: int) -> Arm:
    """Requests that come while one container is full and another is free, and are sent to that one."""
    arm = Arm(containers=2)
    for number in range(cases):
        arm.request(due_s=number * 2.0, end_s=number * 2 + 1.5, container=1)
        arm.request(due_s=number * 2 + 0.5, end_s=number * 2 + 1.0, container=2)
    return arm


def warmed(cases: int) -> Arm:
    arm = asked(cases + 1)
    arm.init()
    return arm


def over_quota(cases: int) -> Arm:
    arm = asked(cases, "rate_limit_requests", "ok")
    arm.set(quota_rps=50.0, quota_burst=10.0)
    return arm


def spread(cases: int) -> Arm:
    arm = Arm(containers=1, limit=1000)
    for number in range(cases):
        back_s = 8 + number * 0.02
        first = Try(decision="overloaded", at_s=4.0)
        arm.request(due_s=4.0, end_s=back_s + 0.1, calls=[[first, Try(at_s=back_s)]])
    return arm


def joined(cases: int) -> Arm:
    arm = Arm(containers=2)
    arm.moved(2, joined_s=10.0)
    for number in range(2 * cases):
        arm.request(due_s=10.0 + number * 0.1, container=number % 2 + 1)
    return arm


def told(cases: int) -> Arm:
    """Two conversations, each answer of which has its own word alone."""
    arm = Arm(containers=1)
    for number in range(cases + 1):
        say(arm, f"session-{number}", f"w{number}", f"w{number}")
    return arm


def remembered(cases: int) -> Arm:
    arm = Arm(containers=1)
    words = [f"w{number}" for number in range(cases + 1)]
    for number, word in enumerate(words):
        say(arm, "session", word, *words[: number + 1])
    return arm


def pinged(cases: int) -> Arm:
    """As many looks at a full container as at one that is free."""
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=100.0, calls=[[Try(at_s=0.001, lasted_s=99.9)]])
    for number in range(cases):
        arm.ping(1.0 + number * 98 / cases, busy=True)
        arm.ping(101.0 + number * 198 / cases, busy=False)
    arm.set(end_s=300.0)
    return arm


def recovered(cases: int) -> Arm:
    """Ten requests a second for 20 s, some of which met an outage from 5 s to 8 s."""
    arm = Arm(containers=1, limit=100)
    for number in range(200):
        met = 50 <= number < 50 + cases
        arm.request(due_s=number / 10, calls=[["overloaded", "ok"] if met else ["ok"]])
    outage = Window(kind="fault", name="overloaded", from_s=5.0, to_s=8.0)
    arm.set(windows=(outage,), end_s=20.0)
    return arm


def told_when(cases: int) -> Arm:
    arm = Arm(containers=1)
    for number in range(cases):
        due_s = number * 10.0
        first = Try(decision="rate_limit_requests", at_s=due_s + 0.1, retry_after_s=1.0)
        arm.request(due_s=due_s, end_s=due_s + 2, calls=[[first, Try(at_s=due_s + 1.5)]])
    return arm


def overfull(cases: int) -> Arm:
    """One container, and as many requests at once, each of which takes a second."""
    arm = Arm(containers=1)
    for number in range(cases + 1):
        arm.request(due_s=200.0, begin_s=200.0 + number, end_s=201.0 + number)
    arm.set(windows=(Window(kind="phase", name="steady", from_s=0.0, to_s=400.0),), end_s=400.0)
    return arm


def ramped(cases: int, sustained: int = 2) -> Arm:
    """Two steps of so many requests, the first of which are sustained."""
    arm = Arm(containers=1, limit=1000)
    arm.set(
        ramp_p99_ms=400.0,
        ramp_error_ratio=0.01,
        windows=tuple(
            Window(kind="phase", name=f"ramp-{rate}", from_s=at, to_s=at + 1.0)
            for at, rate in enumerate(RATES)
        ),
    )
    for step, rate in enumerate(RATES):
        for _ in range(cases):
            arm.request(due_s=float(step), end_s=step + (0.1 if step < sustained else 0.9))
            arm.change(phase=f"ramp-{rate}")
    return arm


def reused(cases: int) -> Arm:
    """Calls over one connection, each but the first while it is idle."""
    arm = Arm(containers=1)
    for number in range(cases + 1):
        arm.request(due_s=number * 0.5)
    return arm


def gauged(cases: int) -> Arm:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=100.0)
    for number in range(cases):
        arm.gauge(1.0 + number * 98 / cases, 1)
    return arm


def stamped(cases: int) -> Arm:
    """Looks all the while at a container that stays full."""
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=100.0)
    for number in range(cases + 1):
        arm.ping(1.5 + number * 98 / (cases + 1), busy=True, changed_s=0.0)
    return arm


def shaken(cases: int) -> Arm:
    arm = warmed(cases)
    arm.init("mcp")
    arm.handshakes(1)
    return arm


def saved(cases: int) -> Arm:
    arm = Arm(containers=1)
    for number in range(cases):
        arm.request(due_s=float(number))
        arm.span("session.load", number + 0.001, number + 0.002)
        arm.span("session.save", number + 0.05, number + 0.06)
    return arm


def left(cases: int) -> Arm:
    """Readers who leave, and one who comes after them."""
    arm = asked(cases)
    last_s = max(row.end_s for row in arm.rows) - BEGIN_S if arm.rows else 0.0
    arm.rows = [replace(row, left=True, error="its reader left") for row in arm.rows]
    arm.request(due_s=last_s + 60.0, end_s=last_s + 60.1)
    return arm


def streamed(cases: int) -> Arm:
    """Requests whose first words are there before their end."""
    arm = asked(cases)
    arm.rows = [replace(row, first_token_s=row.due_s + 0.05) for row in arm.rows]
    return arm


def copies(cases: int) -> Arm:
    arm = Arm(containers=cases)
    numbers = range(1, cases + 1)
    arm.set(restored=tuple(map(copy, numbers)), connections=tuple(map(connected, numbers)))
    return arm


def minting(cases: int) -> Arm:
    arm = Arm(containers=1)
    arm.set(restored=(copy(1, sessions=tuple(f"session-{number}" for number in range(cases))),))
    return arm


def renewed(cases: int) -> Arm:
    arm = restored()
    for number in range(cases):
        built(arm, 1, f"client-{number}")
    return arm


def followed(cases: int) -> Arm:
    """Two at a time for one slot, until another container is there after two fifths of it."""
    length_s = max(1, cases) / 2
    arm = Arm(containers=2)
    arm.moved(2, joined_s=0.4 * length_s)
    arm.set(windows=(Window(kind="phase", name="step", from_s=0.0, to_s=length_s),), end_s=length_s + 1)
    for number in range(cases):
        arm.request(due_s=number / 2, end_s=number / 2 + 0.9, container=1 + number % 2)
    return arm


SOON = 10
"""Of what is sent twice a second after weather, so many come when not all has to be well yet."""
HELD: Mapping[str, Callable[[int], Pair]] = {
    "amplification": lambda n: Pair(asked(n, "overloaded", "ok")),
    "answers-whole": lambda n: Pair(asked(n, "eof_clean", "ok")),
    "attempts-agree": lambda n: Pair(asked(n, "overloaded", "ok")),
    "attempts-bounded": lambda n: Pair(asked(n, "overloaded", "overloaded", failed=True)),
    "calls-within-limit": lambda n: Pair(queued(n)),
    "capacity-follows": lambda n: Pair(followed(n)),
    "connections-bounded": lambda n: Pair(reused(n)),
    "delays-differ": lambda n: Pair(spread(n)),
    "errors-explained": lambda n: Pair(asked(n)),
    "first-after-restore": lambda n: Pair(copies(n)),
    "fresh-agent": lambda n: Pair(asked(n + 1)),
    "gauge-agrees": lambda n: Pair(gauged(n)),
    "goodput-share": lambda n: Pair(over_quota(n)),
    "growth-bounded": lambda n: Pair(soaked(lambda _: LEVEL, requests=n)),
    "handshakes-agree": lambda n: Pair(shaken(n)),
    "harm-stays-local": lambda n: Pair(struck(failed=0, of=n)),
    "herd-share": lambda n: Pair(spread(n)),
    "idle-while-waiting": lambda n: Pair(with_a_choice(n)),
    "ids-differ": lambda n: Pair(restored(requests=n)),
    "inflight-limit": lambda n: Pair(queued(n)),
    "init-once": lambda n: Pair(warmed(n)),
    "joined-share": lambda n: Pair(joined(n)),
    "no-503-while-idle": lambda n: Pair(with_a_choice(n)),
    "no-errors": lambda n: Pair(asked(n)),
    "no-leak": lambda n: Pair(told(n)),
    "p99": lambda n: Pair(asked(n)),
    "p99-over-optimum": lambda n: Pair(queued(n)),
    "p99-ratio": lambda n: Pair(asked(n), asked(100)),
    "permanent-once": lambda n: Pair(asked(n, "auth", failed=True)),
    "ping-busy-when-full": lambda n: Pair(pinged(n)),
    "ping-free-after-leave": lambda n: Pair(arm_of(busy=False, looks=n, containers=1)),
    "ping-stamp": lambda n: Pair(stamped(n)),
    "ping-truthful": lambda n: Pair(pinged(n)),
    "ready-truthful": lambda n: Pair(
        looked_at(*((11.5 + number / 2, False) for number in range(n)), (30.0, True))
    ),
    "recovery": lambda n: Pair(recovered(n)),
    "reinits-explained": lambda n: Pair(warmed(n)),
    "renewed-once": lambda n: Pair(renewed(n)),
    "retry-after-respected": lambda n: Pair(told_when(n)),
    "saved-before-answer": lambda n: Pair(saved(n)),
    "scaling-share": lambda n: Pair(overfull(n), overfull(n)),
    "session-load-tail": lambda n: Pair(saved(n)),
    "sessions-minted-once": lambda n: Pair(minting(n)),
    "served-after-leave": lambda n: Pair(left(n)),
    "spans-complete": lambda n: Pair(asked(n)),
    "stamp-of-this-life": lambda n: Pair(copies(n)),
    "steady-p95-ratio": lambda n: Pair(asked(n), asked(100)),
    "store-herd": lambda n: Pair(coming_back(spread_s=0.1, many=n)),
    "store-recovery": lambda n: Pair(clearing(11.5, after=n + SOON)),
    "store-wait-bounded": lambda n: Pair(waiting(0.5, many=n)),
    "success-kept": lambda n: Pair(conversations(n)),
    "sustained-ratio": lambda n: Pair(ramped(n), ramped(n, sustained=1)),
    "tools-come-back": lambda n: Pair(tools_shaken(after=n + SOON)),
    "transient-survived": lambda n: Pair(asked(n, "overloaded", "ok")),
    "ttft": lambda n: Pair(streamed(n)),
    "turns-kept": lambda n: Pair(remembered(n)),
    "unpaid-when-down": lambda n: Pair(paying(0, unpaid=n)),
}
"""By invariant, an arm in which it holds, with a number of tested cases."""
BY_ITS_LIMIT = {"first-after-none", "held-by-frozen", "kills-done", "removals-done", "replacements-done"}
"""What says itself, by its limit, how many are needed; or needs one."""


def test_every_invariant_is_here() -> None:
    assert HELD.keys() | BY_ITS_LIMIT == REGISTRY.keys()


@pytest.mark.parametrize("name", sorted(HELD))
def test_with_a_case_too_few_it_is_unknown_and_says_what_to_do(name: str) -> None:
    invariant = REGISTRY[name]
    few = HELD[name](invariant.cases_needed - 1)
    finding = judged(name, few.arm, versus=few.versus)
    assert finding.holds is None
    assert finding.cases == invariant.cases_needed - 1
    assert finding.message.startswith(f"too few cases: {finding.cases} {invariant.case}")
    assert finding.message.endswith(invariant.more_cases)


@pytest.mark.parametrize("name", sorted(HELD))
def test_with_enough_cases_it_holds(name: str) -> None:
    invariant = REGISTRY[name]
    enough = HELD[name](invariant.cases_needed)
    finding = judged(name, enough.arm, versus=enough.versus)
    assert finding.holds is True, finding.message
    assert finding.cases == invariant.cases_needed


def test_one_thing_that_is_wrong_is_shown_by_a_single_case_where_nothing_may_be() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "A", "B")
    assert judged("no-leak", arm).holds is False


def test_a_share_that_is_too_large_among_few_is_unknown() -> None:
    arm = asked(3, "overloaded", failed=True)
    finding = judged("transient-survived", arm)
    assert (finding.holds, finding.observed) == (None, 0.0)


def test_a_control_arm_is_not_caught_by_few_cases() -> None:
    arm = Arm()
    say(arm, "s", "A", "A")
    say(arm, "t", "B", "A", "B")
    assert judged("no-leak", arm, control=True).holds is None


# --- what was green on nearly nothing --------------------------------------------------
def test_one_of_four_slots_in_use_tests_no_limit() -> None:
    arm = asked(300, arm=Arm(containers=1, limit=4))
    for name in ("inflight-limit", "calls-within-limit"):
        finding = judged(name, arm)
        assert (finding.holds, finding.cases) == (None, 0)
    assert (
        "1 of 4 slots were ever in use, the limit was never tested" in judged("inflight-limit", arm).message
    )


def test_one_answer_of_many_that_recalls_anything_tests_no_leak() -> None:
    arm = Arm()
    for number in range(299):
        say(arm, f"session-{number}", f"w{number}")
    say(arm, "last", "Z", "Z")
    finding = judged("no-leak", arm)
    assert (finding.holds, finding.cases) == (None, 1)


def test_one_request_of_many_that_tells_its_agent_tests_no_sharing() -> None:
    arm = Arm(containers=1)
    for number in range(499):
        arm.request(due_s=float(number), without=["invoke_agent"])
    arm.request(due_s=500.0)
    assert judged("fresh-agent", arm).holds is None


@pytest.mark.parametrize("name", ["answers-whole", "attempts-bounded", "attempts-agree", "amplification"])
def test_without_a_fault_nothing_is_known_of_retries(name: str) -> None:
    finding = judged(name, asked(300))
    assert (finding.holds, finding.cases) == (None, 0)


def test_calls_that_were_answered_in_time_show_no_bound() -> None:
    finding = judged("attempts-bounded", asked(300, "overloaded", "ok"))
    assert (finding.holds, finding.cases) == (None, 0)
    assert "0 of 300 calls were given up" in finding.message


def test_throughput_that_is_the_load_s_own_rate_scales_with_nothing() -> None:
    def at_leisure(containers: int, rps: int) -> Arm:
        arm = Arm(containers=containers)
        arm.set(windows=(Window(kind="phase", name="steady", from_s=0.0, to_s=100.0),))
        for number in range(100 * rps):
            arm.request(due_s=number / rps, container=1)  # and no other is ever used
        return arm

    finding = judged("scaling-share", at_leisure(4, 8), versus=at_leisure(1, 2))
    assert finding.observed == pytest.approx(1.0)
    assert (finding.holds, finding.cases) == (None, 0)


def test_a_queue_that_nobody_ever_stood_in_is_no_optimum() -> None:
    arm = asked(300, arm=Arm(containers=4))
    for name in ("p99-over-optimum", "idle-while-waiting", "no-503-while-idle"):
        assert judged(name, arm).holds is None, name
