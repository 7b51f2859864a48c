"""From blocks to a verdict: guards first, then the looks."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.gate.blocks import (
    ANSWER,
    ANSWERS_AT_LIMIT,
    ATTEMPTS,
    CALLS,
    CPU,
    ERRORS,
    MEASURES,
    P50,
    P99,
    PER_REQUEST_AT_LIMIT,
    SHORT_ANSWER,
    TOKENS,
    TOOL_CALLS,
    TTFT_P50,
    TTFT_P99,
    Block,
    Measure,
    Side,
)
from harness.gate.decide import GateDecision, GateVerdict, decide
from harness.gate.tolerances import parse_tolerances


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
    full_pairs: int = 0,
    hiccups: float = 0.0,
    scenario: str = "steady",
    seed: int = 1,
) -> list[Block]:
    """Pairs in which head's figure is `head` times base's.

    The load is late in both blocks of `late_pairs`; head fills the machine in `full_pairs`. A share `hiccups`
    of all blocks has 54 errors more.
    """
    rng = np.random.default_rng(seed)
    made = []
    for pair in range(1, pairs + 1):
        common = rng.normal(0, 0.1)
        for side, ratio, always in ((Side.BASE, 1.0, base_errors), (Side.HEAD, head, head_errors)):
            errors = always + 54 * bool(rng.random() < hiccups)
            figures = {
                each.name: 100
                * np.exp(common + rng.normal(0, noise))
                * (ratio if each.name == measure else 1)
                for each in MEASURES
                if each not in {TTFT_P99, TTFT_P50}  # of agents that stream
            }
            figures[ERRORS.name] = requests / (requests - errors)
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
                    cpu_utilisation=0.97 if side is Side.HEAD and pair <= full_pairs else 0.4,
                )
            )
    return made


def verdict(decision: GateDecision) -> GateVerdict:
    return decision.verdict


def test_no_difference_passes_at_the_first_look() -> None:
    decision = decide(blocks())
    assert decision.verdict is GateVerdict.PASS
    assert decision.reasons == ()
    assert {finding.measure for finding in decision.findings} == set(MEASURES) - {TTFT_P99, TTFT_P50}


def test_a_slower_head_fails_with_its_ratio() -> None:
    assert decide(blocks(3, head=1.3)).verdict is GateVerdict.GO_ON
    decision = decide(blocks(16, head=1.3))
    assert decision.verdict is GateVerdict.FAIL
    assert decision.reasons[0].startswith("steady: p99 is 1.29 times base's (between 1.27 and 1.33)")


def test_what_is_beyond_doubt_fails_at_the_first_look() -> None:
    decision = decide(blocks(3, head=6654 / 39.8))
    assert decision.verdict is GateVerdict.FAIL
    assert decision.reasons[0].endswith("times base's, and far above in each of 3 pairs")


def test_a_machine_whose_own_blocks_differ_by_as_much_is_no_ground_for_a_red_build_after_three_pairs() -> (
    None
):
    base, head = (0.62, 1.0, 1.35), (1.1, 1.75, 2.4)

    def restless(block: Block) -> Block:
        factor = (head if block.side is Side.HEAD else base)[block.pair - 1]
        return replace(block, figures={**block.figures, P99.name: 100.0 * factor})

    assert decide([restless(each) for each in blocks(3)]).verdict is GateVerdict.GO_ON


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, -1.0])
def test_a_figure_that_is_no_number_above_nothing_is_none(wrong: float) -> None:
    made = blocks(8)
    made[3] = replace(made[3], figures={**made[3].figures, P50.name: wrong})
    decision = decide(made)
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "p50 could not be compared" in decision.reasons[0]


@pytest.mark.parametrize("ratio", [1.10, 1.15, 1.18])
def test_what_is_proved_to_be_slower_is_never_green(ratio: float) -> None:
    told = [decide(blocks(pairs, head=ratio, noise=0.002)).verdict for pairs in (8, 16, 24)]
    assert GateVerdict.PASS not in told
    assert GateVerdict.FAIL in told


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


@pytest.mark.parametrize("pairs", [3, 8])
def test_a_head_that_fails_requests_fails_whatever_its_latencies_are(pairs: int) -> None:
    decision = decide(blocks(pairs, head=0.5, head_errors=100))
    assert decision.verdict is GateVerdict.FAIL
    of = pairs * 500
    assert f"head failed {of // 5} of {of} requests (20.0%), base 0 of {of}" in decision.reasons[0]
    assert "See the logs of head's agents" in decision.reasons[0]


def test_one_pair_is_enough_for_what_fails_a_fifth_of_its_requests_and_not_for_a_hiccup() -> None:
    assert decide(blocks(1, head_errors=72, requests=360), (1,)).verdict is GateVerdict.FAIL
    assert decide(blocks(1, head_errors=34, requests=360), (1,)).verdict is GateVerdict.INCONCLUSIVE


def test_a_head_that_fails_one_request_in_thirty_fails() -> None:
    decision = decide(blocks(16, head_errors=17))
    assert decision.verdict is GateVerdict.FAIL
    assert "head failed 272 of 8000 requests (3.4%)" in decision.reasons[0]


def test_a_few_errors_more_are_fine() -> None:
    assert decide(blocks(16, head_errors=2)).verdict is GateVerdict.PASS


def failing_in(pairs: Collection[int], made: list[Block], *, sides: Collection[Side]) -> list[Block]:
    """Let all requests but 299 fail in some blocks."""
    return [
        replace(
            block,
            errors=block.requests - 299,
            successes=299,
            figures={**block.figures, ERRORS.name: block.requests / 299},
        )
        if block.pair in pairs and block.side in sides
        else block
        for block in made
    ]


def test_a_head_that_fails_nearly_all_in_one_block_of_sixteen_is_not_green() -> None:
    decision = decide(failing_in({5}, blocks(16, requests=4000), sides={Side.HEAD}))
    assert decision.verdict is GateVerdict.GO_ON
    decision = decide(failing_in({5, 9}, blocks(24, requests=4000), sides={Side.HEAD}))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert (
        "head failed 7402 of 96000 requests (7.7%), base 0 of 96000 (0.0%), in few blocks"
        in decision.reasons[0]
    )


def test_a_block_of_each_side_that_fails_is_nobodys_doing() -> None:
    assert decide(failing_in({5}, blocks(24, requests=4000), sides=set(Side))).verdict is GateVerdict.PASS


def test_a_machine_that_fails_requests_of_both_sides_alike_is_no_regression() -> None:
    verdicts = [
        decide(blocks(pairs, hiccups=0.1, seed=seed, requests=560)).verdict
        for seed in range(100)
        for pairs in (3, 8, 16, 24)
    ]
    assert GateVerdict.FAIL not in verdicts


def test_a_base_that_fails_is_nothing_to_compare_with() -> None:
    decision = decide(blocks(base_errors=100, head_errors=100))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "Choose a base that works" in decision.reasons[0]


def test_a_head_that_fails_even_more_than_a_base_that_fails_has_failed() -> None:
    assert decide(blocks(base_errors=50, head_errors=250)).verdict is GateVerdict.FAIL


def test_too_few_samples_are_never_green() -> None:
    decision = decide(blocks(requests=200))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "200 successes, a p99 needs 299" in decision.reasons[0]


def test_a_harness_in_the_way_is_waited_out_and_then_unknown() -> None:
    assert decide(blocks(8, head=1.5, late_pairs=4)).verdict is GateVerdict.GO_ON
    decision = decide(blocks(24, head=1.5, late_pairs=12))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "in 12 of 24 blocks of base and 12 of head" in decision.reasons[0]
    assert {each.measure for each in decision.findings} == {ATTEMPTS, CALLS, TOKENS, ERRORS}


def test_a_head_that_fills_a_machine_on_which_base_runs_freely_has_failed() -> None:
    decision = decide(blocks(3, head=12.0, full_pairs=3))
    assert decision.verdict is GateVerdict.FAIL
    assert decision.reasons[0].startswith("steady: p99 is ")
    assert "head filled the machine, or made the load late, in 3 of 3 blocks" in decision.reasons[1]
    assert "it had 97% of the cores in the median" in decision.reasons[1]


def test_a_head_that_fills_the_machine_and_is_not_slower_is_unknown() -> None:
    assert decide(blocks(8, full_pairs=8)).verdict is GateVerdict.GO_ON
    assert decide(blocks(24, full_pairs=24)).verdict is GateVerdict.UNKNOWN


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


def without(measure: Measure, made: list[Block], *, sides: Collection[Side], pairs: int) -> list[Block]:
    """Take a figure from the first `pairs` blocks of `sides`."""
    return [
        replace(block, figures={name: each for name, each in block.figures.items() if name != measure.name})
        if block.side in sides and block.pair <= pairs
        else block
        for block in made
    ]


@pytest.mark.parametrize("measure", [P99, PER_REQUEST_AT_LIMIT, ATTEMPTS])
@pytest.mark.parametrize("pairs", [1, 8])
def test_a_figure_that_some_blocks_lack_is_unknown(measure: Measure, pairs: int) -> None:
    decision = decide(without(measure, blocks(), sides={Side.HEAD}, pairs=pairs))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert decision.reasons == (
        f"steady: {measure.name} could not be compared: {pairs} of head of 8 blocks each have none.",
    )
    assert measure not in {each.measure for each in decision.findings}


def test_what_else_is_worse_is_found_all_the_same() -> None:
    lacking = without(PER_REQUEST_AT_LIMIT, blocks(16, head=1.4), sides={Side.HEAD}, pairs=2)
    assert decide(lacking).verdict is GateVerdict.FAIL


def test_a_figure_that_was_not_asked_for_is_not_missed() -> None:
    decision = decide(without(ATTEMPTS, blocks(), sides=set(Side), pairs=8))
    assert decision.verdict is GateVerdict.PASS


def test_a_request_that_never_ended_is_never_green() -> None:
    decision = decide([replace(block, lost=int(block.pair == 1)) for block in blocks()])
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "1 requests to base were planned and never ended" in decision.reasons[0]


def test_no_block_is_no_ground_for_a_verdict() -> None:
    with pytest.raises(ValueError, match="no block"):
        decide([])


def test_nothing_changed_does_not_cry_wolf() -> None:
    calls = [
        next(
            (
                v
                for n in (3, 8, 16, 24)
                if (v := decide(blocks(n, noise=0.08, seed=seed)).verdict) is not GateVerdict.GO_ON
            ),
            GateVerdict.GO_ON,
        )
        for seed in range(100)
    ]
    assert calls.count(GateVerdict.FAIL) == 0
    assert calls.count(GateVerdict.PASS) >= 95


@pytest.mark.parametrize("measure", [ATTEMPTS, CALLS, TOKENS])
def test_what_is_counted_is_compared_however_full_the_machine_is(measure: Measure) -> None:
    decision = decide(blocks(8, head=1.5, measure=measure.name, late_pairs=8))
    assert decision.verdict is GateVerdict.FAIL
    assert measure.name in decision.reasons[0]
    assert {each.measure for each in decision.findings} == {ATTEMPTS, CALLS, TOKENS, ERRORS}
    failing = decide(blocks(8, head=1.5, measure=measure.name, late_pairs=8, base_errors=100))
    assert {each.measure for each in failing.findings} == {ERRORS}


def doing(head: float, measure: Measure, base: float = 60.0) -> list[Block]:
    """Blocks of head whose figure of work is `head` times base's `base`, in each the same."""
    return [
        replace(each, figures={**each.figures, measure.name: base * (head if each.side is Side.HEAD else 1)})
        for each in blocks()
    ]


