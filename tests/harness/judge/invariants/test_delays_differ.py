import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest

from harness import contract
from harness.records.history import ENOUGH_RETRIES
from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find, judged

Uniform = Callable[[], float]
TOLD_S = 3.0


def retried(
    draws: Sequence[Uniform],
    *,
    calls: int = 130,
    attempts: int = 2,
    base_s: float = 2.0,
    noise_s: float = 0.004,
) -> Arm:
    """Calls over containers, each with a source of chance of its own, that retry with full jitter, doubled.

    Args:
        draws: one a container.
        calls: in all, one each 40 ms.
        attempts: of each.
        base_s: of the backoff.
        noise_s: the most that a hand-over takes.
    """
    chance = random.Random(99)
    arm = Arm(containers=len(draws), limit=1000)
    for number in range(calls):
        container = chance.randrange(len(draws))
        at_s = number * 0.04
        tries = []
        for attempt in range(1, attempts + 1):
            decision = "overloaded" if attempt < attempts else "ok"
            tries.append(Try(decision=decision, at_s=at_s, retry_after_s=TOLD_S))
            wait_s = draws[container]() * base_s * 2 ** (attempt - 1)
            at_s += 0.001 + TOLD_S + wait_s + chance.random() * noise_s
        arm.request(due_s=number * 0.04, end_s=at_s + 1, container=container + 1, calls=[tries])
    return arm


def sources(containers: int, seed: int | None = None) -> list[Uniform]:
    """Give each container a source of chance: its own, or all one of the same seed."""
    return [random.Random(1000 + n if seed is None else seed).random for n in range(containers)]


@pytest.mark.parametrize("containers", [2, 4, 8])
def test_full_jitter_of_each_container_s_own_holds(containers: int) -> None:
    finding = judged("delays-differ", retried(sources(containers), attempts=3))
    assert finding.holds, finding.message


@pytest.mark.parametrize("containers", [2, 4, 8])
def test_the_same_seed_in_every_container_is_found(containers: int) -> None:
    arm = retried(sources(containers, seed=7))
    finding = judged("delays-differ", arm)
    assert finding.holds is False
    assert "equal waits in different containers" in finding.message
    assert finding.traces
    assert find("herd-share", arm).holds  # nobody comes at once: it is the waits that are alike


@pytest.mark.parametrize("containers", [4, 6])
def test_one_seed_for_two_of_many_containers_is_found(containers: int) -> None:
    """As where it is the second in which a process was started."""
    draws = [*sources(containers - 2), *sources(2, seed=7)]
    finding = judged("delays-differ", retried(draws, calls=60 * containers))
    assert finding.holds is False
    assert f"of two containers of {containers}" in finding.message
    assert finding.traces


def test_each_two_of_many_containers_with_chance_of_their_own_hold() -> None:
    for number in range(4):
        draws = [random.Random(100 * number + each).random for each in range(12)]
        finding = judged("delays-differ", retried(draws, calls=360))
        assert finding.holds, finding.message
        assert finding.observed is not None
        assert finding.observed < 0.12


def test_no_jitter_is_found() -> None:
    finding = judged("delays-differ", retried([lambda: 0.0] * 4))
    assert finding.holds is False
    assert finding.observed == 1
    assert "130 waits before first retries" in finding.message


def test_jitter_on_the_first_retry_alone_is_found() -> None:
    first, draws = random.Random(1), count()
    finding = judged(
        "delays-differ", retried([lambda: 0.0 if next(draws) % 3 else first.random()] * 2, attempts=3)
    )
    assert finding.holds is False
    assert "waits before second retries" in finding.message


