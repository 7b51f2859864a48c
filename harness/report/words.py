"""The words and figures that every form of the report shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome, RunResult

NONE = "\N{EN DASH}"
"""Stands where the data gives no figure."""
TIMES = "\N{MULTIPLICATION SIGN}"
MARKS = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.UNKNOWN: "?", Outcome.NOT_MADE: NONE}
WORDS = {
    Outcome.PASS: "held",
    Outcome.FAIL: "fell short",
    Outcome.UNKNOWN: "unknown",
    Outcome.NOT_MADE: "not made",
}
MINUTE_S = 60
INTEGER_FROM = 100
"""Figures from here on are shown without decimals."""


def writable(text: str) -> str:
    """Replace what no UTF-8 file can hold: half characters, as cut text from elsewhere may end in."""
    return text.encode("utf-8", "replace").decode("utf-8")


def number(value: float | None) -> str:
    """Write a number with three significant digits, or all of them from 100 on."""
    if value is None or not math.isfinite(value):
        return NONE
    if isinstance(value, int) or value == int(value) or abs(value) >= INTEGER_FROM:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quantity(value: float | None, unit: str) -> str:
    """Write a number with its UCUM-like unit: `1` is not written, and `{attempt}` a countable one."""
    text = number(value)
    if text == NONE or unit in {"", "1"}:
        return text
    countable = unit.startswith("{")
    word = unit.strip("{}")
    return f"{text} {word}s" if countable and value != 1 else f"{text} {word}"


def times(value: float | None) -> str:
    """Write a ratio, such as 1.04 with the sign of times."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.2f} {TIMES}"


def percent(value: float | None) -> str:
    """Write a share of 1 in percent."""
    return NONE if value is None or not math.isfinite(value) else f"{number(round(value * 100, 1))} %"


def counts(values: Mapping[str, int]) -> str:
    """Write counts by name, such as `2 llm, 3 mcp`, or `2 each` when they are the same."""
    if len(values) > 1 and len(set(values.values())) == 1:
        return f"{next(iter(values.values())):,} each"
    return ", ".join(f"{count:,} {name}" for name, count in values.items()) or NONE


def seconds(value: float) -> str:
    """Write a duration, such as `4 min 12 s`."""
    if value < MINUTE_S:
        return f"{number(round(value, 1))} s"
    minutes, rest = divmod(round(value), MINUTE_S)
    return f"{minutes} min {rest} s"


def recovery(took_s: float | None, look_s: float | None) -> str:
    """Write how long a recovery took, or how long was looked in vain."""
    return (
        f"not in {quantity(look_s, 's')}"
        if took_s is not None and took_s == look_s
        else quantity(took_s, "s")
    )


