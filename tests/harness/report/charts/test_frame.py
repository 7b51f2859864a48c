import re

import pytest

from harness.report import svg
from harness.report.charts import frame


def labels(ticks: list[tuple[float, str]]) -> list[str]:
    axis = frame.x_axis(svg.Linear(0, 100, frame.LEFT, frame.PLOT_RIGHT), ticks, 100, "title")
    assert axis.count("<line") == 1 + len(ticks)
    return re.findall(r">([^<]+)</text>", axis)


def test_labels_with_room_are_all_written() -> None:
    assert labels([(0, "0"), (50, "500 ms"), (100, "1 s")]) == ["0", "500 ms", "1 s", "title"]


@pytest.mark.parametrize("at", [50, 51, 55])
def test_a_label_that_would_touch_an_earlier_one_is_left_out_and_its_mark_is_not(at: float) -> None:
    assert labels([(50, "100 ms"), (at, "200 ms"), (90, "500 ms")]) == ["100 ms", "500 ms", "title"]


def test_what_comes_first_keeps_its_label_wherever_it_lies() -> None:
    assert labels([(50, "100 ms"), (45, "50 ms"), (0, "10 ms")]) == ["100 ms", "10 ms", "title"]
