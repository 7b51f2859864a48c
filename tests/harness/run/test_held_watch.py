"""What the containers hold, as a soak looks at it."""

import httpx
import pytest

from harness.capture.watch import Watching
from harness.clock import FakeClock
from harness.run.held_watch import HeldWatch, interval_s

METRICS = '# HELP a\n# TYPE a counter\na 1\na{b="c"} 2\n'


def watch_of(*, store: float | None, text: str | None) -> HeldWatch:
    def fetch(url: str) -> str:
        assert url == "http://agent/metrics"
        if text is None:
            raise httpx.ConnectError("gone")
        return text

    return HeldWatch(
        lambda: {"agent-1": {"memory": 5.0, "threads": 2.0}},
        lambda: store,
        lambda: {"agent-1": "http://agent"},
        Watching(experiment="e", arm="a", interval_s=1.0, clock=FakeClock(7.0)),
        fetch,
    )


def test_each_look_has_what_is_held_and_the_lines_of_metrics_and_the_store() -> None:
    watch = watch_of(store=9.0, text=METRICS)
    watch.look()
    assert {(point.source, point.name, point.value) for point in watch.points()} == {
        ("agent-1", "agentrig.memory", 5.0),
        ("agent-1", "agentrig.threads", 2.0),
        ("agent-1", "agentrig.series", 2.0),
        ("store", "agentrig.store.size", 9.0),
    }


def test_what_gives_no_metrics_and_a_store_that_is_not_there_are_left_out() -> None:
    watch = watch_of(store=None, text=None)
    watch.look()
    assert {point.name for point in watch.points()} == {"agentrig.memory", "agentrig.threads"}


@pytest.mark.parametrize(("load_s", "every_s"), [(60.0, 1.0), (600.0, 1.5), (28_800.0, 72.0)])
def test_a_longer_load_is_looked_at_less_often(load_s: float, every_s: float) -> None:
    assert interval_s(load_s) == every_s
