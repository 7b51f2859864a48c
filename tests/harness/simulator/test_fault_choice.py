import random
from collections.abc import Iterable
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.simulator import fault_choice as decide
from harness.simulator.calls import ModelCall
from harness.simulator.faults import REGISTRY
from harness.simulator_config import Auth, FaultRule, SimulatorConfig
from tests.harness.simulator.wires import answered, call, decider

PLAN = SimulatorConfig.model_validate(
    {
        "seed": 11,
        "faults": [
            {"kind": "auth", "probability": 0.1},
            {"kind": "overloaded", "probability": 0.2},
            {"kind": "conn_reset", "probability": 0.2, "match": {"attempt": 1}},
        ],
    }
)


def config(*rules: dict[str, Any], **more: Any) -> SimulatorConfig:
    return SimulatorConfig.model_validate({"faults": rules, **more})


def kinds(told: SimulatorConfig, calls: Iterable[ModelCall], now: Any = lambda: 0.0) -> list[str]:
    decides = decider(told, now)
    return [decides.decide(each, answered(each, told)).kind for each in calls]


def test_without_faults_and_quota_every_call_is_answered() -> None:
    assert kinds(config(), [call(str(n)) for n in range(5)]) == ["ok"] * 5


def test_one_seed_decides_alike_whatever_the_order_of_arrival() -> None:
    calls = [call(str(n), attempt=attempt) for n in range(150) for attempt in (1, 2, 3)]
    shuffled = random.Random(3).sample(calls, len(calls))
    in_order = dict(zip([each.request_id for each in calls], kinds(PLAN, calls), strict=True))
    out_of_order = dict(zip([each.request_id for each in shuffled], kinds(PLAN, shuffled), strict=True))
    assert in_order == out_of_order
    assert set(in_order.values()) == {"ok", "auth", "overloaded", "conn_reset"}


def test_another_seed_decides_otherwise() -> None:
    calls = [call(str(n)) for n in range(100)]
    assert kinds(PLAN, calls) != kinds(PLAN.model_copy(update={"seed": 12}), calls)


def test_a_fault_comes_as_often_as_its_probability_says() -> None:
    told = config({"kind": "overloaded", "probability": 0.25})
    assert kinds(told, [call(str(n)) for n in range(1000)]).count("overloaded") == pytest.approx(250, abs=45)


def test_a_permanent_fault_is_the_same_in_each_attempt_and_a_transient_one_if_it_lasts() -> None:
    for kind, lasting, same in (
        ("bad_request", False, True),
        ("overloaded", False, False),
        ("overloaded", True, True),
    ):
        told = config({"kind": kind, "probability": 0.5, "lasting": lasting})
        attempts = [kinds(told, [call(str(n), attempt=a) for a in range(1, 7)]) for n in range(40)]
        assert all(len(set(each)) == 1 for each in attempts) is same


def test_the_first_rule_that_fires_is_served() -> None:
    assert kinds(config({"kind": "auth"}, {"kind": "overloaded"}), [call()]) == ["auth"]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"provider": "openai"}, ["auth", "ok"]),
        ({"provider": "bedrock"}, ["ok", "auth"]),
        ({"model": "m"}, ["auth", "auth"]),
        ({"model": "other"}, ["ok", "ok"]),
        ({"session": "s1"}, ["auth", "ok"]),
        ({"attempt": 2}, ["ok", "auth"]),
        ({"run": "r"}, ["ok", "ok"]),
    ],
)
def test_a_rule_is_for_what_it_matches(match: dict[str, Any], expected: list[str]) -> None:
    calls = [call(session="s1"), call(protocol="bedrock", attempt=2, session="s2")]
    assert kinds(config({"kind": "auth", "match": match}), calls) == expected


def test_a_rule_serves_at_most_so_many_times() -> None:
    told = config({"kind": "overloaded", "times": 2})
    assert kinds(told, [call(str(n)) for n in range(4)]) == ["overloaded", "overloaded", "ok", "ok"]


def test_a_rule_serves_every_nth_matching_call() -> None:
    told = config({"kind": "overloaded", "every_n": 3, "match": {"model": "m"}})
    assert kinds(told, [call(str(n)) for n in range(6)]) == ["ok", "ok", "overloaded"] * 2


def test_a_window_counts_from_the_start_of_the_run() -> None:
    clock = FakeClock()
    told = config({"kind": "overloaded", "window_s": [2, 4]})
    decides = decider(told, clock.now, clock.now() + 1)  # begins in a second
    seen = []
    for _ in range(7):
        seen.append(decides.decide(call(), answered(call())).kind)
        clock.advance(1)
    assert seen == ["ok", "ok", "ok", "overloaded", "overloaded", "ok", "ok"]


def test_until_clear_is_the_time_to_the_end_of_the_window() -> None:
    clock = FakeClock()
    told = config({"kind": "overloaded", "window_s": [0, 8], "retry_after_s": "until_clear"})
    decides = decider(told, clock.now, clock.now())
    clock.advance(2.5)
    assert decides.decide(call(), answered(call())).retry_after_s == pytest.approx(5.5)


def test_a_stream_fault_spares_calls_that_are_not_streamed() -> None:
    told = config({"kind": "stall"})
    assert kinds(told, [call(), call(stream=True)]) == ["ok", "stall"]


