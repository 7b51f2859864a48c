"""When a load counts as hanging: not by a clock alone, for a slow machine ends it late."""

from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.errors import Death, StartError
from harness.load.launcher import OVERTIME_S, LoadChild, LoadJob
from harness.records.sent import Arrival

TIMEOUT_S = 10.0
ROW = '{"error": null, "status": 200, "due_s": 0.0, "end_s": 1.0}\n'


class Running:
    """A process that never ends."""

    def poll(self) -> Death | None:
        return None

    def check_it_moves(self) -> None:
        """It does."""


def load(folder: Path, clock: FakeClock) -> LoadChild:
    arrivals = tuple(Arrival(index=n, due_s=float(n), session_id="s", prompt="p") for n in range(3))
    job = LoadJob(
        hosts=("http://127.0.0.1:1",),
        experiment="e",
        arm="a",
        run_id="r",
        arrivals=arrivals,
        timeout_s=TIMEOUT_S,
        max_in_flight=10,
        work_dir=folder,
        log=folder / "locust.log",
    )
    child = LoadChild(job, clock=clock)
    child._child = Running()  # type: ignore[assignment]  # - of it only that is asked for
    child.begin(clock.now())
    return child


def minutes(child: LoadChild, clock: FakeClock, rows: Path, *, calls_end: bool) -> None:
    for _ in range(30):
        clock.advance(10.0)
        if calls_end:
            with rows.open("a") as file:
                file.write(ROW)
        assert child.poll() is None


def test_a_load_that_is_late_goes_on_as_long_as_its_calls_end(tmp_path: Path) -> None:
    clock = FakeClock()
    child = load(tmp_path, clock)
    minutes(child, clock, tmp_path / "rows.jsonl", calls_end=True)


def test_a_load_whose_calls_end_no_more_hangs(tmp_path: Path) -> None:
    clock = FakeClock()
    child = load(tmp_path, clock)
    with pytest.raises(StartError, match="no call has ended"):
        minutes(child, clock, tmp_path / "rows.jsonl", calls_end=False)
    assert clock.monotonic() == pytest.approx(2 + 2 * TIMEOUT_S + OVERTIME_S, abs=20)
