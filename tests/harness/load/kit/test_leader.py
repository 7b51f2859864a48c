from typing import Any

import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import ExitCode
from harness.load.kit.leader import BEGIN, STOP, Leader
from harness.load.kit.limits import LoadLimits
from harness.load.kit.settings import LoadSettings
from harness.load.kit.tally import Tally
from harness.load.kit.throttling import SimulatorControl, Throttling
from harness.simulator_config import FaultRule
from tests.harness.load.rows import row

DRIVERS = {"w1": {"A": 1}, "w2": {"A": 1}}


def settings(limits: LoadLimits) -> LoadSettings:
    return LoadSettings(
        limits=limits,
        rate_factor=1.0,
        seed=1,
        call_timeout_s=10.0,
        max_in_flight=10,
        simulator_url=None,
        simulator_token=None,
        jaeger_url=None,
        otlp_url=None,
        results=None,
    )


def figures(successes: int) -> dict[str, Any]:
    tally = Tally()
    for number in range(successes):
        tally.add(row(number, 0.1))
    return tally.to_wire()


class Bench:
    """A leader with two workers that answer when the test says so."""

    def __init__(self, limits: LoadLimits | None = None, simulator: SimulatorControl | None = None) -> None:
        self.sent: list[tuple[str, str]] = []
        self.message: dict[str, dict[str, Any]] = {}
        self.dead: set[str] = set()
        self.answers: dict[str, dict[str, Any]] = {}
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
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
    assert {(message["start_s"], message["length_s"]) for message in bench.message.values()} == {(50.0, 4.0)}
    assert [message["shares"] for message in bench.message.values()] == [{"A": [[0, 2]]}, {"A": [[1, 2]]}]


def test_a_second_beginning_is_refused_so_that_nothing_is_sent_twice() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
    bench.leader.begin({"w1": {"A": 2}, "w2": {"A": 2}}, [], start_s=60.0, length_s=4.0)
    assert len(bench.sent) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_all_workers_are_told_whether_what_was_due_is_still_sent(*, whole: bool) -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(1), "w2": figures(1)}
    bench.gather(whole=whole)
    assert bench.whole == {whole}


def test_the_figures_of_all_workers_are_judged_together() -> None:
    bench = Bench(LoadLimits(min_requests=30))
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
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
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert bench.clock.monotonic() == pytest.approx(15.0, abs=0.1)
    assert bench.leader.verdict() is ExitCode.UNKNOWN


def test_a_dead_worker_is_not_waited_for() -> None:
    bench = Bench()
    bench.leader.begin(DRIVERS, [], start_s=50.0, length_s=4.0)
    bench.answers, bench.dead = {"w1": figures(500)}, {"w2"}
    bench.gather()
    assert bench.clock.slept == []
    assert bench.leader.verdict() is ExitCode.UNKNOWN


def test_no_figures_at_all_are_unknown() -> None:
    assert Bench().leader.verdict() is ExitCode.UNKNOWN


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_throttling_that_could_not_be_put_in_place_makes_it_unknown() -> None:
    client = httpx.Client(base_url="http://sim", transport=httpx.MockTransport(unreachable))
    bench = Bench(simulator=SimulatorControl(client))
    bench.leader.begin(
        {"w1": {"A": 1}}, [Throttling(faults=(FaultRule(kind="auth"),))], start_s=1.0, length_s=4.0
    )
    bench.answers = {"w1": figures(500)}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.UNKNOWN
    assert any("could not be put in place" in finding.text for finding in bench.leader.findings())


def test_the_verdict_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="agentrig.load")
    bench = Bench(LoadLimits(p99_ms=1.0))
    bench.leader.begin({"w1": {"A": 1}}, [], start_s=1.0, length_s=4.0)
    bench.answers = {"w1": figures(300)}
    bench.gather()
    assert bench.leader.verdict() is ExitCode.FELL_SHORT
    assert "fell short: p99 100.0 ms, at most 1 ms" in caplog.messages
    assert caplog.messages[0].startswith("from the intended start: p50 100.0 ms")
