"""How often the gate is right, in small; `tests/proof/gate_simulated.py` has its whole characteristic."""

import numpy as np
import pytest

from harness.gate.blocks import ERRORS, Block, Side
from harness.gate.decide import GateVerdict, decide
from harness.gate.error_rates import Figure, Rates, error_rates
from harness.gate.statistics import LOOKS, Tolerance
from tests.proof.gate_simulated import FIGURES, NOISES, REQUESTS, RESTLESS, SECOND, Drawn, drawn

DECISIONS = 1000
CHANCE = 0.005
"""What so few decisions may be off a rate of 1 %, at most: a little over 1.5 standard errors."""


def found(ratio: float, noise: float, **kind: float) -> Rates:
    return drawn(np.random.default_rng(1), DECISIONS, ratio=ratio, noise=noise, **kind).rates


@pytest.mark.parametrize("hiccups", [False, True])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("noise", NOISES)
def test_what_is_the_same_or_fine_fails_at_most_once_in_a_hundred(
    noise: float, *, heavy: bool, hiccups: bool
) -> None:
    for ratio, all_worse in ((1.0, False), (1.05, False), (1.05, True)):
        seen = found(ratio, noise, heavy=heavy, hiccups=hiccups, all_worse=all_worse)
        assert seen.failed <= 0.01 + CHANCE
        assert seen.unsound == 0


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("noise", RESTLESS)
def test_on_a_restless_machine_three_gross_pairs_are_no_proof(noise: float, *, heavy: bool) -> None:
    seen = found(1.0, noise, heavy=heavy)
    assert seen.failed <= 0.01 + CHANCE
    assert seen.unsound == 0


def test_on_a_calm_machine_twice_as_slow_is_found_in_three_pairs() -> None:
    for noise in NOISES[:3]:
        seen = found(2.0, noise)
        assert seen.failed == 1
        assert seen.pairs < 3.1


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("ratio", [1.20, 1.30])
def test_what_nobody_should_ship_seldom_passes(ratio: float, noise: float) -> None:
    seen = found(ratio, noise)
    assert seen.passed <= 0.025
    assert seen.unsound == 0


@pytest.mark.parametrize("noise", [each for each in NOISES if each <= 0.05])
def test_on_a_machine_that_is_quiet_enough_it_is_found(noise: float) -> None:
    assert found(1.20, noise, hiccups=True).failed >= 0.9


@pytest.mark.parametrize("ratio", [1.10, 1.15])
def test_the_quieter_the_machine_the_surer_a_small_slow_down_is_found(ratio: float) -> None:
    failed = [found(ratio, noise).failed for noise in NOISES]
    assert failed == sorted(failed, reverse=True)
    assert failed[0] >= 0.99


@pytest.mark.parametrize("noise", NOISES[:-1])
def test_what_is_the_same_passes(noise: float) -> None:
    assert found(1.0, noise).passed >= 0.95


@pytest.mark.parametrize("noise", NOISES[:-1])
def test_what_the_second_block_pays_is_not_taken_for_heads(noise: float) -> None:
    seen = found(1.0, noise, second=SECOND)
    assert seen.failed <= 0.01 + CHANCE
    assert found(1.20, noise, second=SECOND).passed <= 0.025


def test_a_head_whose_starts_are_bad_at_times_passes_only_where_none_was_seen() -> None:
    seen = found(1.0, 0.02, bad_starts=0.2, bad_fails=1.0)
    assert seen.passed == pytest.approx(0.8**8, abs=0.04)


def blocks_of(made: Drawn, decision: int, pairs: int) -> list[Block]:
    """The blocks that a decision was drawn for."""
    blocks = []
    for pair in range(pairs):
        for number, side in enumerate(Side):
            failed = int(made.failed[decision, number, pair])
            z = made.middles[decision, :, pair] + made.z[decision, :, pair] * (number - 0.5)
            figures = {each.name: 100 * np.exp(z[n]) for n, each in enumerate(FIGURES)}
            # As if a part with a floor were so many times as long with it.
            figures = {each.name: figures[each.name] - each.floor for each in FIGURES}
            figures[ERRORS.name] = REQUESTS / max(REQUESTS - failed, 1)
            blocks.append(
                Block(
                    scenario="steady",
                    pair=pair + 1,
                    side=side,
                    first=False,
                    start_s=0.0,
                    requests=REQUESTS,
                    errors=failed,
                    successes=REQUESTS,
                    figures=figures,
                    lateness_p99_ms=1.0,
                    cpu_utilisation=0.4,
                )
            )
    return blocks


@pytest.mark.parametrize(
    "kind",
    [
        {"noise": 0.05},
        {"noise": 0.1, "ratio": 1.15},
        {"noise": 0.02, "bad_starts": 0.2, "bad_fails": 0.5},
        {"noise": 0.02, "hiccups": True, "second": SECOND},
    ],
)
def test_what_is_simulated_is_what_the_gate_decides(kind: dict[str, float]) -> None:
    made = drawn(np.random.default_rng(3), 12, **kind)
    called = []
    for number in range(12):
        for look in LOOKS:
            decision = decide(blocks_of(made, number, look))
            if decision.verdict is not GateVerdict.GO_ON:
                break
        called.append((decision.verdict, decision.pairs))
    simulated = made.rates
    assert simulated.failed * 12 == pytest.approx(sum(call is GateVerdict.FAIL for call, _ in called))
    assert simulated.passed * 12 == pytest.approx(sum(call is GateVerdict.PASS for call, _ in called))
    assert simulated.pairs == pytest.approx(np.mean([pairs for _, pairs in called]))


def test_a_wider_tolerance_lets_more_pass_and_finds_less() -> None:
    usual, wide = (
        error_rates([Figure(tolerance=Tolerance(fine=fine, bad=bad, gross=2.0), noise=0.08)], decisions=400)
        for fine, bad in ((1.05, 1.20), (1.20, 1.50))
    )
    assert usual.false_alarms <= 0.01
    assert wide.greens >= usual.greens
    assert wide.found < usual.found
    assert usual.missed is not None
    assert usual.missed <= 0.05


def test_of_a_figure_that_is_not_bounded_nothing_is_missed() -> None:
    restless = Tolerance(fine=1.25, bad=float("inf"), gross=4.0)
    assert error_rates([Figure(tolerance=restless, noise=0.1)], decisions=100).missed is None


def test_without_a_figure_there_are_no_rates() -> None:
    with pytest.raises(ValueError, match="there is no figure"):
        error_rates([])
