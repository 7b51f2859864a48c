import dataclasses
import math
from typing import Any

import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import ExitCode
from harness.load.kit.leader import BEGIN, RATE, RESET, STOP, Leader, summary_line
from harness.load.kit.limits import LoadLimits
from harness.load.kit.node import Part
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import ShareState
from harness.load.kit.tally import Others, Tally
from harness.load.kit.throttling import SimulatorControl, Throttling
from harness.load.open_loop import ArrivalCounts
from harness.simulator_config import FaultRule
from tests.harness.load.kit.test_throttling import BEFORE, FakeSimulator
from tests.harness.load.rows import row

DRIVERS = {"w1": {"A": 1}, "w2": {"A": 1}}
PICKED = {"A": None}


def settings(limits: LoadLimits) -> LoadSettings:
    return LoadSettings(
        limits=limits,
        rate_factor=1.0,
        seed=1,
        call_timeout_s=10.0,
        max_in_flight=10,
        simulator_url=None,
        simulator_token=None,
        traces_url=None,
        otlp_url=None,
        results=None,
    )


def figures(
    successes: int, state: ShareState = ShareState.SENT, run_id: str | None = "r", scenario: str = "A"
) -> Part:
    tally = Tally(counts=ArrivalCounts(due=successes, sent=successes))
    for number in range(successes):
        tally.add(row(number, 0.1, experiment=scenario))
    return Part(run_id=run_id, tally=tally, shares={scenario: [state]})


class Bench:
    """A leader with two workers that answer when the test says so."""

    def __init__(self, limits: LoadLimits | None = None, simulator: SimulatorControl | None = None) -> None:
        self.sent: list[tuple[str, str]] = []
        self.message: dict[str, dict[str, Any]] = {}
        self.dead: set[str] = set()
        self.answers: dict[str, Part] = {}
        self.whole: set[bool] = set()
        self.clock = FakeClock()
        self.leader = Leader(
            settings(limits or LoadLimits()),
            run_id="r",
            send=self.send,
            alive=lambda worker: worker not in self.dead,
            simulator=simulator,
        )

    def send(self, kind: str, data: dict[str, Any], worker: str) -> None:
        self.sent.append((kind, worker))
        if kind == BEGIN:
            self.message[worker] = data
        if kind == STOP:
            self.whole.add(data["whole"])
        if kind == STOP and worker in self.answers:
            self.leader.receive_final(worker, self.answers[worker])

    def gather(self, *, whole: bool = True) -> None:
        self.leader.gather(self.clock.monotonic, self.clock.sleep, whole=whole)


def test_all_workers_begin_at_the_same_instant_with_shares_of_one_plan() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    assert {(message["start_s"], message["length_s"]) for message in bench.message.values()} == {(50.0, 4.0)}
    assert [message["shares"] for message in bench.message.values()] == [{"A": [[0, 2]]}, {"A": [[1, 2]]}]


def test_a_second_beginning_is_refused_so_that_nothing_is_sent_twice() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.leader.begin({"w1": {"A": 2}, "w2": {"A": 2}}, PICKED, start_s=60.0, length_s=4.0)
    assert len(bench.sent) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_all_workers_are_told_whether_what_was_due_is_still_sent(*, whole: bool) -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(1), "w2": figures(1)}
    bench.gather(whole=whole)
    assert bench.whole == {whole}


def test_the_figures_of_all_workers_are_judged_together() -> None:
    bench = Bench(LoadLimits(min_requests=30))
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(10), "w2": figures(20)}
    bench.gather()
    assert bench.leader.tally().done == 30
    assert bench.leader.verdict() is ExitCode.HELD


def test_later_figures_of_a_worker_replace_its_earlier_ones() -> None:
    bench = Bench()
    bench.leader.receive("w1", figures(5))
    bench.leader.receive("w1", figures(9))
    assert bench.leader.tally().done == 9


def test_a_worker_that_never_answers_is_waited_for_and_then_makes_it_unknown() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert bench.clock.monotonic() == pytest.approx(15.0, abs=0.1)
    assert bench.leader.verdict() is ExitCode.UNKNOWN


