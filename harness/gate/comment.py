"""What the gate says on a pull request: `summary.md`, at whichever end it comes to.

Errors stand before times. Base, head and their ratio are those of a typical pair of blocks, so that each
follows from the other two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import ExitCode
from harness.gate.blocks import ATTEMPTS, CPU, P50, P99, PER_REQUEST_AT_LIMIT, RSS, Side
from harness.gate.decide import Comparison, GateDecision, GateVerdict
from harness.gate.error_rates import FOUND, LEAST_TOLD, Figure, error_rates
from harness.gate.figures import figure, ratio
from harness.gate.parts import PARTS
from harness.gate.result import ScenarioTold, TraceTold
from harness.gate.statistics import LookOutcome
from harness.gate.tolerances import COMPARED, id_of, usual
from harness.outside.secrets import beginning
from harness.report import words
from harness.report.jaeger_page import JaegerPage
from harness.report.markdown import code as in_code
from harness.report.markdown import escape

CALLS: Final = {
    LookOutcome.PASS: "✅ not worse",
    LookOutcome.FAIL: "❌ worse",
    LookOutcome.INCONCLUSIVE: "❔ can't tell",
    LookOutcome.GO_ON: "❔ can't tell yet",
}
SYMBOLS: Final = {GateVerdict.PASS: "✅", GateVerdict.FAIL: "❌"}
ENDS: Final = {
    ExitCode.BAD_INPUT: "no verdict, for what was given is wrong",
    ExitCode.NOT_STARTED: "no verdict, for something could not be started, or died",
    ExitCode.OWN_FAULT: "no verdict, for agentrig itself failed: that says nothing of this change",
    ExitCode.INTERRUPTED: "no verdict, for it was interrupted",
}
ALWAYS_SHOWN: Final = (P99.name, P50.name)
FENCE: Final = re.compile(r"`{3,}")
MOST_LINES: Final = 40
"""Of what a failure printed."""
MOST_LETTERS: Final = 800
"""Of each of them: all together are less than a comment may have."""
MOST_TITLE: Final = 400
"""Letters of what a failure says in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a comment is made of.

    Attributes:
        labels: of base and head.
        again: the command that does the same.
        requests: of a block, that count.
        took_s: how long it took.
        version: of agentrig.
        looks: pairs after which it was looked.
        page: Jaeger's, for links.
    """

    labels: Mapping[str, str]
    again: str | None
    requests: int | None
    took_s: float
    version: str
    looks: Sequence[int]
    page: JaegerPage | None = None


def title(decision: GateDecision) -> str:
    """Say the verdict in one line."""
    failed = [each for each in decision.findings if each.look.call is LookOutcome.FAIL]
    if decision.verdict is GateVerdict.FAIL:
        errors = [each for each in failed if each.of_errors]
        gravest, *others = [*errors, *(each for each in failed if not each.of_errors)]
        more = f", and {len(others)} more" if others else ""
        if errors:
            return f"head fails more requests: {gravest.counts}{more}"
        return f"head is worse: {_said(gravest)}{more}"
    if decision.verdict is GateVerdict.PASS:
        first = decision.findings[0]
        less = [change.figures for change in decision.changes if change.less]
        but = f", but does less: {'; '.join(less)}" if less else ""
        return f"head is not worse in any of {len(decision.findings)} figures{but}; {_said(first)}"
    undecided = [each for each in decision.findings if each.look.call is not LookOutcome.PASS]
    why = decision.guards[0].said if decision.guards else ", ".join(map(_said, undecided[:1]))
    return f"can't tell: {why or 'no figure could be compared'}"


def to_comment(decision: GateDecision, scenarios: Sequence[ScenarioTold], told: Told) -> str:
    """Write what is said of a decision.

    Args:
        decision: on all scenarios.
        scenarios: what was found of each.
        told: the rest.
    """
    lines = [
        f"## {SYMBOLS.get(decision.verdict, '❔')} agentrig gate: {escape(title(decision))}",
        "",
        escape(
            f"Head is {told.labels['head']}, base is {told.labels['base']}: {decision.pairs} pairs of blocks"
            + (f" of {told.requests} requests each" if told.requests else "")
            + ", taking turns on one machine."
        ),
        "",
    ]
    for scenario in scenarios:
        lines += _scenario(decision, scenario, told, named=len(scenarios) > 1)
    lines += _sureness(decision, told.looks)
    lines += _end(told.again, told.version, took_s=told.took_s)
    return words.writable("\n".join(lines)) + "\n"


def of_failure(message: str, code: ExitCode, *, side: str | None, again: str | None, version: str) -> str:
    """Write what is said where there is no verdict.

    Args:
        message: as the terminal has it.
        code: of the end.
        side: whose doing it is, where that is known.
        again: the command that does the same.
        version: of agentrig.
    """
    quoted = message.strip().splitlines() or ["(no word of why)"]
    left_out = len(quoted) - MOST_LINES
    if left_out > 0:
        quoted = [*quoted[: MOST_LINES // 2], f"... {left_out} lines ...", *quoted[-MOST_LINES // 2 :]]
    quoted = [_cut(line, MOST_LETTERS) for line in quoted]
    longest = max((len(found) for found in FENCE.findall(message)), default=2)
    fence = "`" * (longest + 1)
    return words.writable(
        "\n".join(
            [
                f"## 🚫 agentrig gate: {escape(failure_title(message, code, side))}",
                "",
                fence,
                *quoted,
                fence,
                "",
                *_end(again, version),
            ]
        )
        + "\n"
    )


def failure_title(message: str, code: ExitCode, side: str | None) -> str:
    """Say in one line why there is no verdict."""
    if side is not None and code == ExitCode.NOT_STARTED:
        return f"no verdict: {_cut(message.strip().splitlines()[0].rstrip(':'), MOST_TITLE)}"
    return ENDS.get(code, "no verdict")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{beginning(text, most)} ..."


def _scenario(decision: GateDecision, scenario: ScenarioTold, told: Told, *, named: bool) -> Iterator[str]:
    name = scenario.result.name
    found = [each for each in decision.findings if each.scenario == name]
    order = sorted(found, key=_rank)
    shown = [each for each in order if _is_shown(each)]
    if named:
        yield f"### {escape(name)}"
        yield ""
    yield from (f"- ❔ {escape(guard.said)}" for guard in decision.guards if guard.scenario == name)
    yield from (
        f"- ⚠️ {escape(change.said)}"
        for change in decision.changes
        if change.scenario == name and not change.too_little  # which its guard tells
    )
    yield ""
    if shown:
        yield from _table(shown)
    if scenario.grown:
        yield f"- {escape(scenario.grown)}"
    yield from (f"- {_trace(trace, told.page)}" for trace in scenario.traces)
    guards = [guard for guard in decision.guards if guard.scenario == name]
    if all(guard.heads or guard.of_times for guard in guards):  # else what there is is left out, too
        named_already = {each.name for each in COMPARED if any(g.said.startswith(each.name) for g in guards)}
        compared = {each.measure.name for each in found}
        lacking = _lacking(compared, named_already, counted_alone=not all(guard.heads for guard in guards))
        yield from (f"- Not compared: {said}." for said in lacking)
    yield ""
    if rest := [each for each in order if each not in shown]:
        yield f"<details><summary>{len(rest)} more figures, none of them worse</summary>"
        yield ""
        yield from _table(rest)
        yield "</details>"
        yield ""


def _lacking(
    compared: Collection[str], named_already: Collection[str], *, counted_alone: bool
) -> Iterator[str]:
    """Say what no block has a figure of that agents mostly give: counts alone where times are left out."""
    if not compared:
        return
    known = {*compared, *named_already}
    if ATTEMPTS.name not in known:
        yield "attempts, model calls and tokens, for no model call came to the simulator"
    if counted_alone:
        return
    if PER_REQUEST_AT_LIMIT.name not in known:
        yield "the throughput at the limit, for none of the requests that come at once was answered"
    if unseen := [each.name for each in (CPU, RSS) if each.name not in known]:
        yield f"{' and '.join(unseen)}, for nobody could look at the agents' processes"
    if not any(name in known for name in PARTS):
        yield "the tails of the parts, for the agent emits no spans that tell of them"


def _rank(found: Comparison) -> tuple[bool, int]:
    """Errors first, then what is worse, what can't be told, and the rest."""
    calls = (LookOutcome.FAIL, LookOutcome.INCONCLUSIVE, LookOutcome.GO_ON, LookOutcome.PASS)
    return not found.of_errors, calls.index(found.look.call)