def instant(unix_s: float) -> str:
    """Write an instant in UTC."""
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# --- figures of an arm -----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that arms are compared by.

    Attributes:
        label: its name; `short` is the same for a narrow column.
        text: writes it for an arm.
        note: what it means, for those who ask.
    """

    label: str
    short: str
    text: Callable[[ArmSummary], str]
    note: str = ""


INITS = Figure("client inits", "inits", lambda arm: counts(arm.client_inits), "init spans per client name")
CONNECTIONS = Figure(
    "connections",
    "conns",
    lambda arm: number(arm.connections),
    "TCP connections that the simulator saw",
)
OVER_OPTIMUM = Figure(
    "p99 over optimum",
    "p99/opt",
    lambda arm: times(arm.p99_over_optimum),
    "p99 against one central queue with the same arrivals and service times",
)
IDLE = Figure(
    "idle while waiting",
    "idle",
    lambda arm: quantity(arm.idle_while_waiting_s, "s"),
    "container-seconds with a free slot while a request waited elsewhere",
)
HERD = Figure(
    "herd share",
    "herd",
    lambda arm: percent(arm.herd_share),
    "largest share of first retries that fell into one 100 ms bin (longer in slow motion)",
)
AMPLIFICATION = Figure(
    "amplification", "ampl.", lambda arm: times(arm.amplification), "attempts per model call"
)
GOODPUT = Figure(
    "goodput",
    "goodput",
    lambda arm: percent(arm.goodput_share),
    "model calls that succeeded, of what quota and arrivals left possible",
)
RECOVERY = Figure(
    "recovery",
    "recovery",
    lambda arm: recovery(arm.recovery_s, arm.recovery_look_s),
    "from the end of the fault until requests are as before it",
)
SUSTAINED = Figure(
    "sustained rate",
    "sustained",
    lambda arm: quantity(arm.sustained_rps, "/s"),
    "highest step of the ramp within its limits of p99 and errors",
)
SATURATED = Figure(
    "rate at the steady load",
    "at load",
    lambda arm: quantity(arm.saturated_rps, "/s"),
    "successes a second while the steady phase lasted",
)
P50 = Figure("p50", "p50", lambda arm: quantity(arm.p50_ms, "ms"), "of successes")
P95 = Figure("p95", "p95", lambda arm: quantity(arm.p95_ms, "ms"), "of successes")
P99 = Figure("p99", "p99", lambda arm: quantity(arm.p99_ms, "ms"), "of successes")
P99_ALL = Figure("p99 of all", "p99 all", lambda arm: quantity(arm.p99_all_ms, "ms"), "failures included")
COLD_P99 = Figure(
    "p99 of cold requests",
    "cold p99",
    lambda arm: quantity(arm.cold_p99_ms, "ms"),
    "those that waited for a client's init",
)
WARM_P99 = Figure(
    "p99 of warm requests", "warm p99", lambda arm: quantity(arm.warm_p99_ms, "ms"), "all others"
)
STEADY_P95 = Figure(
    "p95 after the burst",
    "steady p95",
    lambda arm: quantity(arm.steady_p95_ms, "ms"),
    "no burst delays it",
)
TTFB_P99 = Figure(
    "p99 to first byte", "ttfb p99", lambda arm: quantity(arm.ttfb_p99_ms, "ms"), "due until it was there"
)
TTFT_P50 = Figure(
    "p50 to first token", "ttft p50", lambda arm: quantity(arm.ttft_p50_ms, "ms"), "due until it was there"
)
TTFT_P99 = Figure(
    "p99 to first token",
    "ttft p99",
    lambda arm: quantity(arm.ttft_p99_ms, "ms"),
    "due until it was there; of an answer in one piece, its end",
)
WAIT_P99 = Figure(
    "p99 of the wait",
    "wait p99",
    lambda arm: quantity(arm.wait_p99_ms, "ms"),
    "due until a container worked on it; the rest is service",
)
OPTIMUM_P99 = Figure(
    "p99 of the optimum",
    "optimum",
    lambda arm: quantity(arm.optimum_p99_ms, "ms"),
    "one central queue, same arrivals and service times",
)
OPTIMUM_WAIT_P99 = Figure(
    "p99 of the optimum's wait",
    "opt wait",
    lambda arm: quantity(arm.optimum_wait_p99_ms, "ms"),
    "in that queue: what the load itself made necessary",
)
REQUESTS = Figure("requests", "requests", lambda arm: number(arm.requests))
ERRORS = Figure("errors", "errors", lambda arm: number(arm.errors), "any answer but a success")

ARM_FIGURES = (
    REQUESTS,
    ERRORS,
    Figure("throughput", "rate", lambda arm: quantity(arm.throughput_rps, "/s"), "successes per second"),
    P50,
    P95,
    P99,
    P99_ALL,
    Figure("slowest", "max", lambda arm: quantity(arm.max_ms, "ms")),
    COLD_P99,
    WARM_P99,
    STEADY_P95,
    TTFB_P99,
    TTFT_P50,
    TTFT_P99,
    OPTIMUM_P99,
    OVER_OPTIMUM,
    WAIT_P99,
    OPTIMUM_WAIT_P99,
    IDLE,
    INITS,
    CONNECTIONS,
    Figure("model calls", "calls", lambda arm: number(arm.model_calls), "logical calls, from the journal"),
    Figure(
        "model attempts", "attempts", lambda arm: number(arm.model_attempts), "attempts, from the journal"
    ),
    AMPLIFICATION,
    HERD,
    GOODPUT,
    RECOVERY,
    SUSTAINED,
    SATURATED,
    Figure(
        "load's lateness p99",
        "lateness",
        lambda arm: quantity(arm.lateness_p99_ms, "ms"),
        "how late the load itself was in sending",
    ),
    Figure(
        "machine in use",
        "cpu",
        lambda arm: percent(arm.cpu_utilisation),
        "share of all cores, by the run's processes",
    ),
)
"""Every row of the table of arms, in order."""

FIGURE_OF_CHECK = {
    "init-once": INITS,
    "connections-bounded": CONNECTIONS,
    "p99-over-optimum": OVER_OPTIMUM,
    "idle-while-waiting": IDLE,
    "herd-share": HERD,
    "amplification": AMPLIFICATION,
    "goodput-share": GOODPUT,
    "ttft": TTFT_P99,
    "recovery": RECOVERY,
    "sustained-ratio": SUSTAINED,
    "scaling-share": SATURATED,
}
"""The figure of the summary that a check is about."""


def leading_figures(experiment: ExperimentResult) -> tuple[Figure, ...]:
    """Return the figures that the experiment's checks are about, in the order of the checks."""
    ids = dict.fromkeys(check.id for check in experiment.checks)
    return tuple(FIGURE_OF_CHECK[name] for name in ids if name in FIGURE_OF_CHECK)