@pytest.mark.parametrize("measure", [CALLS, TOKENS, TOOL_CALLS, ANSWER, SHORT_ANSWER, ANSWERS_AT_LIMIT])
def test_a_head_that_does_less_is_told_so_wherever_it_is_green(measure: Measure) -> None:
    decision = decide(doing(0.75, measure))
    assert decision.verdict is GateVerdict.PASS
    (change,) = decision.changes
    assert change.less
    assert f"steady: head does less: {measure.name} 45 against base's 60" in decision.reasons[0]


def test_a_head_that_leaves_out_all_tool_calls_is_told_so() -> None:
    decision = decide(doing(0.0, TOOL_CALLS, base=1.0))
    assert decision.reasons == ("steady: head does less: tool calls per request 0 against base's 1",)


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (ANSWER, "these are other answers, or parts of them"),
        (SHORT_ANSWER, "these are other answers, or parts of them"),
        (ANSWERS_AT_LIMIT, "most of what comes at once is turned away"),
    ],
)
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.45])
def test_answers_that_are_far_shorter_or_fewer_are_not_green(
    measure: Measure, said: str, ratio: float
) -> None:
    decision = decide(doing(ratio, measure))
    assert decision.verdict is GateVerdict.UNKNOWN
    assert said in decision.guards[0].said
    (asked,) = re.findall(r"--tolerance (\S+)\.", decision.guards[0].said)
    meant = decide(doing(ratio, measure), tolerances=parse_tolerances([asked]))
    assert meant.verdict is GateVerdict.PASS
    assert meant.changes


