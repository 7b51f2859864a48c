import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from harness.process.uninterrupted import uninterrupted


class StoppedError(Exception):
    pass


def stop(_number: int, _frame: FrameType | None) -> None:
    raise StoppedError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_comes_meanwhile_comes_afterwards(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append("all of it")

    with pytest.raises(StoppedError):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(number) is stop


def test_nothing_came_and_nothing_is_raised() -> None:
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGINT) is stop


def test_who_is_deaf_stays_deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_changes_nothing() -> None:
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [stop]