def figures(experiment: ExperimentResult) -> Iterator[tuple[Figure, tuple[str, ...]]]:
    """Yield each figure that at least one arm has, with its text for every arm."""
    for figure in ARM_FIGURES:
        texts = tuple(figure.text(arm) for arm in experiment.arms.values())
        if any(text != NONE for text in texts):
            yield figure, texts


TAIL_FROM = 0.005
"""A part below this share is not worth a word."""


def tail(name: str, arm: ArmSummary) -> str:
    """Say in one sentence where the time of an arm's slowest requests went; empty when nothing tells."""
    total_s = sum(arm.tail.values())
    if total_s <= 0:
        return ""
    part, most_s = max(arm.tail.items(), key=lambda item: item[1])
    good = arm.requests - arm.errors
    grown = {part: seconds - arm.body.get(part, 0.0) for part, seconds in arm.tail.items()}
    growth, grew_s = max(grown.items(), key=lambda item: item[1])
    text = (
        f"{name}: of {good:,} successes, those above p99 (about {good - math.ceil(good * 0.99):,}) took "
        f"{quantity(total_s * 1e3, 'ms')} on average, "
        f"{percent(most_s / total_s)} of it {part}"
    )
    if grew_s <= TAIL_FROM * total_s:
        return f"{text}."
    more = f"{quantity(grew_s * 1e3, 'ms')} more than an average request"
    return f"{text}; {growth if growth != part else 'that'} is {more} has."


# --- verdicts --------------------------------------------------------------------------
def open_checks(experiment: ExperimentResult) -> tuple[CheckResult, ...]:
    """Return the checks that fell short, then those that are unknown, then those that were not made."""
    order = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_MADE)
    return tuple(check for verdict in order for check in experiment.checks if check.verdict is verdict)


def held(experiment: ExperimentResult) -> str:
    """Count the checks that held, such as `9 of 11 checks held, 4 of 4 in controls, 2 not made`."""
    return tally(experiment.checks)


def scaled(experiment: ExperimentResult) -> str:
    """Say that an experiment ran slower or faster than it was written, such as `, at 0.6 of its rates`."""
    return "" if experiment.rate_scale == 1.0 else f", at {experiment.rate_scale:g} of its rates"


def tally(checks: Sequence[CheckResult]) -> str:
    """Count checks; those of control arms, and those that were not made, are told apart."""
    under_test = Counter(check.verdict for check in checks if not check.control)
    controls = Counter(check.verdict for check in checks if check.control)
    not_made = under_test.pop(Outcome.NOT_MADE, 0) + controls.pop(Outcome.NOT_MADE, 0)
    counts = [f"{under_test[Outcome.PASS]} of {under_test.total()} checks held"]
    if controls:
        counts.append(f"{controls[Outcome.PASS]} of {controls.total()} in controls")
    if not_made:
        counts.append(f"{not_made} not made")
    return ", ".join(counts)


def tested(check: CheckResult) -> str:
    """Write how many tested cases a check rests on; where they are too few, `3 of 10 needed`."""
    if check.cases is None:
        return NONE
    return f"{check.cases:,} of {check.cases_needed:,} needed" if _short(check) else f"{check.cases:,}"