def test_a_quota_is_for_each_key_and_model_by_itself() -> None:
    told = config(quota={"rpm": 60, "burst": 1})
    calls = [call(key="a"), call(key="a"), call(key="b"), call(key="a", model="n")]
    assert kinds(told, calls) == ["ok", "rate_limit_requests", "ok", "ok"]


def test_a_fault_uses_no_quota_unless_failures_count() -> None:
    for charge_failed, after in ((False, "ok"), (True, "rate_limit_requests")):
        told = config(
            {"kind": "overloaded", "times": 1}, quota={"rpm": 1, "burst": 1, "charge_failed": charge_failed}
        )
        assert kinds(told, [call(), call()]) == ["overloaded", after]


def test_a_reservation_takes_the_most_that_an_answer_may_have_and_gives_back_the_rest() -> None:
    told = config(quota={"rpm": 600, "burst": 9, "tpm": 1, "burst_tokens": 100, "reserve_max_tokens": True})
    decides = decider(told)
    first, second = call("1"), call("2")
    held = decides.decide(first, answered(first))
    assert decides.decide(second, answered(second)).kind == "rate_limit_tokens"
    held.settle()
    assert decides.decide(second, answered(second)).kind == "ok"


def test_an_answer_without_text_reserves_none() -> None:
    told = config(quota={"rpm": 60, "burst": 9, "tpm": 40, "reserve_max_tokens": True})
    asked = call("x" * 40, protocol="openai-embeddings")
    decides = decider(told)
    found = [decides.decide(asked, answered(asked, told)).kind for _ in range(5)]
    assert found == ["ok"] * 4 + ["rate_limit_tokens"]


def test_without_a_key_that_is_known_nobody_is_served() -> None:
    told = config(auth=Auth(keys=("right",)).model_dump())
    assert kinds(told, [call(key="right"), call(key="wrong"), call(key="")]) == ["ok", "auth", "auth"]


def test_a_token_that_holds_is_as_good_as_a_key() -> None:
    told = config(auth={"keys": []})
    decides = decide.Decider(told, lambda: 0.0, 0.0, lambda token: token == "given")
    assert decides.decide(call(key="given"), answered(call())).kind == "ok"
    assert decides.decide(call(key="gone"), answered(call())).source == "auth"


def test_latencies_are_those_of_the_call_in_each_attempt() -> None:
    told = config(latency={"ttft": {"median_s": 0.1, "p99_s": 1}, "itl": {"median_s": 0.01, "p99_s": 0.1}})
    decides = decider(told)
    drawn = {decides.decide(each, answered(each)).ttft_s for each in (call(attempt=1), call(attempt=2))}
    assert len(drawn) == 1
    assert decides.decide(call("other"), answered(call())).ttft_s not in drawn


def test_under_load_answers_get_slower_up_to_the_factor() -> None:
    told = config(
        latency={"ttft": {"median_s": 0.1}, "under_load": {"factor": 3, "concurrency": 11}},
    )
    decides = decider(told)
    times = [decides.decide(call(), answered(call()), in_work).ttft_s for in_work in (1, 6, 11, 50)]
    assert times == pytest.approx([0.1, 0.2, 0.3, 0.3])


def test_a_change_of_latency_refills_no_quota_and_a_change_of_quota_does() -> None:
    told = config(quota={"rpm": 1, "burst": 1})
    decides = decider(told)
    decides.decide(call(), answered(call()))
    decides.change(told.model_copy(update={"seed": 5}))
    assert decides.decide(call(), answered(call())).source == "quota"
    decides.change(config(quota={"rpm": 1, "burst": 2}))
    assert decides.decide(call(), answered(call())).kind == "ok"


def test_a_fault_that_is_added_resets_no_count_of_the_others() -> None:
    told = config({"kind": "overloaded", "times": 1})
    decides = decider(told)
    assert decides.decide(call(), answered(call())).kind == "overloaded"
    added = FaultRule(kind="auth", times=1)
    decides.change(told.model_copy(update={"faults": (*told.faults, added)}))
    assert decides.decide(call(), answered(call())).kind == "auth"
    decides.change(told)
    assert decides.decide(call(), answered(call())).kind == "overloaded"


def test_keys_without_number_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "KEYS_KEPT", 10)
    monkeypatch.setattr(decide, "MOST_KEYS", 20)
    decides = decider(config(quota={"rpm": 1, "burst": 1}))
    for n in range(50):
        decides.decide(call(key=str(n)), answered(call()))
    assert len(decides._buckets) == 20


def test_a_drained_key_stays_so_whoever_else_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "KEYS_KEPT", 10)
    clock = FakeClock()
    decides = decider(config(quota={"rpm": 60, "burst": 60}), clock.now)
    for _ in range(60):
        decides.decide(call(key="drained"), answered(call()))
    for n in range(200):
        clock.advance(0.1 if n < 20 else 0)
        decides.decide(call(key=str(n)), answered(call()))
    assert len(decides._buckets) < 200
    seen = [decides.decide(call(key="drained"), answered(call())).kind for _ in range(3)]
    assert seen == ["ok", "ok", "rate_limit_requests"]  # two seconds' worth


def test_times_and_a_probability_together_are_refused() -> None:
    with pytest.raises(ValueError, match="who comes first"):
        FaultRule(kind="overloaded", times=2, probability=0.5)


def test_every_kind_of_fault_can_be_decided() -> None:
    for kind in REGISTRY:
        assert kinds(config({"kind": kind}), [call(stream=True)]) == [kind]
