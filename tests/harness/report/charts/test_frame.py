import re
from dataclasses import replace

import pytest

from harness.records.setup import Window
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


def test_a_load_of_one_phase_from_the_beginning_needs_no_word() -> None:
    steady = Window(kind="phase", name="steady", from_s=0.0, to_s=10.0)
    x = svg.Linear(0, 10, 50, 450)
    assert frame.windows([steady], x, 20, 100) == ""
    late = replace(steady, from_s=2.0)
    assert ">steady<" in frame.windows([late], x, 20, 100)


def test_a_window_outside_the_picture_is_not_drawn_and_names_do_not_touch() -> None:
    phases = [Window(kind="phase", name=f"ramp-{n}", from_s=n / 10, to_s=(n + 1) / 10) for n in range(100)]
    x = svg.Linear(0, 10, 50, 450)
    drawn = frame.windows(phases, x, 20, 100)
    assert 5 <= drawn.count("<text") <= 7
    assert drawn.count("<line") == 99
    assert frame.windows(phases, svg.Linear(20, 30, 50, 450), 20, 100) == ""
