"""Containers that come and go, on a clock that stands still."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from harness.clock import FakeClock
from harness.fleet.autoscaler import Autoscaler
from harness.fleet.movement import SETTLE_S, Movement, timetable
from harness.records.setup import Container
from harness.records.spec import EventSpec

TICK_S = 0.1


class FakeHands:
    """Does nothing, and notes it; containers get ready and die when the test says so."""

    def __init__(self, first: int) -> None:
        self.named = first
        self.ready: set[str] = set()
        self.dead: set[str] = set()
        self.listed: set[str] = set()
        self.done: list[tuple[str, str]] = []
        self.lists: list[list[str]] = []

    def start(self) -> Container:
        self.named += 1
        self.done.append(("start", f"agent-{self.named}"))
        return container(self.named)

    def is_ready(self, container: Container, waited_s: float) -> bool:
        return container.name in self.ready

    def located(self, container: Container) -> Container:
        return replace(container, address=f"{container.name}:8080")

    def kill(self, name: str) -> None:
        self.done.append(("kill", name))

    def freeze(self, name: str) -> None:
        self.done.append(("freeze", name))

    def thaw(self, name: str) -> None:
        self.done.append(("thaw", name))

    def is_dead(self, name: str) -> bool:
        return name in self.dead

    def stop(self, name: str) -> None:
        self.done.append(("stop", name))

    def end(self, name: str) -> None:
        self.done.append(("end", name))

    def is_listed(self, container: Container) -> bool:
        return container.name in self.listed

    def route_to(self, containers: Sequence[Container]) -> None:
        self.lists.append([each.name for each in containers])


class Rig:
    def __init__(
        self, *events: EventSpec, first: int = 3, seed: int = 1, autoscaler: object | None = None
    ) -> None:
        self.clock = FakeClock()
        self.actions = FakeHands(first)
        there = [container(number) for number in range(1, first + 1)]
        self.movement = Movement(
            there,
            events,
            seed=seed,
            actions=self.actions,
            clock=self.clock,
            autoscaler=cast("Autoscaler | None", autoscaler),
        )
        self.begin_s = self.clock.now()
        self.movement.begin(self.begin_s)

    def until(self, elapsed_s: float) -> None:
        while self.clock.now() < self.begin_s + elapsed_s - 1e-6:
            self.clock.advance(TICK_S)
            self.movement.step()

    def life(self, name: str) -> tuple[float | None, float | None]:
        """When a container joined and left, in seconds since the load began."""
        (found,) = (each for each in self.movement.containers if each.name == name)
        times = (found.joined_s, found.left_s)
        joined_s, left_s = (None if t is None else round(t - self.begin_s, 6) for t in times)
        return joined_s, left_s


def container(number: int) -> Container:
    return Container(name=f"agent-{number}", address=f"127.0.0.1:{9000 + number}")


def event(action: Any, at_s: float, every_s: float = 1.0, times: int = 1) -> EventSpec:
    return EventSpec(action=action, at_s=at_s, every_s=every_s, times=times)


def test_events_are_laid_out_in_time() -> None:
    plan = timetable([event("kill", 3.0, every_s=2.0, times=3), event("add", 4.0)])
    assert plan == [(3.0, "kill"), (4.0, "add"), (5.0, "kill"), (7.0, "kill")]


def test_nothing_happens_before_the_load_begins() -> None:
    clock, actions = FakeClock(), FakeHands(3)
    movement = Movement(map(container, (1, 2, 3)), [event("kill", 0.0)], seed=1, actions=actions, clock=clock)
    movement.step()
    assert not actions.done
    movement.begin(clock.now() + 0.5)
    movement.step()
    assert not actions.done
    clock.advance(0.5)
    movement.step()
    assert [action for action, _ in actions.done] == ["kill"]


@pytest.mark.parametrize("action", ["kill", "freeze"])
def test_what_an_engine_takes_its_time_for_is_noted_as_of_when_it_was_asked(action: str) -> None:
    clock, actions = FakeClock(), FakeHands(3)
    slow = {"kill": actions.kill, "freeze": actions.freeze}[action]

    def takes_its_time(name: str) -> None:
        slow(name)
        clock.advance(0.4)

    setattr(actions, action, takes_its_time)
    told = EventSpec(action=action, at_s=0.0, for_s=1.0) if action == "freeze" else event(action, 0.0)
    movement = Movement(map(container, (1, 2, 3)), [told], seed=1, actions=actions, clock=clock)
    begin_s = clock.now()
    movement.begin(begin_s)
    movement.step()
    assert [each.time_s - begin_s for each in movement.events] == [0.0], "its callers are cut off by then"


def test_a_killed_container_is_taken_from_the_list_once_it_is_dead_and_another_started() -> None:
    rig = Rig(event("kill", 1.0))
    rig.until(1.0)
    ((_, victim),) = rig.actions.done
    assert rig.life(victim) == (None, 1.0)
    rig.until(2.0)
    assert not rig.actions.lists  # nobody knows of it yet
    rig.actions.dead.add(victim)
    rig.until(2.1)
    assert rig.actions.done[1:] == [("start", "agent-4")]
    (left,) = rig.actions.lists
    assert sorted([*left, victim]) == ["agent-1", "agent-2", "agent-3"]
    assert [(e.action, e.container) for e in rig.movement.events] == [("kill", victim)]


def test_a_new_container_gets_requests_only_once_it_is_ready() -> None:
    rig = Rig(event("add", 1.0))
    rig.until(3.0)
    assert not rig.actions.lists
    assert len(rig.movement.containers) == 3
    rig.actions.ready.add("agent-4")
    rig.until(3.1)
    assert rig.actions.lists == [["agent-1", "agent-2", "agent-3", "agent-4"]]
    assert rig.life("agent-4") == (3.1, None)
    assert rig.movement.containers[-1].address == "agent-4:8080", "known only once it is there"
    assert [(e.action, e.container, e.time_s - rig.begin_s) for e in rig.movement.events] == [
        ("add", "agent-4", pytest.approx(1.0))
    ]


def test_a_container_is_taken_from_the_list_before_it_is_told_to_stop() -> None:
    rig = Rig(event("remove", 1.0))
    rig.until(1.0)
    (removed,) = (e.container for e in rig.movement.events)
    assert removed not in rig.actions.lists[-1]
    assert not rig.actions.done
    rig.until(1.0 + SETTLE_S)
    assert rig.actions.done == [("stop", removed)]
    assert rig.life(removed) == (None, 1.0)
    rig.until(5.0)
    assert rig.actions.done == [("stop", removed)]  # once, and nothing in its place


def test_a_container_that_a_balancer_still_sends_to_is_not_told_to_stop() -> None:
    rig = Rig(event("remove", 1.0))
    rig.actions.listed.update(["agent-1", "agent-2", "agent-3"])
    rig.until(9.0)
    assert not rig.actions.done
    rig.actions.listed.clear()
    rig.until(9.1)
    removed = rig.movement.events[0].container
    assert rig.actions.done == [("stop", removed)]
    told = {each.name: each.told_s for each in rig.movement.containers}
    assert told.pop(removed) == pytest.approx(rig.begin_s + 9.1), "eight seconds after it was taken out"
    assert set(told.values()) == {None}


@pytest.mark.parametrize("action", ["kill", "remove"])
def test_the_last_container_stays_until_there_is_another(action: str) -> None:
    rig = Rig(event(action, 1.0), event("add", 2.0), first=1)
    rig.until(3.0)
    assert rig.actions.done == [("start", "agent-2")]
    rig.actions.ready.add("agent-2")
    rig.until(3.2)
    assert {e.action for e in rig.movement.events} == {"add", action}


def test_one_that_is_killed_is_not_killed_again() -> None:
    rig = Rig(event("kill", 1.0, every_s=0.1, times=5))
    rig.until(4.0)
    killed = [name for action, name in rig.actions.done if action == "kill"]
    assert len(killed) == len(set(killed)) == 2  # of three; the last one is kept


def test_every_kill_is_made_up_for() -> None:
    rig = Rig(event("kill", 1.0, every_s=1.0, times=20))
    for _ in range(400):
        rig.until(rig.clock.now() - rig.begin_s + TICK_S)
        rig.actions.dead |= {name for action, name in rig.actions.done if action == "kill"}
        rig.actions.ready |= {name for action, name in rig.actions.done if action == "start"}
    assert [e.action for e in rig.movement.events] == ["kill"] * 20
    assert len(rig.actions.lists[-1]) == 3
    assert sum(each.left_s is None for each in rig.movement.containers) == 3


def victims(seed: int) -> list[str]:
    rig = Rig(event("remove", 1.0, times=6), first=8, seed=seed)
    rig.until(8.0)
    return [e.container for e in rig.movement.events]


def test_the_seed_draws_whom_it_happens_to() -> None:
    assert victims(1) == victims(1)
    assert len({tuple(victims(seed)) for seed in range(5)}) > 1


def test_all_are_replaced_at_once_when_the_last_new_one_is_ready() -> None:
    rig = Rig(first=2)
    assert rig.movement.renew() == ("agent-1", "agent-2")
    rig.actions.ready.add("agent-3")
    rig.until(1.0)
    assert not rig.movement.settled
    assert rig.actions.lists == [["agent-1", "agent-2", "agent-3"]], "those that leave still serve"
    rig.actions.ready.add("agent-4")
    rig.until(1.1)
    assert rig.actions.lists[-1] == ["agent-3", "agent-4"]
    assert not rig.movement.settled, "those that left have not been told to stop"
    rig.until(1.1 + 2 * SETTLE_S)
    assert rig.movement.settled
    assert [done for done in rig.actions.done if done[0] == "stop"] == [
        ("stop", "agent-1"),
        ("stop", "agent-2"),
    ]
    assert rig.life("agent-1") == (None, 1.1)
    assert rig.life("agent-4") == (1.1, None)


def test_what_was_replaced_can_be_replaced_again() -> None:
    rig = Rig(first=1)
    rig.actions.ready |= {"agent-2", "agent-3"}
    rig.movement.renew()
    rig.until(1.0)
    assert rig.movement.renew() == ("agent-2",)
    rig.until(2.0)
    assert rig.actions.lists[-1] == ["agent-3"]


def test_a_container_that_is_frozen_stays_in_the_list_and_goes_on_after_its_time() -> None:
    rig = Rig(EventSpec(action="freeze", at_s=1.0, for_s=3.0))
    rig.until(2.0)
    ((action, frozen),) = rig.actions.done
    assert action == "freeze"
    assert rig.actions.lists == []
    assert rig.life(frozen) == (None, None)
    rig.until(5.0)
    assert rig.actions.done == [("freeze", frozen), ("thaw", frozen)]
    told = [(event.action, round(event.time_s - rig.begin_s, 1)) for event in rig.movement.events]
    assert told == [("freeze", 1.0), ("thaw", 4.0)]


def test_no_container_is_frozen_twice_at_once_and_the_last_one_never() -> None:
    rig = Rig(*(EventSpec(action="freeze", at_s=1.0, for_s=9.0) for _ in range(3)), first=3)
    rig.until(5.0)
    assert len({name for _, name in rig.actions.done}) == len(rig.actions.done) == 2


def there(rig: Rig) -> list[str]:
    return rig.actions.lists[-1]


def test_in_a_rolling_update_each_is_stopped_once_a_new_one_takes_its_requests() -> None:
    rig = Rig(event("replace", 1.0))
    rig.until(5.0)
    assert rig.actions.done == [("start", "agent-4")], "nobody leaves before another one is there"
    assert not rig.actions.lists
    rig.actions.ready.add("agent-4")
    rig.until(5.1)
    assert there(rig) == ["agent-2", "agent-3", "agent-4"]
    assert rig.actions.done == [("start", "agent-4")], "it has not left the balancers' list for long enough"
    rig.actions.ready |= {"agent-5", "agent-6", "agent-7"}
    rig.until(9.0)
    assert there(rig) == ["agent-4", "agent-5", "agent-6"]
    assert rig.actions.done == [
        *(("start", "agent-4"), ("stop", "agent-1"), ("start", "agent-5"), ("stop", "agent-2")),
        *(("start", "agent-6"), ("stop", "agent-3")),
    ]
    assert [(e.action, e.container) for e in rig.movement.events] == [
        ("replace", f"agent-{number}") for number in (1, 2, 3)
    ]
    assert rig.life("agent-1") == (None, 5.1)
    assert min(map(len, rig.actions.lists)) == 3, "never fewer than there were"


def test_two_updates_come_one_after_the_other_and_a_removal_after_both() -> None:
    rig = Rig(event("replace", 1.0, times=2), event("remove", 2.5), first=2)
    rig.actions.ready |= {f"agent-{number}" for number in range(3, 12)}
    rig.until(20.0)
    assert [e.action for e in rig.movement.events] == [*["replace"] * 4, "remove"]
    assert [e.container for e in rig.movement.events[:4]] == ["agent-1", "agent-2", "agent-3", "agent-4"]
    assert len(there(rig)) == 1


def dying(rig: Rig, seconds: float) -> None:
    """Go on; who is killed is dead, and who is started is ready, within the next look."""
    until_s = rig.clock.now() - rig.begin_s + seconds
    while rig.clock.now() - rig.begin_s < until_s:
        rig.until(rig.clock.now() - rig.begin_s + TICK_S)
        rig.actions.dead |= {name for action, name in rig.actions.done if action == "kill"}
        rig.actions.ready |= {name for action, name in rig.actions.done if action == "start"}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("first", [2, 3, 4])
def test_kills_in_the_midst_of_an_update_leave_as_many_as_there_were_and_none_that_is_old(
    first: int, seed: int
) -> None:
    kills = event("kill", 1.1, every_s=0.3, times=20)
    rig = Rig(event("replace", 1.0), kills, first=first, seed=seed)
    dying(rig, 40.0)
    assert sum(e.action == "kill" for e in rig.movement.events) == 20
    assert len(there(rig)) == first
    assert not {f"agent-{number}" for number in range(1, first + 1)} & set(there(rig))
    assert rig.movement.settled


def test_the_only_old_one_that_is_killed_is_replaced_by_the_new_one_that_was_on_its_way() -> None:
    rig = Rig(event("replace", 1.0), event("kill", 2.0), first=2, seed=1)
    rig.actions.ready |= {"agent-3"}
    rig.until(2.0)  # agent-1 has left, agent-4 starts for agent-2
    (killed,) = (name for action, name in rig.actions.done if action == "kill")
    rig.actions.dead.add(killed)
    rig.until(3.0)
    started = [name for action, name in rig.actions.done if action == "start"]
    expected = ["agent-3", "agent-4"] if killed == "agent-2" else ["agent-3", "agent-4", "agent-5"]
    assert started == expected
    rig.actions.ready |= {"agent-4", "agent-5"}
    rig.until(6.0)
    assert len(there(rig)) == 2
    assert not {"agent-1", "agent-2"} & set(there(rig))


def test_one_that_stands_still_is_replaced_once_it_goes_on() -> None:
    rig = Rig(EventSpec(action="freeze", at_s=0.5, for_s=6.0), event("replace", 1.0), first=2)
    rig.actions.ready |= {"agent-3", "agent-4"}
    rig.until(6.0)
    ((_, frozen),) = (done for done in rig.actions.done if done[0] == "freeze")
    assert frozen in there(rig)
    rig.until(12.0)
    assert sorted(there(rig)) == ["agent-3", "agent-4"]


@pytest.mark.parametrize("action", ["remove", "replace"])
def test_one_that_does_not_end_in_its_time_is_ended_and_that_is_told(action: str) -> None:
    rig = Rig(EventSpec(action=action, at_s=1.0, grace_s=4.0), first=2)
    rig.actions.ready |= {"agent-3", "agent-4"}
    rig.until(2.2)
    (leaver, *_) = (e.container for e in rig.movement.events)
    assert ("stop", leaver) in rig.actions.done
    rig.actions.dead |= {"agent-1", "agent-2"} - {leaver}
    rig.until(5.4)
    assert ("end", leaver) not in rig.actions.done
    rig.until(7.0)
    assert rig.actions.done.count(("end", leaver)) == 1
    assert [e.container for e in rig.movement.events if e.action == "overdue"] == [leaver]


def test_one_that_ends_in_time_is_left_in_peace() -> None:
    rig = Rig(EventSpec(action="remove", at_s=1.0, grace_s=4.0))
    rig.until(2.0)
    rig.actions.dead.add(rig.movement.events[0].container)
    rig.until(20.0)
    assert [action for action, _ in rig.actions.done] == ["stop"]


class Wanted:
    """An autoscaler that wants what the test says, and what it was told."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.told: list[tuple[str, ...]] = []

    def begin(self, now_s: float, there: int) -> None:
        self.told.append(("begin",) * there)

    def wanted(self, now_s: float, there: Collection[str]) -> int:
        self.told.append(tuple(there))
        return self.count


