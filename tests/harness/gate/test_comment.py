"""What the gate says on a pull request."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from harness.errors import ExitCode
from harness.gate.blocks import (
    ANSWER,
    ATTEMPTS,
    CALLS,
    CPU,
    P99,
    PER_REQUEST_AT_LIMIT,
    RSS,
    Block,
    Measure,
    Side,
)
from harness.gate.comment import Told, of_failure, title, to_comment
from harness.gate.decide import GateDecision, GateVerdict, decide
from harness.gate.parts import SESSION
from harness.gate.result import scenario_result
from harness.gate.statistics import LOOKS
from harness.gate.tolerances import parse_tolerances
from harness.outside.secrets import forget, remember
from harness.report.jaeger_page import JaegerPage
from tests.harness.gate.test_decide import blocks, doing
from tests.harness.gate.test_parts import arm_of, with_part
from tests.harness.histories import Arm

LABELS = {Side.BASE: "main (0123456789)", Side.HEAD: "abcdef0123"}
ROW = re.compile(
    r"^\| (?P<name>[^|]+) \| (?P<base>[^|]+) \| (?P<head>[^|]+) \| (?P<ratio>[^|]+) \| (?P<call>[^|]+) \|$"
)


def comment(
    decision: GateDecision, *, page: JaegerPage | None = None, arms: Mapping[Side, Arm] | None = None
) -> str:
    histories = {side: arm.history() for side, arm in (arms or dict.fromkeys(Side, arm_of(120))).items()}
    scenario = scenario_result("steady", decision, histories, labels=LABELS)
    told = Told(
        labels={str(side): label for side, label in LABELS.items()},
        again="agentrig gate --base 0123456789 --head abcdef0123",
        requests=500,
        took_s=125.0,
        version="0.1.0",
        looks=LOOKS,
        page=page,
    )
    return to_comment(decision, [scenario], told)


def rows(text: str) -> dict[str, dict[str, str]]:
    found = (ROW.match(line) for line in text.splitlines())
    return {row["name"]: row.groupdict() for row in found if row and row["base"] != "---"}


@pytest.mark.parametrize(
    ("made", "head", "said"),
    [
        (blocks(), "✅", "head is not worse in any of 10 figures; p99 is 0.979"),
        (blocks(16, head=1.3), "❌", "head is worse: p99 is 1.295 times base's ("),
        (blocks(8, head_errors=100, head=5.0), "❌", "head fails more requests: head failed 800 of 4000"),
        (blocks(24, head=1.12, noise=0.3), "❔", "can't tell: p99"),
        (blocks(8, base_errors=100), "❔", "can't tell: base failed 800 of 4000"),
    ],
)
def test_the_verdict_is_one_line_errors_before_times(made: Sequence[Block], head: str, said: str) -> None:
    first = comment(decide(made)).splitlines()[0]
    assert first.startswith(f"## {head} agentrig gate: ")
    assert said in first.replace("\\", "")


def test_base_head_and_ratio_of_a_row_agree() -> None:
    text = comment(decide(blocks(24, head=1.25, noise=0.2)))
    compared = rows(text)
    assert {"requests that failed", "p99", "p50"} <= compared.keys()
    for name, row in compared.items():
        if name == "requests that failed":
            continue
        base, after = (float(row[side].split()[0]) for side in ("base", "head"))
        assert after / base == pytest.approx(float(row["ratio"].split()[0]), rel=0.01), name


def test_errors_stand_first_then_what_is_worse() -> None:
    made = with_part(blocks(16, head=1.4, measure=ATTEMPTS.name), SESSION.name, 3.0, 15.0)
    names = list(rows(comment(decide(made))))
    assert names[0] == "requests that failed"
    assert set(names[1:3]) == {ATTEMPTS.name, SESSION.name}
    assert {"p99", "p50"} <= set(names[3:5])


def test_a_figure_with_a_floor_says_so() -> None:
    text = comment(decide(with_part(blocks(16), SESSION.name, 3.0, 15.0)))
    assert "2.345†" in text
    assert "† 5 ms are added to both before they are divided." in text


def test_it_names_a_slow_trace_and_a_typical_one_and_how_to_repeat_it() -> None:
    page = JaegerPage(url="http://jaeger:16686", from_s=0.0, until_s=1.0)
    text = comment(decide(blocks(16, head=1.3)), page=page)
    assert "- a slow trace of head: [`" in text
    assert "- a typical trace of base: [`" in text
    assert "http://jaeger:16686/trace/" in text
    assert "Again: `agentrig gate --base 0123456789 --head abcdef0123`" in text


def loading(*, more_s: float) -> Arm:
    """Return an arm of which one session load in twenty takes so much longer."""
    arm = Arm(limit=8)
    for number in range(120):
        longer_s = more_s if number % 20 == 0 else 0.0
        arm.request(due_s=number * 1.0, end_s=number + 0.1 + 1e-5 * number + longer_s)
        arm.span("session.load", number + 0.01, number + 0.02 + longer_s)
    return arm


def test_it_names_the_part_that_grew_among_the_slowest_and_none_where_none_did() -> None:
    decision, base = decide(blocks(16, head=1.3)), loading(more_s=0.0)
    grown = comment(decision, arms={Side.BASE: base, Side.HEAD: loading(more_s=0.012)})
    assert "- above p99, session took 12 ms more than in base" in grown.splitlines()
    assert "more than in base" not in comment(decision, arms={Side.BASE: base, Side.HEAD: base})


def test_it_says_how_noisy_it_was_and_how_often_it_is_wrong() -> None:
    text = comment(decide(blocks(16, noise=0.04, head=1.3)))
    told = re.search(r"moved by (?P<noise>[\d.]+)% here", text)
    assert told is not None
    assert float(told["noise"]) == pytest.approx(4 * 2**0.5, abs=2.0)
    assert "fails a head that is the same in" in text
    assert "is not the usual one" not in text


def test_tolerances_of_ones_own_are_told_with_what_they_do() -> None:
    text = comment(decide(blocks(16, head=1.3), tolerances=parse_tolerances(["p99=1.5:2.0"])))
    assert text.startswith("## ✅")
    assert "The tolerance of p99 is not the usual one." in text
    assert "Up to 1.5 times is fine." in text


def test_what_comes_from_outside_is_text() -> None:
    text = of_failure(
        "head: it says\n``` ```\n@everyone <b>", ExitCode.NOT_STARTED, side="head", again="a `b`", version="1"
    )
    lines = text.splitlines()
    assert lines[2] == lines[6] == "````"
    assert "Again: `a b`" in text


def test_a_long_log_is_cut_in_its_middle() -> None:
    message = "\n".join(f"line {number}" for number in range(500))
    text = of_failure(message, ExitCode.NOT_STARTED, side=None, again=None, version="1")
    assert "... 460 lines ..." in text
    assert "line 499" in text
    assert len(text.splitlines()) < 60


def test_a_long_line_is_cut_and_takes_no_part_of_a_secret_along() -> None:
    message = f"head: {'x' * 380} s3cr3t-of-the-agent\n{'y' * 90_000}\nend"
    remember(["s3cr3t-of-the-agent"])
    try:
        text = of_failure(message, ExitCode.NOT_STARTED, side="head", again="a\n# b", version="1")
    finally:
        forget()
    lines = text.splitlines()
    assert len(text) < 3000
    assert "xxx" in lines[0]
    assert "s3cr" not in lines[0]
    assert lines[2] == lines[6] == "```"
    assert "Again: `a # b`" in text


@pytest.mark.parametrize(
    ("code", "side", "said"),
    [
        (ExitCode.BAD_INPUT, None, "what was given is wrong"),
        (ExitCode.NOT_STARTED, "base", "no verdict: base (main) did not start"),
        (ExitCode.OWN_FAULT, None, "agentrig itself failed"),
        (ExitCode.INTERRUPTED, None, "it was interrupted"),
    ],
)
def test_each_other_end_is_told_in_one_line(code: ExitCode, side: str | None, said: str) -> None:
    message = "base (main) did not start: agent-1 ended\n  | no key"
    first = of_failure(message, code, side=side, again=None, version="1").splitlines()[0]
    assert first.startswith("## 🚫 agentrig gate: ")
    assert said in first


def test_where_nothing_was_compared_the_title_says_so() -> None:
    nothing = GateDecision(verdict=GateVerdict.UNKNOWN, reasons=(), findings=(), pairs=3)
    assert title(nothing) == "can't tell: no figure could be compared"
    assert "no figure could be compared" in comment(nothing).splitlines()[0]


def test_a_title_of_errors_counts_what_else_is_worse() -> None:
    assert title(decide(blocks(8, head_errors=100, head=5.0))).endswith("and 1 more")
    assert P99.name not in title(decide(blocks(8, head_errors=100)))


def test_that_head_does_less_stands_in_the_line_of_a_green_gate_and_in_the_report() -> None:
    decision = decide(doing(0.5, CALLS, base=2.0))
    assert "but does less: model calls per request 1 against base's 2; p99 is" in title(decision)
    assert "- ⚠️ head does less: model calls per request 1 against base's 2" in comment(decision)
    arms = scenario_result(
        "steady", decision, {side: arm_of(120).history() for side in Side}, labels=LABELS
    ).result.arms
    assert "head does less: model calls per request 1 against base's 2" in arms[Side.HEAD].warnings
    assert arms[Side.BASE].warnings == ()


def test_an_answer_that_is_far_shorter_is_told_once() -> None:
    text = comment(decide(doing(0.1, ANSWER)))
    assert text.startswith("## ❔ agentrig gate: can't tell: answer length 6 against base's 60 characters")
    assert text.count("- ⚠️") == 0


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ((CPU, RSS), "cpu per request and rss, for nobody could look at the agents' processes"),
        ((RSS,), "- Not compared: rss, for nobody could look"),
        ((PER_REQUEST_AT_LIMIT,), "the throughput at the limit, for none of the requests that come at once"),
    ],
)
def test_what_no_block_has_is_told_also_where_the_gate_is_green(
    lacking: Sequence[Measure], said: str
) -> None:
    names = {each.name for each in lacking}
    made = [
        replace(each, figures={name: of for name, of in each.figures.items() if name not in names})
        for each in blocks()
    ]
    decision = decide(made)
    assert decision.verdict is GateVerdict.PASS
    assert said in comment(decision).replace("\\", "")
    assert said not in comment(decide(blocks())).replace("\\", "")


def test_what_is_left_out_since_base_fails_or_is_named_by_a_guard_is_not_said_to_be_missing() -> None:
    assert "Not compared" not in comment(decide(blocks(8, base_errors=100)))
    made = [
        replace(each, figures={**each.figures, RSS.name: 0.0}) if each.side is Side.HEAD else each
        for each in blocks()
    ]
    text = comment(decide(made))
    assert "rss could not be compared: 8 of head" in text
    assert "nobody could look" not in text


def test_calls_that_nobody_made_are_told_also_where_the_load_was_late() -> None:
    names = {ATTEMPTS.name, CALLS.name, CPU.name}
    made = [
        replace(each, figures={name: of for name, of in each.figures.items() if name not in names})
        for each in blocks(8, head_errors=100, late_pairs=8)
    ]
    text = comment(decide(made)).replace("\\", "")
    assert (
        "- Not compared: attempts, model calls and tokens, for no model call came to the simulator." in text
    )
    assert text.count("Not compared") == 1