def test_a_dead_worker_is_not_waited_for() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers, bench.dead = {"w1": figures(500)}, {"w2"}
    bench.gather()
    assert bench.clock.slept == []
    assert bench.leader.verdict() is ExitCode.UNKNOWN


def test_no_figures_at_all_are_unknown() -> None:
    assert Bench().leader.verdict() is ExitCode.UNKNOWN


def texts(leader: Leader, code: ExitCode = ExitCode.UNKNOWN) -> str:
    return "; ".join(finding.text for finding in leader.findings() if finding.code is code)


def test_the_share_of_a_worker_that_vanished_is_named() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers, bench.dead = {"w1": figures(500)}, {"w2"}
    bench.leader.receive("w2", figures(300))  # a report on the way is no final one
    bench.gather()
    assert bench.leader.tally().done == 800
    assert texts(bench.leader) == (
        "worker w2 never handed in its figures, see its log: share 2 of 2 of A is missing"
    )


@pytest.mark.parametrize(
    ("state", "whole", "code", "says"),
    [
        (ShareState.SENT, True, ExitCode.HELD, ""),
        (ShareState.BEGUN, False, ExitCode.HELD, ""),
        (ShareState.BEGUN, True, ExitCode.UNKNOWN, "was not sent to its end"),
        (ShareState.WAITING, False, ExitCode.UNKNOWN, "was never driven: its user was still in on_start"),
        (ShareState.BROKEN, False, ExitCode.UNKNOWN, "broke off with an error"),
    ],
)
def test_a_share_that_was_assigned_and_not_driven_is_never_green(
    *, state: ShareState, whole: bool, code: ExitCode, says: str
) -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(500), "w2": figures(500, state)}
    bench.gather(whole=whole)
    assert bench.leader.verdict() is code
    assert says in texts(bench.leader)
    assert not says or "share 2 of 2 of A (worker w2)" in texts(bench.leader)


def test_a_worker_without_a_share_may_vanish() -> None:
    bench = Bench()
    bench.leader.begin({"w1": {"A": 1}, "w2": {"A": 0}}, PICKED, start_s=50.0, length_s=4.0)
    bench.answers, bench.dead = {"w1": figures(500)}, {"w2"}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.HELD
    assert list(bench.message) == ["w1"]


@pytest.mark.parametrize("run_id", ["of the test before", None])
def test_the_figures_of_another_test_count_for_nothing(run_id: str | None) -> None:
    bench = Bench()
    bench.leader.begin({"w1": {"A": 1}}, PICKED, start_s=50.0, length_s=4.0)
    bench.leader.receive("w1", figures(500, run_id=run_id))
    bench.leader.receive_final("w1", figures(500, run_id=run_id))
    assert bench.leader.tally().done == 0
    assert "never handed in its figures" in texts(bench.leader)


