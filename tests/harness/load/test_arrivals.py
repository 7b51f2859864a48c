import itertools
import random
import statistics
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from harness.load.arrivals import Sessions, phases, plan, poisson
from harness.records.setup import Window
from harness.records.spec import LoadSpec, PhaseSpec, RampSpec
from harness.simulator_config import CANARY

AGENTCORE_SESSION_CHARS = 33
BURST_THEN_STEADY = LoadSpec(burst=5, quiet_s=2.0, rate_rps=50.0, duration_s=20.0)


def test_the_same_seed_gives_the_same_plan_in_every_arm_and_run() -> None:
    assert plan(BURST_THEN_STEADY, 7, "x") == plan(BURST_THEN_STEADY, 7, "x")


@pytest.mark.parametrize(("seed", "experiment"), [(8, "x"), (7, "y")])
def test_another_seed_or_experiment_gives_other_arrivals_and_sessions(seed: int, experiment: str) -> None:
    one, other = plan(BURST_THEN_STEADY, 7, "x"), plan(BURST_THEN_STEADY, seed, experiment)
    assert [a.due_s for a in one if a.phase == "steady"] != [a.due_s for a in other if a.phase == "steady"]
    assert not {a.session_id for a in one} & {a.session_id for a in other}


def test_a_burst_is_due_at_once_and_the_steady_phase_after_the_quiet() -> None:
    arrivals = plan(BURST_THEN_STEADY, 7, "x")
    assert [(a.phase, a.due_s) for a in arrivals[:5]] == [("burst", 0.0)] * 5
    steady_s = [a.due_s for a in arrivals[5:]]
    assert min(steady_s) > 2.0
    assert max(steady_s) < 22.0
    assert {a.phase for a in arrivals[5:]} == {"steady"}


def test_arrivals_are_in_the_order_they_are_due_and_numbered_so() -> None:
    arrivals = plan(BURST_THEN_STEADY, 7, "x")
    assert [a.index for a in arrivals] == list(range(len(arrivals)))
    assert [a.due_s for a in arrivals] == sorted(a.due_s for a in arrivals)


def test_steady_arrivals_are_poisson_at_the_rate() -> None:
    due_s = list(poisson(random.Random(3), rate_rps=40.0, from_s=10.0, duration_s=500.0))
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(due_s)]
    assert len(due_s) == pytest.approx(40 * 500, rel=0.03)
    assert statistics.fmean(gaps_s) == pytest.approx(1 / 40, rel=0.03)
    assert statistics.stdev(gaps_s) == pytest.approx(1 / 40, rel=0.05)  # exponential: as wide as its mean


def test_a_rate_of_zero_leaves_the_burst_alone() -> None:
    assert len(plan(LoadSpec(burst=3, rate_rps=0.0), 1, "x")) == 3


def test_every_prompt_is_unique_and_names_its_index() -> None:
    arrivals = plan(BURST_THEN_STEADY, 7, "x")
    assert len({a.prompt for a in arrivals}) == len(arrivals)
    assert all(a.prompt.startswith(f"Question {a.index}: ") for a in arrivals)


def test_prompts_do_not_depend_on_the_sessions() -> None:
    many_turns = BURST_THEN_STEADY.model_copy(update={"turns": 4})
    assert [a.prompt for a in plan(many_turns, 7, "x")] == [a.prompt for a in plan(BURST_THEN_STEADY, 7, "x")]


def test_one_turn_means_a_session_for_each_request_long_enough_for_agentcore() -> None:
    arrivals = plan(BURST_THEN_STEADY, 7, "x")
    sessions = {a.session_id for a in arrivals}
    assert len(sessions) == len(arrivals)
    assert min(len(session) for session in sessions) >= AGENTCORE_SESSION_CHARS


def test_turns_of_one_session_are_apart_and_never_too_many() -> None:
    arrivals = plan(BURST_THEN_STEADY.model_copy(update={"turns": 3, "turn_gap_s": 1.5}), 7, "x")
    due_s = defaultdict(list)
    for arrival in arrivals:
        due_s[arrival.session_id].append(arrival.due_s)
    assert max(len(turns) for turns in due_s.values()) == 3
    assert sum(len(turns) == 3 for turns in due_s.values()) > len(due_s) / 2
    gaps_s = [b - a for turns in due_s.values() for a, b in itertools.pairwise(turns)]
    assert min(gaps_s) >= 1.5


def test_a_conversation_goes_on_only_once_its_gap_is_over() -> None:
    sessions = Sessions(turns=2, gap_s=2.0, salt="s")
    first = sessions.next(0.0)
    assert sessions.next(1.9) != first
    assert sessions.next(2.0) == first
    assert sessions.next(2.0) != first


PHASED = LoadSpec(
    rate_rps=5.0,
    duration_s=10.0,
    quiet_s=1.0,
    burst=2,
    phases=(
        PhaseSpec(name="storm", rate_rps=50.0, duration_s=4.0),
        PhaseSpec(name="crowd", burst=30, duration_s=2.0),
    ),
    ramp=RampSpec(rates_rps=(20, 100), requests=100, min_step_s=2.0, p99_ms=100.0),
)


