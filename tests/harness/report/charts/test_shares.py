from dataclasses import replace

from harness.records.outcome import ArmSummary
from harness.report.charts import frame
from harness.report.charts.shares import shares
from tests.harness.report import sample

RESULT, _ = sample.run()
ARMS = RESULT.experiments[1].arms


def test_every_container_has_a_bar_per_arm_and_measure_with_its_figure() -> None:
    drawn = shares(ARMS, frame.arm_styles(ARMS))
    assert drawn is not None
    assert drawn.count("<rect") == 4 * 2 * 2
    assert drawn.count(">200<") == 4
    assert ">agent-4<" in drawn


def test_a_container_that_served_nothing_is_shown_with_nothing() -> None:
    arms = {**ARMS, "blind": replace(ARMS["blind"], served={"agent-9": 0}, busy_s={})}
    drawn = shares(arms, frame.arm_styles(arms))
    assert drawn is not None
    assert ">agent-9<" in drawn


def test_without_containers_there_is_no_picture() -> None:
    arms = {"a": ArmSummary(control=False, requests=0, errors=0)}
    assert shares(arms, frame.arm_styles(arms)) is None


def test_arms_look_the_same_in_every_picture_and_controls_are_dashed() -> None:
    styles = frame.arm_styles({"b": replace(ARMS["blind"]), "a": ARMS["busy-aware"], "c": ARMS["busy-aware"]})
    assert styles["b"].stroke == "line hue-b dashed"
    assert styles["a"].stroke == "line hue-a"
    assert styles["c"].hue not in {styles["a"].hue, styles["b"].hue}


def test_a_controls_bars_can_be_told_apart_without_colour() -> None:
    drawn = shares(ARMS, frame.arm_styles(ARMS))
    assert drawn is not None
    assert drawn.count('class="hatching"') == 4 * 2


def test_of_many_containers_those_with_most_work_are_shown() -> None:
    names = [f"agent-{n}" for n in range(1, 31)]
    arm = replace(
        ARMS["blind"], served=dict.fromkeys(names, 1), busy_s={name: float(n) for n, name in enumerate(names)}
    )
    drawn = shares({"blind": arm}, frame.arm_styles(ARMS)) or ""
    assert drawn.count(">agent-") == 12
    assert ">agent-18<" not in drawn
    assert ">agent-19<" in drawn
    assert "and 18 more containers, with less work each" in drawn


def test_a_container_that_an_arm_did_not_have_has_no_bar_there() -> None:
    one, two = (replace(ARMS["blind"], served={name: 3}, busy_s={name: 1.0}) for name in ("a", "b"))
    drawn = shares({"blind": one, "busy-aware": two}, frame.arm_styles(ARMS)) or ""
    assert drawn.count(">3<") == 2
    assert ">0<" not in drawn
