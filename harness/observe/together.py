"""One verdict of several stretches of time: of more requests than are held at once, each is judged alone.

Shares, averages and quantiles are held against their limits over all of them, so that it does not matter
where one ends. Any other check fell short where it did in one, and held where it did in each; what was rare
in each counts over all of them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.judge.case import worst
from harness.observe.gathering import OBSERVED
from harness.observe.sampled import is_no_chance
from harness.quantiles import quantile
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome

SHARES: Final = frozenset({"no-errors", "transient-survived", "retry-after-respected", "traces-whole"})
"""Checks whose figure is a share of their tested cases."""
RULES: Final = frozenset({"retry-after-respected"})
"""Of these, what a client keeps or does not: where none may be wrong, a sample tells it."""
AVERAGE: Final = "amplification"
"""Its figure is an average over all model calls."""
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "ttft": 0.99}
AT_LEAST: Final = frozenset({"transient-survived"})
"""Checks whose figure must not be below their limit; of the others it must not be above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came out of a stretch of time.

    Attributes:
        result: of its checks, without what the store hides or feigns.
        pictures: what its report draws; None where it draws those of another one.
        latencies_s: of its successes.
        first_tokens_s: when their first words were there, where that is told.
        duration_s: how long it was.
    """

    result: ExperimentResult
    pictures: ArmSeries | None
    latencies_s: array[float]
    first_tokens_s: array[float]
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
    return tuple(
        _combined(each, needed[name], _over_all(name, parts) if arm == OBSERVED else None)
        for (name, arm), each in by_place.items()
    )


def _over_all(name: str, parts: Sequence[Part]) -> float | None:
    """Return the figure of a check over all parts; None where it is none that parts add up to."""
    if name in QUANTILES:
        return quantile(_times_ms(name, parts), QUANTILES[name])
    if name not in (*SHARES, AVERAGE):
        return None
    sums = [0.0, 0.0]
    for part in parts:
        check = next(each for each in part.result.checks if (each.id, each.arm) == (name, OBSERVED))
        calls = part.result.arms[OBSERVED].model_calls
        weight = (calls if name == AVERAGE else check.cases) or 0
        sums = [sums[0] + (check.observed or 0.0) * weight, sums[1] + weight]
    return sums[0] / sums[1] if sums[1] else None


def _times_ms(name: str, parts: Sequence[Part]) -> list[float]:
    """Return what a quantile is of."""
    each = (part.first_tokens_s if name == "ttft" else part.latencies_s for part in parts)
    return [time_s * 1e3 for times_s in each for time_s in times_s]


def is_of_all(check: CheckResult, parts: Sequence[Part], kept: float) -> bool:
    """Say whether what a check shows of a share of all traces holds of all of them.

    Args:
        check: over all parts.
        parts: of what was kept.
        kept: share of the traces that was.
    """
    limit = check.limit or 0.0
    if check.id in QUANTILES:
        times_ms = _times_ms(check.id, parts)
        over = sum(time_ms > limit for time_ms in times_ms)
        return is_no_chance(over, len(times_ms), kept=kept, limit=1 - QUANTILES[check.id])
    if check.id not in SHARES or (check.id in RULES and not limit):
        return True
    cases = check.cases or 0
    share = check.observed or 0.0
    if check.id in AT_LEAST:
        share, limit = 1 - share, 1 - limit
    return is_no_chance(round(share * cases), cases, kept=kept, limit=limit)


def _combined(checks: Sequence[CheckResult], needed: int, figure: float | None) -> CheckResult:
    cases = sum(check.cases or 0 for check in checks)
    fell_short = [check for check in checks if check.verdict is Outcome.FAIL]
    shown = [check for check in fell_short if _shows(check, needed)]
    unknown = [check for check in checks if check.verdict is Outcome.UNKNOWN]
    held = [check for check in checks if check.verdict is Outcome.PASS]
    if figure is not None and not unknown and cases >= needed:
        return _held_against(figure, checks, cases, needed)
    if shown and (figure is None or not checks[0].limit):  # where nothing may be wrong, one share tells
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


def _held_against(figure: float, checks: Sequence[CheckResult], cases: int, needed: int) -> CheckResult:
    limit, at_least = checks[0].limit or 0.0, checks[0].id in AT_LEAST
    short = figure < limit if at_least else figure > limit
    made = [check for check in checks if check.verdict in {Outcome.PASS, Outcome.FAIL}]
    worst_first = sorted(made, key=lambda check: check.observed or 0.0, reverse=not at_least)
    verdict = Outcome.FAIL if short else Outcome.PASS
    told = f"{figure:.4g} over {len(checks)} stretches of time, limit {limit:.4g}; the worst: "
    combined = _made(worst_first[:1], checks, verdict, cases, needed)
    return replace(combined, observed=figure, message=f"{told}{worst_first[0].message}")


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


def add(parts: list[Part], part: Part) -> None:
    """Put a stretch behind others; of all their pictures, only those stay that the report draws.

    These are of the first stretch in which a check fell short, else of the last.
    """
    if any(map(_fell_short, parts)):
        part = replace(part, pictures=None)
    else:
        parts[:] = [replace(each, pictures=None) for each in parts]
    parts.append(part)


def pictures_of(parts: Sequence[Part]) -> ArmSeries:
    """Return what the report draws."""
    return next(part.pictures for part in parts if part.pictures is not None)


def _fell_short(part: Part) -> bool:
    return any(check.arm == OBSERVED and check.verdict is Outcome.FAIL for check in part.result.checks)


def _sum(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total = Counter[str]()
    for table in tables:
        total.update(table)
    return dict(total)