def test_phases_come_one_after_the_other_and_the_ramp_last() -> None:
    assert [(window.name, window.from_s, window.to_s) for window in phases(PHASED)] == [
        ("steady", 1.0, 11.0),
        ("storm", 11.0, 15.0),
        ("crowd", 15.0, 17.0),
        ("ramp-20", 17.0, 22.0),
        ("ramp-100", 22.0, 24.0),
    ]


def test_every_arrival_lies_within_its_phase_and_in_order() -> None:
    arrivals = plan(PHASED, 3, "x")
    windows = {window.name: window for window in phases(PHASED)} | {
        "burst": Window(kind="phase", name="burst", from_s=0.0, to_s=0.0)
    }
    assert all(windows[a.phase].from_s <= a.due_s <= windows[a.phase].to_s for a in arrivals)
    assert [a.due_s for a in arrivals] == sorted(a.due_s for a in arrivals)
    assert [a.index for a in arrivals] == list(range(len(arrivals)))


def test_a_phase_has_its_burst_and_its_rate() -> None:
    counted = Counter(arrival.phase for arrival in plan(PHASED, 3, "x"))
    assert counted["burst"] == 2
    assert counted["crowd"] == 30
    assert 150 < counted["storm"] < 250
    assert 150 < counted["ramp-100"] < 250


def test_without_canaries_no_prompt_tells_a_word() -> None:
    assert {a.canary for a in plan(BURST_THEN_STEADY, 7, "x")} == {None}


def test_with_canaries_each_prompt_tells_a_word_of_its_own_and_asks_for_all() -> None:
    told = plan(BURST_THEN_STEADY.model_copy(update={"canaries": True}), 7, "x")
    words = [a.canary for a in told]
    assert len(set(words)) == len(told)
    assert all(CANARY.findall(a.prompt) == [a.canary] for a in told)
    assert all("canary words" in a.prompt for a in told)


def test_canaries_change_neither_sessions_nor_due_times() -> None:
    told = plan(BURST_THEN_STEADY.model_copy(update={"canaries": True, "turns": 3}), 7, "x")
    plain = plan(BURST_THEN_STEADY.model_copy(update={"turns": 3}), 7, "x")
    assert [(a.due_s, a.session_id) for a in told] == [(a.due_s, a.session_id) for a in plain]


@pytest.mark.parametrize(("seed", "experiment"), [(8, "x"), (7, "y")])
def test_another_seed_or_experiment_tells_other_words(seed: int, experiment: str) -> None:
    load = BURST_THEN_STEADY.model_copy(update={"canaries": True})
    assert not {a.canary for a in plan(load, 7, "x")} & {a.canary for a in plan(load, seed, experiment)}


def test_a_salt_names_sessions_and_words_anew_and_changes_nothing_else() -> None:
    load = BURST_THEN_STEADY.model_copy(update={"canaries": True, "turns": 3})
    first, second = plan(load, 7, "x", "run-1"), plan(load, 7, "x", "run-2")
    assert not {a.session_id for a in first} & {a.session_id for a in second}
    assert not {a.canary for a in first} & {a.canary for a in second}
    assert [(a.index, a.due_s, a.phase) for a in first] == [(a.index, a.due_s, a.phase) for a in second]
    plain = [a.prompt.replace(a.canary or "", "") for a in first]
    assert plain == [a.prompt.replace(a.canary or "", "") for a in second]
    of_session = [[each.session_id for each in arrivals] for arrivals in (first, second)]
    numbered = [[ids.index(session_id) for session_id in ids] for ids in of_session]
    assert numbered[0] == numbered[1], "the same turns are of one session"


def test_the_same_salt_sends_the_same_again() -> None:
    load = BURST_THEN_STEADY.model_copy(update={"canaries": True})
    assert plan(load, 7, "x", "run-1") == plan(load, 7, "x", "run-1")


def test_a_salted_plan_keeps_seeds_and_experiments_apart() -> None:
    load = BURST_THEN_STEADY.model_copy(update={"canaries": True})
    words = [{a.canary for a in plan(load, *other, "r")} for other in ((7, "x"), (8, "x"), (7, "y"))]
    assert len(set.union(*words)) == sum(map(len, words))


def test_prompts_of_ones_own_are_asked_in_turns_and_stay_unique() -> None:
    load = LoadSpec(burst=5, duration_s=0)
    asked = [each.prompt for each in plan(load, 1, "x", prompts=("One?", "Two?"))]
    assert asked == ["One? (0)", "Two? (1)", "One? (2)", "Two? (3)", "One? (4)"]
    told = plan(load.model_copy(update={"canaries": True}), 1, "x", prompts=("One?", "Two?"))
    assert all(each.prompt.startswith(("One? My word", "Two? My word")) for each in told)
    assert len({each.prompt for each in told}) == 5


def test_a_share_of_the_readers_leaves_and_the_plan_is_else_the_same() -> None:
    load = LoadSpec(rate_rps=50, duration_s=20)
    whole = plan(load, 1, "x")
    some = plan(load.model_copy(update={"leave_share": 0.3}), 1, "x")
    assert [replace(each, leaves=False) for each in some] == list(whole)
    assert sum(each.leaves for each in some) / len(some) == pytest.approx(0.3, abs=0.05)
