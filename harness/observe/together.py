"""One verdict of several stretches of time: of more requests than are held at once, each is judged alone.

A check fell short where it did in one of them, and held where it did in each; what was rare in each counts
over all of them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.judge.case import worst
from harness.observe.gathering import OBSERVED
from harness.quantiles import quantile
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came out of a stretch of time.

    Attributes:
        result: of its checks, without what the store hides or feigns.
        pictures: what its report draws.
        latencies_s: of its successes.
        duration_s: how long it was.
    """

    result: ExperimentResult
    pictures: ArmSeries
    latencies_s: array[float]
    duration_s: float


def checks_of(parts: Sequence[Part], needed: Mapping[str, int]) -> tuple[CheckResult, ...]:
    """Return each check over all parts.

    Args:
        parts: in order of time.
        needed: tested cases of each check.
    """
    if len(parts) == 1:
        return parts[0].result.checks
    by_place: dict[tuple[str, str], list[CheckResult]] = {}
    for part in parts:
        for check in part.result.checks:
            by_place.setdefault((check.id, check.arm), []).append(check)
    return tuple(_combined(each, needed[each[0].id]) for each in by_place.values())


def _combined(checks: Sequence[CheckResult], needed: int) -> CheckResult:
    cases = sum(check.cases or 0 for check in checks)
    fell_short = [check for check in checks if check.verdict is Outcome.FAIL]
    shown = [check for check in fell_short if _shows(check, needed)]
    unknown = [check for check in checks if check.verdict is Outcome.UNKNOWN]
    held = [check for check in checks if check.verdict is Outcome.PASS]
    if shown:
        return _made(shown, checks, Outcome.FAIL, cases, needed)
    if unknown or fell_short:
        return _made(unknown or fell_short, checks, Outcome.UNKNOWN, cases, needed)
    if not held:
        return checks[-1]
    made = _made(held, checks, Outcome.PASS, cases, needed)
    if cases >= needed:
        return made
    said = f"too few cases: {cases} {made.case}, {needed} are needed"
    return replace(made, verdict=Outcome.UNKNOWN, message=f"{said}. Seen was: {made.message}")


def _shows(check: CheckResult, needed: int) -> bool:
    """Whether a part alone shows that a rule is broken: where nothing may be wrong, one case does."""
    enough = (check.cases or 0) >= needed
    return enough or check.control or check.unit.startswith("{") or check.limit == 0


def _made(
    of: Sequence[CheckResult], checks: Sequence[CheckResult], verdict: Outcome, cases: int, needed: int
) -> CheckResult:
    told = max(of, key=lambda check: check.cases or 0)
    return replace(
        told,
        verdict=verdict,
        cases=cases,
        cases_needed=needed,
        traces=worst(trace for check in of for trace in check.traces),
        message=f"in {len(of)} of {len(checks)} stretches of time, such as this: {told.message}",
    )


def summary_of(parts: Sequence[Part]) -> ArmSummary:
    """Return the figures of what was observed; None for those that are of one stretch alone."""
    each = [part.result.arms[OBSERVED] for part in parts]
    if len(each) == 1:
        return each[0]
    latencies_ms = sorted(latency_s * 1e3 for part in parts for latency_s in part.latencies_s)
    duration_s = sum(part.duration_s for part in parts)
    calls = sum(summary.model_calls or 0 for summary in each)
    attempts = sum(summary.model_attempts or 0 for summary in each)
    slowest = max(each, key=lambda summary: summary.max_ms or 0.0)
    said = f"{len(parts)} stretches of time were judged one by one: so many requests are not held at once"
    return ArmSummary(
        control=False,
        requests=sum(summary.requests for summary in each),
        errors=sum(summary.errors for summary in each),
        p50_ms=quantile(latencies_ms, 0.5),
        p95_ms=quantile(latencies_ms, 0.95),
        p99_ms=quantile(latencies_ms, 0.99),
        max_ms=latencies_ms[-1] if latencies_ms else None,
        mean_ms=sum(latencies_ms) / len(latencies_ms) if latencies_ms else None,
        throughput_rps=len(latencies_ms) / duration_s if duration_s else None,
        busy_s=_sum(summary.busy_s for summary in each),
        served={name: int(count) for name, count in _sum(summary.served for summary in each).items()},
        client_inits=each[-1].client_inits,  # first builds are counted over all stretches
        model_calls=calls or None,
        model_attempts=attempts or None,
        amplification=attempts / calls if calls else None,
        slowest_trace=slowest.slowest_trace,
        median_trace=slowest.median_trace,
        join_warnings=(said, *dict.fromkeys(text for summary in each for text in summary.join_warnings)),
    )


def pictures_of(parts: Sequence[Part]) -> ArmSeries:
    """Return what the report draws: the first stretch in which a check fell short, else the last."""
    fell_short = (
        part
        for part in parts
        if any(check.arm == OBSERVED and check.verdict is Outcome.FAIL for check in part.result.checks)
    )
    return next(fell_short, parts[-1]).pictures


def _sum(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total = Counter[str]()
    for table in tables:
        total.update(table)
    return dict(total)