def test_a_first_wait_beyond_what_was_told_is_what_counts() -> None:
    """Retry-After differs from call to call, and nobody adds a thing to it."""
    arm = Arm(limit=1000)
    for number in range(120):
        told_s = 5.0 - number * 0.03
        first = Try(decision="overloaded", at_s=number * 0.03, retry_after_s=told_s)
        arm.request(due_s=number * 0.03, end_s=9.0, calls=[[first, Try(at_s=number * 0.03 + told_s + 0.002)]])
    assert judged("delays-differ", arm).observed == 1


def test_what_the_agent_tells_of_its_waits_counts_where_a_busy_machine_smears_them() -> None:
    arm, chance = Arm(limit=1000), random.Random(1)
    for number in range(120):
        at_s = number * 0.03
        back_s = at_s + 1.0 + chance.random()
        tries = [Try(decision="overloaded", at_s=at_s, retry_after_s=1.0), Try(at_s=back_s, told_wait_s=1.0)]
        arm.request(due_s=at_s, end_s=back_s + 1, calls=[tries])
    assert judged("delays-differ", arm).observed == 1


def test_few_retries_are_alike_by_chance() -> None:
    finding = judged("delays-differ", retried([lambda: 0.0] * 4, calls=99))
    assert (finding.holds, finding.cases) == (None, 99)


def test_few_second_retries_are_not_looked_at() -> None:
    arm = retried(sources(2))
    flat = retried([lambda: 0.5], calls=ENOUGH_RETRIES[2] - 1, attempts=3)
    arm.rows, arm.journal = [*arm.rows, *flat.rows], [*arm.journal, *flat.journal]
    assert "second" not in find("delays-differ", arm).message


@pytest.mark.parametrize("seed", range(40))
def test_no_sound_fleet_is_found_and_no_shared_seed_missed(seed: int) -> None:
    """Other sizes, shapes of jitter and machines in each draw."""
    chance = random.Random(seed)
    containers, calls = chance.randint(2, 8), chance.choice([100, 130, 300])
    noise_s = chance.choice([0.002, 0.006])
    shape: Callable[[Uniform], Uniform] = chance.choice(
        [lambda u: u, lambda u: lambda: (u() + u()) / 2, lambda u: lambda: 0.5 + u()]
    )
    sound = [shape(random.Random(f"{seed} {n}").random) for n in range(containers)]
    broken = [shape(random.Random(seed).random) for _ in range(containers)]
    assert judged("delays-differ", retried(sound, calls=calls, noise_s=noise_s)).holds
    assert judged("delays-differ", retried(broken, calls=calls, noise_s=noise_s)).holds is False


def test_waits_that_are_told_as_spread_and_were_all_alike_are_found() -> None:
    arm, chance = Arm(limit=1000), random.Random(1)
    for number in range(120):
        tries = [
            Try(decision="overloaded", at_s=number * 1.0),
            Try(at_s=number * 1.0 + 0.7, told_wait_s=2 * chance.random()),
        ]
        arm.request(due_s=number * 1.0, end_s=number * 1.0 + 1, calls=[tries])
    assert judged("delays-differ", arm).observed == 1


def test_a_second_attempt_beside_a_slow_first_is_no_retry() -> None:
    arm = Arm(containers=2, limit=1000)
    for number in range(130):
        first, beside = (Try(at_s=number + after_s, lasted_s=0.8) for after_s in (0.0, 0.3))
        arm.request(due_s=number, end_s=number + 1.2, container=1 + number % 2, calls=[[first, beside]])
    finding = judged("delays-differ", arm)
    assert finding.holds is None, finding.message


@pytest.mark.parametrize("told", [math.nan, math.inf, -1.0, True])
def test_what_is_told_of_a_wait_and_is_no_time_was_not_told(told: float) -> None:
    arm = retried(sources(4, seed=7))
    arm.spans = [
        replace(
            span, events=tuple(replace(e, attributes={contract.RETRY_DELAY_S: told}) for e in span.events)
        )
        for span in arm.spans
    ]
    finding = judged("delays-differ", arm)
    assert finding.holds is False
    assert "equal waits in different containers" in finding.message
