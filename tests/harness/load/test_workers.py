import gevent
import pytest
from gevent.event import Event

from harness.load.workers import Workers


def test_functions_run_side_by_side() -> None:
    workers, go, seen = Workers(), Event(), []

    def call(number: int) -> None:
        seen.append(f"begin {number}")
        go.wait()
        seen.append(f"end {number}")

    workers.spawn(call, 1)
    workers.spawn(call, 2)
    workers.spawn(go.set)
    workers.join()
    assert seen == ["begin 1", "begin 2", "end 1", "end 2"]


def test_a_greenlet_that_is_free_takes_the_next_function() -> None:
    workers, greenlets = Workers(), []
    for _ in range(3):
        workers.spawn(lambda: greenlets.append(gevent.getcurrent()))
        gevent.sleep(0)  # lets it run
    workers.join()
    assert len(greenlets) == 3
    assert len(set(greenlets)) == 1


def test_what_a_function_raises_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    workers, done = Workers(), []
    workers.spawn(int, "none")
    workers.spawn(done.append, 1)
    workers.join()
    assert done == [1]
    assert "invalid literal for int()" in caplog.text


def test_nothing_is_left_after_the_end_and_more_can_follow() -> None:
    workers, greenlets = Workers(), []
    for _ in range(2):
        workers.spawn(lambda: greenlets.append(gevent.getcurrent()))
        workers.join()
    assert [greenlet.dead for greenlet in greenlets] == [True, True]
