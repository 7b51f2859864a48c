from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged


def paused(*, status: int = 200) -> Arm:
    """The only container leaves after 10 s; another one is there from 25 s on, and two came at 20 s."""
    arm = Arm(containers=2)
    arm.moved(1, left_s=10.0)
    arm.moved(2, joined_s=25.0)
    arm.request(due_s=5.0)
    error = None if status == 200 else "no healthy upstream"
    for late_s in (0.0, 0.5):
        if status == 200:
            arm.request(due_s=20.0 + late_s, begin_s=25.0, end_s=25.6, container=2)
        else:
            arm.request(due_s=20.0 + late_s, status=status, error=error, container=None)
    arm.request(due_s=30.0, container=2)
    arm.set(end_s=40.0)
    return arm


def test_where_there_was_always_a_container_nothing_is_known() -> None:
    arm = Arm()
    arm.request()
    arm.set(end_s=1.0)
    assert find("first-after-none", arm).message == "no data: there was always a container"
    assert find("first-after-none", Arm(containers=0)).holds is None, "nor where none is known"


def test_a_pause_in_which_nobody_came_tells_nothing() -> None:
    arm = Arm(containers=1)
    arm.moved(1, left_s=10.0)
    arm.request(due_s=5.0)
    arm.set(end_s=20.0)
    assert judged("first-after-none", arm).message == "no data: no request came while there was no container"


def test_those_that_waited_and_were_answered_are_counted_and_it_is_told_how_long() -> None:
    finding = judged("first-after-none", paused())
    assert (finding.holds, finding.observed, finding.cases) == (True, 0.0, 2)
    assert finding.message == (
        "for 15.0 s there was no container, and 2 requests came; all were answered; the first waited 5.0 s "
        "for one, and had its answer after 5.6 s"
    )


def test_those_that_were_refused_are_found() -> None:
    finding = judged("first-after-none", paused(status=503))
    assert (finding.holds, finding.observed, len(finding.traces)) == (False, 2.0, 2)
    assert "2 of them failed, the first with 503, no healthy upstream" in finding.message


def test_what_the_one_on_its_way_out_has_answered_is_no_case() -> None:
    """It was sent in the moment before the balancer knew the new list."""
    arm = Arm(containers=1)
    arm.moved(1, left_s=10.0)
    arm.request(due_s=10.01, end_s=10.5)
    arm.set(end_s=20.0)
    assert find("first-after-none", arm).message == "no data: no request came while there was no container"
    arm.request(due_s=10.02, status=502, error="it hung up")
    assert find("first-after-none", arm).holds is False, "one that failed came to nobody who keeps it"


def test_containers_that_overlap_leave_no_pause_between_them() -> None:
    arm = paused()
    arm.moved(1, left_s=26.0)
    assert find("first-after-none", arm).message == "no data: there was always a container"
