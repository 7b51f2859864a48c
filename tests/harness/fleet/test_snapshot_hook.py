"""The start-up hook: what is drawn before a restore is the same in all copies, and then their own."""

import itertools
import random
from pathlib import Path

import pytest

from harness.fleet.snapshot.sitecustomize import NAME, RESTORED, Snapshot, watch

AGE_S = 3600.0
NOW_S = 1_000_000.0


def copy_of_one(number: int) -> Snapshot:
    """A copy whose system draws what no other draws."""
    drawn = itertools.count()
    return Snapshot(
        AGE_S,
        urandom=lambda size: f"{number}/{next(drawn)}".encode().ljust(size, b".")[:size],
        now=lambda: NOW_S,
        now_ns=lambda: int(NOW_S * 1e9),
    )


def seeded(snapshot: Snapshot) -> random.Random:
    """A generator that asks for any seed, as `random.Random()` does."""
    made = random.Random(0)
    snapshot.seed(made)
    return made


@pytest.fixture(autouse=True)
def _own_generator_stays() -> object:
    state = random.getstate()
    yield
    random.setstate(state)


def test_before_the_restore_all_copies_draw_the_same_of_the_system_and_after_it_none_does() -> None:
    one, other = copy_of_one(1), copy_of_one(2)
    assert [one.urandom(16) for _ in range(3)] == [other.urandom(16) for _ in range(3)]
    assert one.urandom(16) != one.urandom(16)
    for each in (one, other):
        each.restore()
    assert one.urandom(16) != other.urandom(16)


def test_generators_made_before_have_one_state_after_however_often_each_was_asked() -> None:
    one, other = copy_of_one(1), copy_of_one(2)
    mine, yours = seeded(one), seeded(other)
    assert mine.random() == yours.random()
    yours.random()
    for each in (one, other):
        each.restore()
    assert [mine.random() for _ in range(3)] == [yours.random() for _ in range(3)]


def test_two_generators_of_one_copy_differ_and_one_with_a_seed_of_its_own_keeps_it() -> None:
    snapshot = copy_of_one(1)
    assert seeded(snapshot).random() != seeded(snapshot).random()
    chosen = random.Random(0)
    snapshot.seed(chosen, 5)
    assert chosen.random() == random.Random(5).random()
    snapshot.restore()
    assert chosen.random() != random.Random(5).random()


def test_the_modules_own_generator_is_the_same_in_all_after_the_restore() -> None:
    drawn = []
    for number in (1, 2):
        random.seed(number)
        copy_of_one(number).restore()
        drawn.append([random.random() for _ in range(3)])
    assert drawn[0] == drawn[1]


def test_generators_made_after_the_restore_are_seeded_by_the_system() -> None:
    snapshot = copy_of_one(1)
    snapshot.restore()
    assert seeded(snapshot).random() != seeded(snapshot).random()


def test_the_clock_is_behind_until_the_restore() -> None:
    snapshot = copy_of_one(1)
    assert snapshot.now() == NOW_S - AGE_S
    assert snapshot.now_ns() == int((NOW_S - AGE_S) * 1e9)
    snapshot.restore()
    assert snapshot.now() == NOW_S
    assert snapshot.now_ns() == int(NOW_S * 1e9)


def test_a_copy_waits_for_its_restore_and_tells_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "agent-3")
    snapshot, waited = copy_of_one(1), []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert not list(tmp_path.iterdir())
        if len(waited) == 2:
            (tmp_path / RESTORED).touch()

    watch(snapshot, str(tmp_path), sleep)
    assert snapshot.over
    assert len(waited) == 2
    assert len(list(tmp_path.glob("agent-3.*"))) == 1