def test_chance_at_the_limit_is_told_of_nobody() -> None:
    """Of answers that differ by chance, all pairs but one may well have fewer."""
    made = [
        replace(each, figures={**each.figures, ANSWERS_AT_LIMIT.name: 61.0})
        if each.side is Side.HEAD and each.pair == 8
        else each
        for each in doing(0.75, ANSWERS_AT_LIMIT)
    ]
    assert decide(made).changes == ()
    assert decide([each for each in made if each.pair < 8], looks=(7,)).changes


def test_longer_answers_are_told_and_more_calls_fail_by_themselves() -> None:
    longer = decide(doing(1.3, ANSWER))
    assert longer.verdict is GateVerdict.PASS
    assert longer.reasons == ("steady: head does more: answer length 78 against base's 60 characters",)
    more = decide(doing(1.5, CALLS))
    assert more.verdict is GateVerdict.FAIL
    assert more.changes == ()


def test_the_same_work_but_for_a_little_is_no_change() -> None:
    assert decide(doing(0.97, ANSWER)).changes == ()


def test_of_a_base_that_fails_no_work_is_compared() -> None:
    made = [replace(each, errors=200) if each.side is Side.BASE else each for each in doing(0.1, ANSWER)]
    assert decide(made).changes == ()


@pytest.mark.parametrize("lost", [P99, P50, ERRORS])
def test_blocks_that_lack_a_figure_which_each_has_are_not_green(lost: Measure) -> None:
    made = [
        replace(each, figures={name: figure for name, figure in each.figures.items() if name != lost.name})
        for each in blocks()
    ]
    decision = decide(made)
    assert decision.verdict is GateVerdict.UNKNOWN
    assert f"no block has a {lost.name}" in decision.reasons[0]


def refused(made: Sequence[Block], base: int, head: int) -> list[Block]:
    """Blocks in which so many requests more failed since the model refused them for good."""
    found = []
    for each in made:
        many = base if each.side is Side.BASE else head
        figures = {**each.figures, ERRORS.name: each.requests / (each.requests - many)}
        found.append(replace(each, refused=many, figures=figures))
    return found


def test_what_the_model_refuses_for_good_fails_base_and_head_alike() -> None:
    assert decide(refused(blocks(), 50, 50)).verdict is GateVerdict.PASS


def test_a_head_that_no_longer_asks_elsewhere_when_the_model_refuses_fails() -> None:
    decision = decide(refused(blocks(), 0, 50))
    assert decision.verdict is GateVerdict.FAIL
    assert "head failed 400 of 4000 requests (10.0%), base 0 of 4000" in decision.reasons[0]
