"""Small fleets, followed by hand."""

import numpy as np
import pytest

from harness.plan.levels import Levels
from harness.plan.records import End, Fleet, Loss, ModelApi, RetryRule, Routing, Scaling, Work
from harness.plan.simulate import by_events, simulate
from harness.simulator_config import Quota, RetryAfterMode, UnderLoad

WAITING = [each for each in Routing if each not in {Routing.SESSION, Routing.READINESS}]
"""Routings with one fleet for all, in which whoever finds it full waits for a slot."""


def work(due_s: list[float], service_s: list[float], after_s: list[float] | None = None) -> Work:
    after = None if after_s is None else np.array(after_s, float)
    return Work.plain(np.array(due_s, float), np.array(service_s, float), after)


def sessions(due_s: list[float], session: list[int], service_s: float = 1.0) -> Work:
    plain = work(due_s, [service_s] * len(due_s))
    return Work(
        due_s=plain.due_s,
        session=np.array(session),
        first_call=plain.first_call,
        before_s=plain.before_s,
        call_s=plain.call_s,
        tokens=plain.tokens,
        tail_s=plain.tail_s,
        after_s=plain.after_s,
    )


def test_one_container_serves_one_after_the_other() -> None:
    outcome = simulate(work([0, 0, 5], [2, 1, 1]), Fleet(containers=1))
    assert outcome.latency_s.tolist() == [2, 3, 1]
    assert outcome.wait_s.tolist() == [0, 2, 0]


def test_the_path_holds_a_place_of_the_gate_and_none_of_other_containers() -> None:
    asked = work([0, 0], [1, 1])
    assert simulate(asked, Fleet(containers=1, path_s=0.5)).latency_s.tolist() == [1.5, 3.0]
    blind = Fleet(containers=1, path_s=0.5, routing=Routing.BLIND)
    assert simulate(asked, blind).latency_s.tolist() == [1.5, 2.5]


@pytest.mark.parametrize("routing", WAITING)
def test_every_routing_answers_all_and_keeps_within_the_limit(routing: Routing) -> None:
    rng = np.random.default_rng(7)
    asked = Work.plain(np.cumsum(rng.exponential(0.1, 2000)), rng.exponential(0.35, 2000))
    outcome = simulate(asked, Fleet(containers=2, limit=2, routing=routing))
    assert outcome.answered.all()
    assert outcome.work_s == pytest.approx(asked.service_s.sum())
    begun = asked.due_s + outcome.wait_s
    ended = begun + asked.service_s
    changes = sorted([(t, 1) for t in begun] + [(t - 1e-9, -1) for t in ended])
    assert np.cumsum([change for _, change in changes]).max() <= 4


def test_work_after_the_answer_holds_the_slot() -> None:
    outcome = simulate(work([0, 0.5], [1, 1], [2, 0]), Fleet(containers=1))
    assert outcome.latency_s[0] == 1
    assert outcome.latency_s[1] >= 3.5  # taken when the work ended at 3, or a backoff later
    assert outcome.latency_s[1] <= 3.5 + 0.02
    assert outcome.turned_away > 1


def test_the_gate_sends_around_work_after_the_answer() -> None:
    outcome = simulate(work([0, 0.1, 1.05], [1, 1, 1], [5, 5, 0]), Fleet(containers=3))
    assert outcome.latency_s[2] < 1.03


@pytest.mark.parametrize(("containers", "limit", "path_s"), [(1, 1, 0.0), (3, 4, 0.0), (5, 1, 0.1)])
def test_what_takes_no_events_is_what_the_events_say(containers: int, limit: int, path_s: float) -> None:
    rng = np.random.default_rng(5)
    slots = containers * limit
    asked = Work.plain(np.cumsum(rng.exponential(1 / (0.9 * slots), 3000)), rng.lognormal(-0.5, 1, 3000))
    fleet = Fleet(containers=containers, limit=limit, path_s=path_s)
    short, long = simulate(asked, fleet), by_events(asked, fleet, ModelApi(), RetryRule(), 1)
    assert np.allclose(short.latency_s, long.latency_s)
    assert np.allclose(short.wait_s, long.wait_s)
    assert (short.work_s, short.container_s, short.span_s) == pytest.approx(
        (long.work_s, long.container_s, long.span_s)
    )


def test_a_full_queue_refuses() -> None:
    outcome = simulate(work([0, 0, 0], [1, 1, 1]), Fleet(containers=1, queue_limit=1))
    assert outcome.ends.tolist() == [End.ANSWERED, End.ANSWERED, End.BLOCKED]


def test_polled_pings_are_stale_by_their_interval() -> None:
    rng = np.random.default_rng(3)
    asked = Work.plain(np.cumsum(rng.exponential(0.15, 4000)), rng.exponential(1.0, 4000))
    often, never, seldom = (
        simulate(asked, Fleet(containers=10, routing=routing, ping_s=ping_s)).wait_s.mean()
        for routing, ping_s in ((Routing.PING, 0.02), (Routing.BLIND, 1.0), (Routing.PING, 2.0))
    )
    assert often < 0.5 * never
    assert seldom > never  # all go to the few that were free some time ago


