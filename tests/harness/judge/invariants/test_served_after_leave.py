import pytest

from harness.analysis.summary import summarise
from harness.judge.causes import unexplained
from tests.harness.histories import BEGIN_S, Arm, Try
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


def refused(arm: Arm, at_s: float) -> Arm:
    """A request that the only container refused."""
    arm.request(due_s=at_s, end_s=at_s + 0.01, container=None, status=503, error="busy", calls=[])
    arm.change(upstream="127.0.0.1:9001")
    return arm


def test_a_slot_that_is_never_free_again_is_found_by_one_refusal() -> None:
    finding = find("served-after-leave", refused(arm_of(12), 60.0))
    assert (finding.holds, finding.observed) == (False, 1)
    assert "1 refused 1 requests with a slot to spare" in finding.message
    assert finding.traces


def test_a_container_that_is_full_refuses_rightly() -> None:
    arm = refused(arm_of(12), 60.0)
    arm.request(due_s=59.9, end_s=60.1)
    assert find("served-after-leave", arm).holds


@pytest.mark.parametrize("lasted_s", [0.02, 3.0])
def test_what_goes_on_for_a_reader_who_left_still_fills_its_slot(lasted_s: float) -> None:
    arm = arm_of(12)
    arm.set(policy="least-request")
    arm.request(due_s=50.0, end_s=50.1, calls=[[Try(lasted_s=lasted_s)]])
    arm.change(left=True, error="its reader left, as planned", error_type="left")
    arm.request(due_s=70.0)
    arm.spans = [span for span in arm.spans if not span.of_agent]  # an agent that emits none
    assert find("served-after-leave", refused(arm, 51.5)).holds is (lasted_s > 1)


def test_what_was_refused_before_anybody_left_is_not_their_doing() -> None:
    arm = refused(Arm(containers=1), 0.0)
    for row in arm_of(12).rows:
        arm.request(due_s=row.due_s - BEGIN_S + 10, end_s=row.end_s - BEGIN_S + 10)
        arm.change(left=row.left, error=row.error, error_type=row.error_type)
    assert find("served-after-leave", arm).holds


def test_without_a_reader_who_left_there_is_nothing_to_tell() -> None:
    arm = Arm()
    arm.request(due_s=0.0)
    assert find("served-after-leave", arm).holds is None


def test_a_reader_who_left_is_neither_a_success_nor_a_failure() -> None:
    history = arm_of(12).history()
    assert unexplained(history) == ()
    assert summarise(history).errors == 0
    assert find("no-errors", arm_of(12)).observed == 0.0