def _is_shown(found: Comparison) -> bool:
    return found.of_errors or found.look.call is not LookOutcome.PASS or found.measure.name in ALWAYS_SHOWN


def _table(found: Iterable[Comparison]) -> Iterator[str]:
    floors = set()
    yield "| | base | head | head / base (95 % interval) | |"
    yield "|---|---|---|---|---|"
    for each in found:
        floors.add(each.measure.floor)
        cells = (_name(each), *_sides(each), _ratio(each), CALLS[each.look.call])
        yield f"| {' | '.join(map(escape, cells))} |"
    yield ""
    if added := sorted(floors - {0.0}):
        yield f"† {', '.join(f'{floor:g} ms' for floor in added)} are added to both before they are divided."
        yield ""


def _name(found: Comparison) -> str:
    return "requests that failed" if found.of_errors else found.measure.name


def _sides(found: Comparison) -> tuple[str, str]:
    if found.failed is not None:
        return _of_all(*found.failed[Side.BASE]), _of_all(*found.failed[Side.HEAD])
    unit = "" if found.measure.unit == "1" else f" {found.measure.unit}"
    return f"{figure(found.base)}{unit}", f"{figure(found.head)}{unit}"


def _of_all(failed: int, requests: int) -> str:
    return f"{failed:,} of {requests:,}"


