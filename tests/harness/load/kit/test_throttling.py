import json
from typing import Any

import httpx
import pytest

from harness.load.kit.throttling import SimulatorControl, Throttling, combined
from harness.simulator_config import FaultRule, Quota, SimulatorConfig

OUTAGE = FaultRule(kind="overloaded", window_s=(4.0, 8.0), retry_after_s="until_clear")
BEFORE = SimulatorConfig(seed=3, faults=(FaultRule(kind="auth", probability=0.1),)).model_dump(mode="json")


class FakeSimulator:
    """The control API as far as a test uses it."""

    def __init__(self, status: int = 200) -> None:
        self.config: dict[str, Any] = dict(BEFORE)
        self.start_s: float | None = None
        self.rows: list[dict[str, Any]] = []
        self._status = status
        transport = httpx.MockTransport(self._answer)
        self.control = SimulatorControl(httpx.Client(base_url="http://sim", transport=transport))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        match request.method, request.url.path:
            case "PATCH", "/sim/config":
                SimulatorConfig.model_validate(self.config | body)
                self.config |= body
            case "POST", "/sim/reset":
                self.start_s = body["start_s"]
            case "GET", "/sim/requests":
                return httpx.Response(self._status, json=self.rows)
        return httpx.Response(self._status, json=self.config)


def test_the_throttling_is_put_in_place_and_counted_from_the_first_arrival() -> None:
    fake = FakeSimulator()
    fake.control.begin(Throttling(faults=(OUTAGE,), quota=Quota(rpm=60)), start_s=123.0)
    config = SimulatorConfig.model_validate(fake.config)
    assert config.faults == (OUTAGE,)
    assert config.quota == Quota(rpm=60)
    assert config.seed == 3
    assert fake.start_s == 123.0


def test_the_end_puts_back_what_was_there() -> None:
    fake = FakeSimulator()
    fake.control.begin(Throttling(faults=(OUTAGE,), quota=Quota(rpm=60)), start_s=1.0)
    fake.control.end()
    assert fake.config == BEFORE


def test_an_end_without_a_beginning_changes_nothing() -> None:
    fake = FakeSimulator(status=500)
    fake.control.end()
    assert fake.config == BEFORE


def test_without_a_quota_of_its_own_the_simulators_stays() -> None:
    fake = FakeSimulator()
    fake.config["quota"] = Quota(rpm=999).model_dump(mode="json")
    fake.control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)
    assert fake.config["quota"]["rpm"] == 999


def test_amplification_is_attempts_per_call() -> None:
    fake = FakeSimulator()
    fake.rows = [{"number": n, "row": {"attempt": a}} for n, a in enumerate([1, 1, 2, 3, 1, 2])]
    assert fake.control.amplification() == 2.0


def test_without_a_model_call_there_is_no_amplification() -> None:
    assert FakeSimulator().control.amplification() is None


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(httpx.HTTPStatusError):
        FakeSimulator(status=422).control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)


def test_several_scenarios_throttle_together() -> None:
    other = FaultRule(kind="auth")
    both = combined([Throttling(faults=(OUTAGE,)), Throttling(faults=(other,), quota=Quota(rpm=5))])
    assert both == Throttling(faults=(OUTAGE, other), quota=Quota(rpm=5))
