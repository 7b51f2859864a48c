"""From blocks to a verdict: guards first, then the looks."""

import numpy as np
import pytest

from harness.gate.blocks import CPU, MEASURES, P99, Block, Side
from harness.gate.decide import GateDecision, GateVerdict, decide


def blocks(
    pairs: int = 8,
    *,
    head: float = 1.0,
    measure: str = P99.name,
    noise: float = 0.03,
    head_errors: int = 0,
    base_errors: int = 0,
    requests: int = 500,
    late_pairs: int = 0,
    scenario: str = "steady",
    seed: int = 1,
) -> list[Block]:
    """Pairs in which head's figure is `head` times base's."""
    rng = np.random.default_rng(seed)
    made = []
    for pair in range(1, pairs + 1):
        common = rng.normal(0, 0.1)
        for side, ratio, errors in ((Side.BASE, 1.0, base_errors), (Side.HEAD, head, head_errors)):
            figures = {
                each.name: 100
                * np.exp(common + rng.normal(0, noise))
                * (ratio if each.name == measure else 1)
                for each in MEASURES
            }
            made.append(
                Block(
                    scenario=scenario,
                    pair=pair,
                    side=side,
                    first=side is Side.BASE,
                    start_s=0.0,
                    requests=requests,
                    errors=errors,
                    successes=requests - errors,
                    figures=figures,
                    lateness_p99_ms=200.0 if pair <= late_pairs else 1.0,
                    cpu_utilisation=0.4,
                )
            )
    return made


def verdict(decision: GateDecision) -> GateVerdict:
    return decision.verdict


def test_no_difference_passes_at_the_first_look() -> None:
    decision = decide(blocks())
    assert decision.verdict is GateVerdict.PASS
    assert decision.reasons == ()
    assert {finding.measure for finding in decision.findings} == set(MEASURES)


def test_a_slower_head_fails_at_the_second_with_its_ratio() -> None:
    assert decide(blocks(head=1.3)).verdict is GateVerdict.GO_ON
    decision = decide(blocks(16, head=1.3))
    assert decision.verdict is GateVerdict.FAIL
    assert decision.reasons[0].startswith("steady: p99 is 1.28 times base's")


def test_any_figure_can_fail() -> None:
    decision = decide(blocks(16, head=1.4, measure=CPU.name))
    assert decision.verdict is GateVerdict.FAIL
    assert "cpu per request" in decision.reasons[0]


def test_a_faster_head_passes() -> None:
    assert decide(blocks(head=0.5)).verdict is GateVerdict.PASS


def test_what_can_be_neither_at_the_end_is_inconclusive_and_says_so() -> None:
    decision = decide(blocks(24, head=1.12, noise=0.3))
    assert decision.verdict is GateVerdict.INCONCLUSIVE
    assert "may or may not be slower" in decision.reasons[0]


def test_a_head_that_fails_requests_fails_whatever_its_latencies_are() -> None:
    decision = decide(blocks(head=0.5, head_errors=100))
    assert decision.verdict is GateVerdict.FAIL
    assert "head failed 800 of 4000 requests (20.0%), base 0 of 4000" in decision.reasons[0]


def test_a_few_errors_more_are_chance() -> None:
    assert decide(blocks(head_errors=2)).verdict is GateVerdict.PASS


def test_a_base_that_fails_is_nothing_to_compare_with() -> None:
    decision = decide(blocks(base_errors=100, head_errors=100))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "Choose a base that works" in decision.reasons[0]


def test_too_few_samples_are_never_green() -> None:
    decision = decide(blocks(requests=200))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "200 successes, a p99 needs 299" in decision.reasons[0]


def test_a_harness_in_the_way_is_waited_out_and_then_unknown() -> None:
    assert decide(blocks(8, head=1.5, late_pairs=4)).verdict is GateVerdict.GO_ON
    decision = decide(blocks(24, head=1.5, late_pairs=12))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "in 12 of 24 pairs" in decision.reasons[0]


def test_a_few_blurred_pairs_do_not_matter() -> None:
    assert decide(blocks(8, late_pairs=2)).verdict is GateVerdict.PASS


def test_one_bad_scenario_is_enough() -> None:
    mixed = [*blocks(16), *blocks(16, head=1.4, scenario="tools")]
    decision = decide(mixed)
    assert decision.verdict is GateVerdict.FAIL
    assert [reason.partition(":")[0] for reason in decision.reasons] == ["tools"]


def test_a_scenario_that_cannot_be_judged_keeps_the_whole_from_being_green() -> None:
    mixed = [*blocks(8), *blocks(8, requests=100, scenario="tools")]
    assert decide(mixed).verdict is GateVerdict.UNKNOWN


def test_a_figure_that_one_side_lacks_is_left_out() -> None:
    without = [
        Block(**{**{f: getattr(b, f) for f in b.__slots__}, "figures": {P99.name: b.figures[P99.name]}})
        if b.side is Side.HEAD
        else b
        for b in blocks()
    ]
    assert [finding.measure for finding in decide(without).findings] == [P99]


def test_no_block_is_no_ground_for_a_verdict() -> None:
    with pytest.raises(ValueError, match="no block"):
        decide([])


def test_nothing_changed_does_not_cry_wolf() -> None:
    calls = [
        next(
            (
                v
                for n in (8, 16, 24)
                if (v := decide(blocks(n, noise=0.08, seed=seed)).verdict) is not GateVerdict.GO_ON
            ),
            GateVerdict.GO_ON,
        )
        for seed in range(100)
    ]
    assert calls.count(GateVerdict.FAIL) == 0
    assert calls.count(GateVerdict.PASS) >= 95
