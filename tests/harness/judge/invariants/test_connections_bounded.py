import random
from dataclasses import replace
from itertools import count

import pytest

from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import find, judged


def arm_over(connections: list[int], decision: str = "ok", *, every_s: float = 0.5) -> Arm:
    """One request after another, each over its connection."""
    arm = Arm()
    for number, connection in enumerate(connections):
        due_s = number * every_s
        arm.request(due_s=due_s, calls=[[Try(decision=decision, connection=connection)]])
    return arm


def test_a_pool_that_is_used_again_holds() -> None:
    finding = find("connections-bounded", arm_over([1] * 200))
    assert finding.holds
    assert finding.observed == 0
    assert "1 connections for 200 model calls" in finding.message
    assert finding.cases == 199


def test_a_pool_that_grows_while_all_it_has_are_in_use_holds() -> None:
    arm = Arm()
    for wave in range(12):
        for number in range(wave + 1):
            call = [Try(at_s=wave * 1.0 + number / 1000, lasted_s=0.3, connection=number)]
            arm.request(due_s=wave * 1.0, end_s=wave + 0.4, calls=[call])
    finding = judged("connections-bounded", arm)
    assert finding.observed == 0
    assert finding.holds is None
    assert finding.cases == 66  # all but those that found none idle


def test_a_connection_per_call_is_found() -> None:
    arm = arm_over(list(range(200)))
    finding = find("connections-bounded", arm)
    assert finding.holds is False
    assert finding.observed == 1.0
    assert finding.traces == tuple(row.trace_id for row in arm.rows[1:11])


def test_a_client_that_is_built_anew_for_each_tenth_request_is_found() -> None:
    finding = judged("connections-bounded", arm_over([n // 10 for n in range(200)]))
    assert finding.holds is False
    assert finding.observed == pytest.approx(19 / 199)


def test_each_container_has_a_pool_of_its_own() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=number * 0.5, container=1, calls=[[Try(connection=1)]])
    for number in range(100):
        arm.request(due_s=number * 0.5 + 0.2, container=2, calls=[[Try(connection=2)]])
    assert find("connections-bounded", arm).observed == 0


@pytest.mark.parametrize("decision", ["conn_reset", "overloaded", "eof_clean"])
def test_connections_whose_last_call_did_not_end_well_may_be_replaced(decision: str) -> None:
    arm = arm_over(list(range(200)), decision=decision)
    assert find("connections-bounded", arm).cases == 0


def test_what_was_idle_for_long_may_have_been_closed() -> None:
    assert find("connections-bounded", arm_over(list(range(100)), every_s=3.2)).cases == 0


def test_few_calls_tell_nothing() -> None:
    finding = judged("connections-bounded", arm_over(list(range(70))))
    assert (finding.holds, finding.cases) == (None, 69)


def pools(seed: int, *, anew_every: int | None = None) -> Arm:
    """Containers that share a connection pool each, or build a client anew for each so many requests.

    A connection can be used again up to 60 ms after its last call has ended.
    """
    chance = random.Random(seed)
    containers = chance.randint(2, 8)
    arm, opened = Arm(containers=containers, limit=100), count(1)
    idle: dict[int, list[tuple[float, int]]] = {}
    at_s = 0.0
    for number in range(400):
        at_s += chance.expovariate(12.0)
        container = chance.randint(1, containers)
        pool = idle.setdefault(container, [])
        if anew_every and number % anew_every == 0:
            pool.clear()
        ready = [each for each in pool if each[0] <= at_s]
        if ready:
            pool.remove(ready[-1])
        connection = ready[-1][1] if ready else next(opened)
        lasted_s = chance.lognormvariate(-2.3, 0.8)
        call = [Try(at_s=at_s, lasted_s=lasted_s, connection=connection)]
        arm.request(due_s=at_s, end_s=at_s + lasted_s, container=container, calls=[call])
        pool.append((at_s + lasted_s + chance.random() * 0.06, connection))
    return arm


@pytest.mark.parametrize("seed", range(20))
def test_no_sound_fleet_is_found_and_no_client_that_is_built_anew_missed(seed: int) -> None:
    sound = judged("connections-bounded", pools(seed))
    assert (sound.holds, sound.observed) == (True, 0.0)
    broken = judged("connections-bounded", pools(seed, anew_every=10))
    assert broken.holds is False, broken.message


def test_a_connection_of_two_containers_is_no_container_s() -> None:
    arm = arm_over([1] * 200)
    for number in range(3):
        arm.request(due_s=200.0 + number, container=2, calls=[[Try(connection=1)]])
    finding = find("connections-bounded", arm)
    assert finding.holds is None
    assert "3 calls came over a connection of another container" in finding.message


@pytest.mark.parametrize(("strays", "holds"), [(1, True), (10, None)])
def test_connections_of_nobody_may_be_those_that_are_opened_anew(strays: int, *, holds: bool | None) -> None:
    arm = arm_over([1] * 200)
    for number in range(strays):
        arm.stray()
        arm.journal[-1] = replace(arm.journal[-1], connection=100 + number, call_id=f"stray-{number}")
    finding = judged("connections-bounded", arm)
    assert finding.holds is holds, finding.message


def test_connections_of_before_the_load_are_of_no_container_and_need_be_of_none() -> None:
    arm = arm_over([1] * 200)
    for number in range(10):
        arm.stray()
        arm.journal[-1] = replace(
            arm.journal[-1],
            connection=100 + number,
            call_id=f"stray-{number}",
            time_s=BEGIN_S - 5.0,
            end_s=BEGIN_S - 4.9,
        )
    assert judged("connections-bounded", arm).holds