def scaled(wanted: Wanted, *events: EventSpec, first: int = 3, seed: int = 1) -> Rig:
    return Rig(*events, first=first, seed=seed, autoscaler=wanted)


def test_as_many_are_started_as_are_wanted_and_each_counts_from_then_on() -> None:
    wanted = Wanted(5)
    rig = scaled(wanted)
    rig.until(1.0)
    assert rig.actions.done == [("start", "agent-4"), ("start", "agent-5")]
    assert [(e.action, e.container) for e in rig.movement.events] == [("add", "agent-4"), ("add", "agent-5")]
    assert wanted.told[-1] == ("agent-1", "agent-2", "agent-3", "agent-4", "agent-5")
    rig.actions.ready |= {"agent-4", "agent-5"}
    rig.until(1.1)
    assert rig.life("agent-5") == (1.1, None)


def test_who_is_too_many_leaves_the_list_before_it_is_told_to_stop() -> None:
    wanted = Wanted(3)
    rig = scaled(wanted)
    rig.until(1.0)
    wanted.count = 1
    rig.until(1.1)
    (left,) = rig.actions.lists
    assert len(left) == 1
    gone = [e.container for e in rig.movement.events]
    assert sorted([*gone, *left]) == ["agent-1", "agent-2", "agent-3"]
    assert [e.action for e in rig.movement.events] == ["remove", "remove"]
    assert not rig.actions.done
    rig.until(2.0)
    assert sorted(rig.actions.done) == sorted(("stop", name) for name in gone)