def test_a_plain_service_knows_what_the_last_probe_saw() -> None:
    """Full from 0 to 3.5, and probed each second: the first is served, and until it is seen free no other."""
    fleet = Fleet(containers=1, routing=Routing.READINESS)
    due_s = [0.0, 0.0, 1.5, 3.45, *(3.5 + number / 8 for number in range(1, 9))]
    outcome = simulate(work(due_s, [3.5, *[0.01] * 11]), fleet)
    assert outcome.ends[:4].tolist() == [End.ANSWERED, End.BLOCKED, End.BLOCKED, End.BLOCKED]
    later = (outcome.ends[4:] == End.ANSWERED).tolist()
    assert later == sorted(later), "once seen to be free it takes all: none is in work at a probe"
    assert later[-1], "a second later it was probed"
    assert outcome.turned_away in {1, 2}, "that with the first, and the next if no probe came between"
    assert np.isnan(outcome.wait_s[1])
    assert outcome.latency_s[1] == 0, "a refusal takes no time"


def test_a_plain_service_that_loses_its_containers_refuses_until_there_are_others() -> None:
    lost = (Loss(at_s=1, share=1.0),)
    fleet = Fleet(containers=2, routing=Routing.READINESS, lost=lost, cold_start_s=2)
    outcome = simulate(work([0, 2, 3.5], [5, 0.1, 0.1]), fleet)
    assert outcome.ends.tolist() == [End.LOST, End.BLOCKED, End.ANSWERED]


def test_a_refused_call_is_tried_again_when_it_was_told_to() -> None:
    quota = Quota(rpm=60, burst=1, retry_after=RetryAfterMode.EXACT)
    outcome = simulate(
        work([0, 0.5], [1, 1]), Fleet(containers=2), ModelApi(quota=quota), RetryRule(base_s=0.0)
    )
    assert outcome.latency_s.tolist() == pytest.approx([1.0, 1.5])
    assert (outcome.attempts, outcome.refused, outcome.calls) == (3, 1, 2)


def test_the_last_attempt_ends_the_request() -> None:
    quota = Quota(rpm=1, burst=1, retry_after=RetryAfterMode.ABSENT)
    outcome = simulate(
        work([0, 0], [1, 1]), Fleet(containers=2), ModelApi(quota=quota), RetryRule(max_attempts=2)
    )
    assert outcome.ends.tolist() == [End.ANSWERED, End.THROTTLED]
    assert outcome.refused == 2


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    quota = Quota(rpm=1, burst=1, retry_after=RetryAfterMode.EXACT)
    outcome = simulate(
        work([0, 0], [1, 1]), Fleet(containers=2), ModelApi(quota=quota), RetryRule(deadline_s=10)
    )
    assert outcome.ends.tolist() == [End.ANSWERED, End.THROTTLED]
    assert outcome.latency_s[1] == 0


def test_calls_are_slower_beside_others() -> None:
    model = ModelApi(under_load=UnderLoad(factor=3, concurrency=3))
    outcome = simulate(work([0, 0, 0], [1, 1, 1]), Fleet(containers=3), model)
    assert outcome.latency_s.tolist() == pytest.approx([1, 2, 3])


def test_faults_are_tried_again() -> None:
    asked = work([float(n) for n in range(2000)], [0.1] * 2000)
    outcome = simulate(asked, Fleet(containers=4, limit=8), ModelApi(fault_ratio=0.2), RetryRule())
    assert outcome.attempts / outcome.calls == pytest.approx(1 + 0.2 + 0.04, abs=0.03)
    assert (outcome.ends == End.THROTTLED).mean() == pytest.approx(0.008, abs=0.008)


def test_what_a_lost_container_worked_on_is_lost_or_sent_again() -> None:
    asked = work([0, 0, 5], [2, 2, 1])
    lost = Fleet(containers=2, lost=(Loss(at_s=1, share=0.5),), cold_start_s=1)
    assert simulate(asked, lost).ends.tolist() in ([3, 0, 0], [0, 3, 0])
    again = Fleet(containers=2, lost=(Loss(at_s=1, share=0.5),), cold_start_s=1, retry_lost=True)
    outcome = simulate(asked, again)
    assert outcome.answered.all()
    assert sorted(outcome.latency_s.tolist()) == pytest.approx([1, 2, 4])


@pytest.mark.parametrize("routing", WAITING)
def test_nothing_is_forgotten_when_containers_are_lost(routing: Routing) -> None:
    rng = np.random.default_rng(3)
    asked = Work.plain(
        np.cumsum(rng.exponential(0.1, 600)), rng.exponential(0.3, 600), rng.exponential(0.1, 600)
    )
    losses = tuple(Loss(at_s=each, share=0.5) for each in (5.0, 20.0, 40.0))
    fleet = Fleet(containers=5, routing=routing, lost=losses, cold_start_s=0.5, balancers=2)
    outcome = simulate(asked, fleet)
    assert set(outcome.ends.tolist()) == {End.ANSWERED, End.LOST}
    assert simulate(asked, Fleet(containers=5, routing=routing, lost=losses, retry_lost=True)).answered.all()


