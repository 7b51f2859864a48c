from harness.analysis.summary import summarise
from harness.judge.causes import unexplained
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def arm_of(leaves: int, *, frozen: bool = False) -> Arm:
    """One reader in three leaves; a container that freezes answers nobody after the first of them."""
    arm = Arm(containers=1)
    for number in range(3 * leaves):
        if number % 3 == 0:
            arm.request(due_s=float(number), end_s=number + 0.1)
            arm.change(left=True, error="its reader left, as planned", error_type="left")
        elif frozen:
            arm.request(due_s=float(number), end_s=number + 60.0, status=0, error="no answer", calls=[])
        else:
            arm.request(due_s=float(number), end_s=number + 0.1)
    return arm


def test_a_container_that_goes_on_serving_holds() -> None:
    assert find("served-after-leave", arm_of(12)).holds


def test_one_that_answers_nobody_after_a_reader_left_is_found() -> None:
    finding = find("served-after-leave", arm_of(12, frozen=True))
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces


def test_without_a_reader_who_left_there_is_nothing_to_tell() -> None:
    arm = Arm()
    arm.request(due_s=0.0)
    assert find("served-after-leave", arm).holds is None


def test_a_reader_who_left_is_neither_a_success_nor_a_failure() -> None:
    history = arm_of(12).history()
    assert unexplained(history) == ()
    assert summarise(history).errors == 0
    assert find("no-errors", arm_of(12)).observed == 0.0