def test_who_that_is_is_drawn_from_the_seed() -> None:
    def gone(seed: int) -> list[str]:
        rig = scaled(Wanted(2), first=8, seed=seed)
        rig.until(0.1)
        return [e.container for e in rig.movement.events]

    assert gone(1) == gone(1)
    assert len({tuple(gone(seed)) for seed in range(5)}) > 1


def test_who_is_not_ready_yet_goes_first_and_is_never_in_the_list() -> None:
    wanted = Wanted(5)
    rig = scaled(wanted)
    rig.until(0.5)
    wanted.count = 2
    rig.until(0.6)
    assert rig.actions.done[2:] == [("stop", "agent-5"), ("stop", "agent-4")]
    (left,) = rig.actions.lists
    assert len(left) == 2, "of those that are ready one alone"
    rig.actions.ready |= {"agent-4", "agent-5"}
    rig.until(1.0)
    assert len(rig.movement.containers) == 3
    assert len(rig.actions.lists) == 1


def test_the_last_one_leaves_where_none_is_wanted_and_another_comes_where_one_is() -> None:
    wanted = Wanted(0)
    rig = scaled(wanted, first=1)
    rig.until(0.1)
    assert rig.actions.lists == [[]]
    wanted.count = 1
    rig.until(0.2)
    rig.actions.ready.add("agent-2")
    rig.until(0.3)
    assert rig.actions.lists == [[], ["agent-2"]]