def test_a_scenario_that_was_picked_and_has_no_driver_is_never_green() -> None:
    bench = Bench()
    bench.leader.begin({"w1": {"A": 1, "Other": 3}}, {"A": None, "B": None}, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert texts(bench.leader) == "B was picked, and none of its users ran"
    assert bench.message["w1"]["shares"] == {"A": [[0, 1]]}, "a user that is no scenario has no share"


def test_a_scenario_of_which_no_call_succeeded_is_not_green_by_the_others() -> None:
    bench = Bench()
    bench.leader.begin({"w1": {"A": 1}, "w2": {"B": 1}}, {"A": None, "B": None}, start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(500), "w2": figures(0, scenario="B")}
    bench.gather()
    assert texts(bench.leader) == "no call of B succeeded: the others say nothing about it"


STORM = Throttling(faults=(FaultRule(kind="auth"),))


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def stormy(simulator: SimulatorControl | None, limits: LoadLimits | None = None) -> Leader:
    bench = Bench(limits, simulator)
    bench.leader.begin({"w1": {"A": 1}}, {"A": STORM}, start_s=1.0, length_s=4.0)
    bench.answers = {"w1": figures(500)}
    bench.gather()
    bench.leader.clear_up()
    return bench.leader


def test_throttling_that_could_not_be_put_in_place_makes_it_unknown() -> None:
    client = httpx.Client(base_url="http://sim", transport=httpx.MockTransport(unreachable))
    leader = stormy(SimulatorControl(client, "r"))
    assert leader.verdict() is ExitCode.UNKNOWN
    assert "the simulator could not be made ready: PUT /sim/lease: refused" in texts(leader)


def test_throttling_without_a_simulator_makes_it_unknown() -> None:
    leader = stormy(None)
    assert leader.verdict() is ExitCode.UNKNOWN
    assert "nothing was throttled: name the model API simulator by --simulator-url" in texts(leader)


@pytest.mark.parametrize(
    ("attempts", "fired", "code"), [(0, 0, ExitCode.UNKNOWN), (9, 0, ExitCode.UNKNOWN), (9, 2, ExitCode.HELD)]
)
def test_throttling_that_met_no_call_makes_it_unknown(attempts: int, fired: int, code: ExitCode) -> None:
    fake = FakeSimulator()
    fake.stats |= {"attempts": attempts, "calls": 5, "bodies": 5, "fired": [fired]}
    assert stormy(fake.control).verdict() is code
    assert fake.config == BEFORE


def test_a_limit_for_amplification_counts_from_the_beginning_of_its_test() -> None:
    fake = FakeSimulator()
    bench = Bench(LoadLimits(max_amplification=1.5), fake.control)
    bench.leader.begin({"w1": {"A": 1}}, PICKED, start_s=123.0, length_s=4.0)
    assert (fake.start_s, fake.stats["resets"], fake.config) == (123.0, 1, BEFORE)
    fake.stats |= {"attempts": 20_000, "calls": 12_000, "bodies": 12_000}
    bench.answers = {"w1": figures(500)}
    bench.gather()
    bench.leader.clear_up()
    assert bench.leader.verdict() is ExitCode.FELL_SHORT
    assert "amplification 1.667 (20000 attempts), at most 1.5" in texts(bench.leader, ExitCode.FELL_SHORT)


def test_where_nothing_is_asked_of_the_simulator_it_is_left_alone() -> None:
    fake = FakeSimulator()
    bench = Bench(simulator=fake.control)
    bench.leader.begin({"w1": {"A": 1}}, PICKED, start_s=123.0, length_s=4.0)
    bench.leader.clear_up()
    assert fake.asked == []


def test_throttling_whose_lease_is_lost_makes_it_unknown_once() -> None:
    fake = FakeSimulator()
    fake.stats |= {"attempts": 9, "calls": 5, "bodies": 5, "fired": [2]}
    bench = Bench(simulator=fake.control)
    bench.leader.begin({"w1": {"A": 1}}, {"A": STORM}, start_s=1.0, length_s=4.0)
    bench.leader.renew()
    fake.lease = None
    bench.leader.renew()
    bench.leader.renew()
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.UNKNOWN
    assert texts(bench.leader).count("the throttling may have gone before the test did") == 1


def beside(others: Others, *, picked: bool) -> Leader:
    bench = Bench()
    drivers = {"w1": {"A": 1, "H": 1}, "w2": {"H": 1}} if picked else {"w1": {"H": 1}, "w2": {"H": 1}}
    bench.leader.begin(drivers, PICKED if picked else {}, start_s=1.0, length_s=4.0)
    mine = Tally(others=others)
    ours = figures(500 if picked else 0)
    bench.answers = {
        "w1": ours if picked else Part(run_id="r", tally=Tally(), shares={}),
        "w2": Part(run_id="r", tally=mine, shares={}),
    }
    bench.gather()
    return bench.leader


@pytest.mark.parametrize("picked", [True, False])
@pytest.mark.parametrize(
    ("others", "code"),
    [
        (Others(ended=24), ExitCode.HELD),
        (Others(ended=24, failed=24), ExitCode.FELL_SHORT),
        (Others(ended=24, raised=1), ExitCode.FELL_SHORT),
    ],
)
def test_users_of_other_classes_are_judged_beside_the_scenarios_and_alone(
    others: Others, code: ExitCode, *, picked: bool
) -> None:
    assert beside(others, picked=picked).verdict() is code


def test_other_users_that_sent_nothing_prove_nothing() -> None:
    leader = beside(Others(), picked=False)
    assert leader.verdict() is ExitCode.UNKNOWN
    assert texts(leader) == "0 requests of other users ended, at least 1 needed"


def test_a_worker_without_a_share_that_never_answers_makes_it_unknown() -> None:
    bench = Bench()
    bench.leader.begin({"w1": {"A": 1}, "w2": {"H": 1}}, PICKED, start_s=1.0, length_s=4.0)
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert "worker w2 never handed in its figures, see its log: no share is missing" in texts(bench.leader)


def test_a_worker_that_was_not_heard_of_for_a_while_is_named_although_it_did_its_part() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=1.0, length_s=4.0)
    bench.leader.look_at_workers()
    bench.dead = {"w2"}
    bench.leader.look_at_workers()
    bench.dead = set()
    bench.answers = {"w1": figures(250), "w2": figures(250)}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.UNKNOWN
    assert "worker w2 was not heard of for a while: it stood still, or was cut off" in texts(bench.leader)