def test_a_fleet_that_was_scaled_to_zero_begins_with_a_cold_start() -> None:
    scaling = Scaling(least=0, most=4, sync_s=1, stable_s=2)
    asked = work([0, 100], [1, 1])
    outcome = simulate(asked, Fleet(containers=0, scaling=scaling, cold_start_s=3))
    assert outcome.latency_s.tolist() == [4, 4]
    assert outcome.container_s < 20


def test_an_autoscaler_follows_late() -> None:
    due_s = np.concatenate((np.arange(0, 100, 1.0), np.arange(100, 400, 0.1)))
    asked = Work.plain(due_s, np.full(len(due_s), 0.9))
    scaling = Scaling(least=1, most=40, target=0.7, sync_s=15, stable_s=60)
    outcome = simulate(asked, Fleet(containers=2, scaling=scaling, cold_start_s=10))
    before, during, settled = (
        outcome.latency_s[(due_s >= a) & (due_s < b)].max() for a, b in ((0, 100), (100, 160), (300, 400))
    )
    assert before < 1
    assert during > 10
    assert settled < 1
    assert 9 < outcome.most_containers <= 40


def test_polls_that_see_nothing_new_take_no_time() -> None:
    """An hour between two requests is 1,152,000 looks at a container, of which two tell something."""
    asked = work([3600 * number for number in range(200)], [30] * 200)
    outcome = simulate(asked, Fleet(containers=3, routing=Routing.PING, ping_s=0.05))
    assert outcome.latency_s.tolist() == [30] * 200


def test_refused_requests_wait_as_long_as_in_a_queue_and_take_no_time_while_nobody_can_take_them() -> None:
    """Who comes first is another, but no slot stays free: the mean wait is the queue's, and a bit of backoff.

    Some 5 million offers are refused here.
    """
    rng = np.random.default_rng(1)
    asked = Work.plain(np.cumsum(rng.exponential(1, 3000)), rng.uniform(10, 30, 3000))
    queue, refused = (
        simulate(asked, Fleet(containers=19, routing=routing))
        for routing in (Routing.BUSY_AWARE, Routing.BUSY_503)
    )
    assert refused.wait_s.mean() == pytest.approx(queue.wait_s.mean(), rel=0.03)
    assert refused.wait_s.max() > queue.wait_s.max()
    tries = refused.wait_s.sum() / 0.025  # a wait of up to 50 ms takes 25 ms
    assert refused.turned_away == pytest.approx(tries, rel=0.1)


def test_a_container_that_works_after_its_answer_is_stopped_once_it_is_idle_all_the_same() -> None:
    fleet = Fleet(containers=2, routing=Routing.SESSION, cold_start_s=2, idle_s=10)
    outcome = simulate(work([0, 100], [1, 1], [1, 1]), fleet)
    assert outcome.container_s == 14 + 3  # it is there at 2, answers at 3, works until 4, is stopped at 14


def test_each_session_has_a_container_of_its_own() -> None:
    fleet = Fleet(containers=2, routing=Routing.SESSION, cold_start_s=2, idle_s=10)
    outcome = simulate(sessions([0, 1, 4, 5, 30], [1, 2, 1, 3, 3]), fleet)
    assert outcome.latency_s[[0, 1, 2]].tolist() == [3, 3, 1]
    assert outcome.ends[3] == End.BLOCKED  # two sessions are all that there may be
    assert outcome.latency_s[4] == 3
    assert outcome.most_containers == 2
    # of session 1 from 0 to 15, of session 2 from 1 to 14, of session 3 from 30 on to the end at 33
    assert outcome.container_s == pytest.approx(15 + 13 + 3)


def test_the_same_seed_gives_the_same() -> None:
    rng = np.random.default_rng(1)
    asked = Work.plain(np.cumsum(rng.exponential(0.1, 500)), rng.exponential(0.3, 500))
    fleet = Fleet(containers=4, routing=Routing.BUSY_503)
    one, same, other = (simulate(asked, fleet, seed=seed).latency_s.tolist() for seed in (1, 1, 2))
    assert one == same != other


def test_levels_find_the_least_among_what_is_left() -> None:
    levels = Levels()
    for container in range(3):
        levels.add(container)
    levels.change(0, 1)
    levels.change(2, 2)
    assert levels.least(lambda: 0.99) == 1
    levels.drop(1)
    assert levels.least(lambda: 0.5) == 0
    levels.change(1, 1)  # it was left out: nothing is counted
    assert len(levels) == 2
    levels.change(2, -2)
    assert levels.least(lambda: 0.0) == 2
    levels.drop(0)
    levels.drop(2)
    levels.drop(2)
    assert levels.least(lambda: 0.0) is None
