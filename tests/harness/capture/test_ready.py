"""What `/readyz` says while a load lasts."""

import httpx

from harness.capture.ready import ReadyWatch
from harness.capture.watch import Watching
from harness.clock import FakeClock
from harness.contract import READY

URL = "http://agent/readyz"


def looked(*answers: int | httpx.HTTPError) -> list[float]:
    left = list(answers)

    def ask(url: str) -> int:
        assert url == URL
        answer = left.pop(0)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    how = Watching(experiment="e", arm="a", interval_s=1.0, clock=FakeClock(5.0))
    watch = ReadyWatch(lambda: {"agent-1": URL}, how, ask)
    for _ in answers:
        watch.look("agent-1", URL)
    points = watch.points()
    assert {(point.name, point.source, point.arm) for point in points} == {(READY, "agent-1", "a")}
    return [point.value for point in points]


def test_only_a_200_is_ready_and_no_answer_is_not() -> None:
    assert looked(200, 503, httpx.ReadTimeout("late"), 404) == [1.0, 0.0, 0.0, 0.0]