def _ratio(found: Comparison) -> str:
    """Write the ratio with its interval, where so few pairs give one."""
    seen = found.look
    added = "†" if found.measure.floor else ""
    known = math.isfinite(seen.high) and seen.low > 0
    return f"{ratio(seen.ratio)}{added}" + (f" ({ratio(seen.low)} to {ratio(seen.high)})" if known else "")


def _said(found: Comparison) -> str:
    """Say a figure in a few words."""
    if found.of_errors:
        return found.counts
    if found.measure.floor:
        base, head = _sides(found)
        return f"{found.measure.name} is {head} against base's {base}"
    times, _, between = _ratio(found).partition(" ")
    return " ".join(filter(None, (found.measure.name, "is", times, "times base's", between)))


def _trace(trace: TraceTold, page: JaegerPage | None) -> str:
    name = f"[`{escape(trace.trace)}`]({page.trace(trace.trace)})" if page else f"`{escape(trace.trace)}`"
    parts = ", ".join(f"{part} {figure(ms, 3)}" for part, ms in trace.parts.items())
    return f"a {trace.kind} trace of {trace.side}: {name}, {figure(trace.latency_ms)} ms" + (
        f": {escape(parts)} ms" if parts else ""
    )


def _sureness(decision: GateDecision, looks: Sequence[int]) -> Iterator[str]:
    """Say how noisy this machine was, and how often the gate is wrong on one that is."""
    known = [each for each in decision.findings if math.isfinite(each.noise)]
    known.sort(key=lambda each: each.measure.name != P99.name)
    if not known or known[0].measure.name != P99.name:
        return
    p99 = known[0]
    found = error_rates([Figure(tolerance=each.measure.tolerance, noise=each.noise) for each in known], looks)
    fine, bad = p99.measure.tolerance.fine, p99.measure.tolerance.bad
    missed = "" if found.missed is None else f", passes one of {bad:g} times {_often(found.missed)}"
    asked = sorted({id_of(each.measure) for each in known if each.measure.tolerance != usual(each.measure)})
    changed = f" The tolerance of {', '.join(asked)} is not the usual one." if asked else ""
    yield (
        f"**How sure is this?** From pair to pair the ratio of p99 moved by {p99.noise:.1%} here "
        f"({p99.look.pairs} pairs). On a machine that noisy this gate fails a head that is the same "
        f"{_often(found.false_alarms)} and passes it {_often(found.greens)}; of heads whose p99 is more, it "
        f"fails one of {FOUND:g} times {_often(found.found)}{missed}. Up to {fine:g} times is fine.{changed}"
    )
    yield ""


def _often(share: float) -> str:
    if share < LEAST_TOLD:
        return f"in fewer than {LEAST_TOLD:.1%}"
    return f"in {share:.1%}"


def _end(again: str | None, version: str, *, took_s: float | None = None) -> Iterator[str]:
    if again:
        yield f"Again: {in_code(again)}  "
    took = "" if took_s is None else f" · took {words.seconds(took_s)}"
    yield escape(f"agentrig {version}{took}")