def test_a_worker_that_is_late_is_named_although_the_others_are_not() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=1.0, length_s=4.0)
    bench.answers = {"w1": figures(900), "w2": figures(100)}
    bench.answers["w2"].tally.counts.late = 30
    bench.gather()
    assert texts(bench.leader) == "worker w2 sent 30 of its 100 calls late"


def test_another_rate_is_told_to_all_drivers_before_it_holds() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=60.0)
    bench.leader.change_rate(2.5, now_s=60.0)
    assert [kind for kind, _ in bench.sent[2:]] == [RATE, RATE]
    assert bench.leader.rate_factor == 2.5
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="the rate factor must be a number above 0"):
            bench.leader.change_rate(wrong, now_s=60.0)


def test_figures_of_before_a_reset_count_no_more_also_when_they_come_late() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=60.0)
    bench.leader.receive("w1", figures(900))
    bench.leader.reset()
    assert bench.leader.tally().done == 0
    bench.leader.receive("w2", figures(700))
    assert bench.leader.tally().done == 0
    bench.leader.receive("w1", dataclasses.replace(figures(5), resets=1))
    assert bench.leader.tally().done == 5
    assert [kind for kind, _ in bench.sent[2:]] == [RESET, RESET]


def test_while_a_test_runs_nothing_that_is_still_to_come_is_missing() -> None:
    bench = Bench(LoadLimits(max_error_ratio=0.1))
    bench.leader.begin(DRIVERS, PICKED, start_s=50.0, length_s=60.0)
    part = figures(40)
    part.tally.counts = ArrivalCounts(due=43, sent=43, in_flight=3)
    bench.leader.receive("w1", part)
    assert {finding.code for finding in bench.leader.findings_so_far()} == {ExitCode.HELD}


def test_the_verdict_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="agentrig.load")
    bench = Bench(LoadLimits(p99_ms=1.0))
    bench.leader.begin({"w1": {"A": 1}}, PICKED, start_s=1.0, length_s=4.0)
    bench.answers = {"w1": figures(300)}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.FELL_SHORT
    assert "fell short: p99 100.0 ms of all calls, at most 1 ms" in caplog.messages
    assert caplog.messages[0].startswith("from the intended start: p50 100.0 ms")


def test_the_summary_tells_of_the_successes_and_of_all_calls() -> None:
    tally = figures(98).tally
    for number in range(2):
        tally.add(row(number, 60.0, status=0, error="no answer", error_type="timeout"))
    said = summary_line(tally)
    assert (
        "p99 100.0 ms  p99.9 100.0 ms; first token: none; all calls, failed ones too: p50 100.0 ms  p99 60"
        in said
    )
    assert "failed 2" in said