def rests_on(check: CheckResult) -> str:
    """Say in brackets how many tested cases a check rests on; where they are too few, its message does."""
    return "" if check.cases is None or _short(check) else f" ({check.cases:,} tested cases)"


def _short(check: CheckResult) -> bool:
    return check.cases is not None and check.cases_needed is not None and check.cases < check.cases_needed


def headline(result: RunResult) -> str:
    """Say the run's verdict in one sentence."""
    total = len(result.experiments)
    claims = "1 claim" if total == 1 else f"{total} claims"
    count = {
        verdict: sum(experiment.verdict is verdict for experiment in result.experiments)
        for verdict in Outcome
    }
    if result.verdict is Outcome.PASS:
        return "The claim held" if total == 1 else f"All {claims} held"
    if not total:
        return "Unknown: no experiment was run"
    if result.verdict is Outcome.FAIL:
        unknown = f", {count[Outcome.UNKNOWN]} unknown" if count[Outcome.UNKNOWN] else ""
        return f"{count[Outcome.FAIL]} of {claims} fell short{unknown}"
    return f"{count[Outcome.UNKNOWN]} of {claims} unknown"


def cells(results: Sequence[ExperimentResult]) -> str:
    """Count the cells of a matrix that held, and all their checks."""
    held = sum(result.verdict is Outcome.PASS for result in results)
    checks = [check for result in results for check in result.checks]
    return f"{held} of {len(results)} cells held: {tally(checks)}."


def contrast(experiment: ExperimentResult) -> str:
    """Say the experiment's leading figure for each arm, such as `herd share: 7 % in a, 64 % in b`."""
    figure = (*leading_figures(experiment), P99)[0]
    arms = (f"{figure.text(arm)} in {name}{_aside(arm)}" for name, arm in experiment.arms.items())
    return f"{figure.label}: " + ", ".join(arms) if experiment.arms else "no arm was run"


def _aside(arm: ArmSummary) -> str:
    """Say in brackets what a single figure of an arm must be read with."""
    failed = f"{arm.errors:,} of {arm.requests:,} requests failed" if arm.errors else ""
    text = ", ".join(filter(None, ("control" if arm.control else "", failed)))
    return f" ({text})" if text else ""


def sentence(experiment: ExperimentResult) -> str:
    """Say in one sentence what became of the experiment's claim, with its figure."""
    named = ", ".join(
        f"{check.id} {WORDS[check.verdict]} in {check.arm}"
        for check in open_checks(experiment)
        if check.verdict is not Outcome.NOT_MADE
    )
    return "; ".join(filter(None, (named or without_a_check(experiment), contrast(experiment)))) + "."


def without_a_check(experiment: ExperimentResult) -> str:
    """Say what is missing where no check explains the verdict; empty where one does, or the claim held."""
    decided = [check for check in open_checks(experiment) if check.verdict is not Outcome.NOT_MADE]
    if experiment.verdict is Outcome.PASS or decided:
        return ""
    under_test = dict.fromkeys(check.arm for check in experiment.checks if not check.control)
    held = {check.arm for check in experiment.checks if check.verdict is Outcome.PASS}
    silent = [arm for arm in under_test if arm not in held]
    if under_test and not silent:
        return "nothing could be looked at but whether requests are answered: that makes no claim"
    said = f"no check could be made in {', '.join(silent)}" if silent else "no check could be made"
    return f"{said}; that controls are caught says nothing of it" if silent and held else said


def warnings(experiment: ExperimentResult) -> tuple[tuple[str, str], ...]:
    """Return (arm, warning) for all that makes the figures less than sure."""
    return tuple(
        (name, text) for name, arm in experiment.arms.items() for text in (*arm.warnings, *arm.join_warnings)
    )


def run_again(result: RunResult) -> str:
    """Return the command that makes the same run again."""
    if result.again:
        return " ".join(result.again.split())  # in one line, whoever wrote it
    names = " ".join(experiment.name for experiment in result.experiments)
    return " ".join(filter(None, ("agentrig run", names, "--quick" if result.quick else "")))


def about(result: RunResult) -> tuple[str, ...]:
    """Return what the run was: version, id, begin, length, form."""
    return (
        f"agentrig {result.version}".strip(),
        f"run {result.run_id}",
        instant(result.started_s),
        f"took {seconds(result.duration_s)}",
        *(("quick form",) if result.quick else ()),
    )