def test_one_that_was_killed_counts_until_another_is_there() -> None:
    wanted = Wanted(3)
    rig = scaled(wanted, event("kill", 1.0))
    rig.until(1.5)
    assert len(wanted.told[-1]) == 3
    assert [action for action, _ in rig.actions.done] == ["kill"]


def test_nobody_is_asked_before_the_load_begins_or_while_an_update_rolls() -> None:
    wanted = Wanted(9)
    clock, actions = FakeClock(), FakeHands(3)
    movement = Movement(
        map(container, (1, 2, 3)),
        [event("replace", 1.0)],
        seed=1,
        actions=actions,
        clock=clock,
        autoscaler=cast("Autoscaler", wanted),
    )
    movement.step()
    movement.begin(clock.now() + 0.5)
    movement.step()
    assert wanted.told == [("begin",) * 3]
    wanted.count = 3
    clock.advance(1.5)
    movement.step()
    wanted.count = 9
    movement.step()
    assert actions.done == [("start", "agent-4")], "the first new one of the update"


def test_nobody_is_asked_while_all_are_replaced() -> None:
    """There are twice as many meanwhile: those that are too many would be the new ones."""
    wanted = Wanted(3)
    rig = scaled(wanted)
    rig.movement.renew()
    rig.until(1.0)
    rig.actions.ready |= {"agent-4", "agent-5", "agent-6"}
    rig.until(1.1)
    assert rig.actions.lists[-1] == ["agent-4", "agent-5", "agent-6"]
    rig.until(3.0)
    assert [each.action for each in rig.movement.events] == ["remove"] * 3
    assert wanted.told[-1] == ("agent-4", "agent-5", "agent-6"), "from then on it is"
