import json
import math
from typing import Any

import httpx
import pytest

from harness.load.kit.throttling import (
    ModelCalls,
    SimulatorControl,
    SimulatorError,
    Throttling,
    combined,
)
from harness.simulator_config import FaultRule, Quota, SimulatorConfig

OUTAGE = FaultRule(kind="overloaded", window_s=(4.0, 8.0), retry_after_s="until_clear")
BEFORE = SimulatorConfig(seed=3, faults=(FaultRule(kind="auth", probability=0.1),)).model_dump(mode="json")


class FakeSimulator:
    """The control API as far as a test uses it."""

    def __init__(self, status: int = 200) -> None:
        self.config: dict[str, Any] = dict(BEFORE)
        self.lease: str | None = None
        self.own: dict[str, Any] = {}
        self.start_s: float | None = None
        self.asked: list[str] = []
        self.stats: dict[str, Any] = {
            "attempts": 0,
            "calls": 0,
            "bodies": 0,
            "forgotten_after_s": None,
            "fired": [],
            "sources": {},
            "resets": 0,
        }
        self._status = status
        transport = httpx.MockTransport(self._answer)
        self.control = SimulatorControl(httpx.Client(base_url="http://sim", transport=transport), "r")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append(f"{request.method} {request.url.path}")
        match request.method, request.url.path:
            case "PUT", "/sim/lease":
                change = {key: value for key, value in body.items() if key not in {"name", "seconds"}}
                SimulatorConfig.model_validate(self.config | change)
                self.lease, self.own = body["name"], dict(self.config)
                self.config |= change
            case "POST" | "DELETE", "/sim/lease" if self.lease != "r":
                return httpx.Response(409, json={"detail": "over"})
            case "DELETE", "/sim/lease":
                self.lease, self.config = None, self.own
            case "POST", "/sim/reset":
                self.start_s = body["start_s"]
                self.stats["resets"] += 1
                return httpx.Response(self._status, json=self.stats)
            case "GET", "/sim/stats":
                return httpx.Response(self._status, json=self.stats)
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


def seen(**stats: Any) -> ModelCalls:
    fake = FakeSimulator()
    fake.control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)
    fake.stats |= stats
    told = fake.control.end()
    assert told is not None
    assert fake.config == BEFORE
    return told


def test_what_was_seen_is_told_before_the_throttling_is_taken_away() -> None:
    told = seen(attempts=6, calls=3, bodies=3, fired=[2], sources={"quota": 1, "fault": 2})
    assert (told.attempts, told.fired, told.refused, told.met, told.disturbed) == (6, (2,), 1, 3, False)
    assert told.amplification(60.0) == (2.0, 2.0)


def test_without_a_model_call_there_is_no_amplification() -> None:
    assert seen().amplification(60.0) is None


def test_a_trace_for_each_attempt_and_requests_that_say_the_same_leave_it_open() -> None:
    assert seen(attempts=10, calls=10, bodies=2).amplification(60.0) == (1.0, 5.0)


@pytest.mark.parametrize(("forgotten_after_s", "most"), [(61.0, 2.0), (59.0, math.inf)])
def test_a_call_that_was_forgotten_too_soon_leaves_it_open(forgotten_after_s: float, most: float) -> None:
    told = seen(attempts=6, calls=3, bodies=3, forgotten_after_s=forgotten_after_s)
    assert told.amplification(60.0) == (2.0, most)


def test_a_reset_or_a_change_by_somebody_else_is_noticed() -> None:
    assert seen(resets=2).disturbed
    fake = FakeSimulator()
    fake.control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)
    fake.config["faults"] = []
    told = fake.control.end()
    assert told is not None
    assert told.disturbed


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(SimulatorError, match="PUT /sim/lease"):
        FakeSimulator(status=422).control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)


def test_what_is_no_simulator_is_an_error() -> None:
    for said in ("<html>", "[1]", "{}"):
        transport = httpx.MockTransport(lambda _, said=said: httpx.Response(200, text=said))  # type: ignore[misc]
        control = SimulatorControl(httpx.Client(base_url="http://sim", transport=transport), "r")
        with pytest.raises(SimulatorError):
            control.begin(None, start_s=1.0)


def test_the_throttling_is_taken_away_even_if_what_was_seen_cannot_be_read() -> None:
    fake = FakeSimulator()
    fake.control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)
    del fake.stats["calls"]
    with pytest.raises(SimulatorError, match="says nothing of calls"):
        fake.control.end()
    assert fake.config == BEFORE


def test_a_lease_that_is_renewed_stays_and_one_that_is_over_is_told() -> None:
    fake = FakeSimulator()
    fake.control.renew()
    assert not fake.asked, "nothing was put in place"
    fake.control.begin(Throttling(faults=(OUTAGE,)), start_s=1.0)
    fake.control.renew()
    fake.lease, fake.config = None, fake.own
    with pytest.raises(SimulatorError, match="POST /sim/lease"):
        fake.control.renew()
    told = fake.control.end()
    assert told is not None
    assert told.disturbed


def test_several_scenarios_throttle_together() -> None:
    other = FaultRule(kind="auth")
    both = combined([Throttling(faults=(OUTAGE,)), Throttling(faults=(OUTAGE, other), quota=Quota(rpm=5))])
    assert both == Throttling(faults=(OUTAGE, other), quota=Quota(rpm=5))
    assert combined([]) is None
