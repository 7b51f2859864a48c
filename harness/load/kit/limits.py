"""Whether a load test held its limits: three-valued, and never a pass without enough samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.errors import ExitCode
from harness.load.kit.tally import Others, Tally
from harness.load.kit.throttling import ModelCalls, Throttling
from harness.load.open_loop import LATE_S
from harness.machine import late_limit_ms

SAMPLES_FOR_P99 = 299
"""With fewer, the largest sample says nothing about the 99th percentile at 95 % confidence."""
FAULTS_FOR_AMPLIFICATION = 30
"""Attempts that met a fault, as many as the check of that name needs: what none befell nobody tries again."""
TOKENS_KNOWN = 0.99
"""Of the successes, so large a share has to have a first token: the p99 of the others is not that of all."""
DISTURBED = "the simulator was set back or changed by somebody else while the test ran"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """What a test is held against; None sets no limit.

    Attributes:
        p99_ms: of all calls, failed ones too, from the intended start.
        ttft_ms: p99 of the time to the first token, of the calls that succeeded, from the intended start.
        max_error_ratio: failed / ended calls.
        max_late_ratio: calls that were sent late / sent calls; above it nothing is known.
        max_amplification: attempts / calls at the model API.
        min_requests: fewer ended calls prove nothing; with a limit of p99 or ttft, fewer than 299 never do.

    Raises:
        ValueError: of a value that nothing could exceed, or nothing could meet.
    """

    p99_ms: float | None = None
    ttft_ms: float | None = None
    max_error_ratio: float = 0.01
    max_late_ratio: float = 0.2
    max_amplification: float | None = None
    min_requests: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        if self.p99_ms is not None:
            require(0 < self.p99_ms < math.inf, "--p99-ms", self.p99_ms, "above 0")
        if self.ttft_ms is not None:
            require(0 < self.ttft_ms < math.inf, "--ttft-ms", self.ttft_ms, "above 0")
        require(0 <= self.max_error_ratio < 1, "--max-error-ratio", self.max_error_ratio, "from 0 to below 1")
        require(0 <= self.max_late_ratio <= 1, "--max-late-ratio", self.max_late_ratio, "from 0 to 1")
        if self.max_amplification is not None:
            require(
                1 <= self.max_amplification < math.inf,
                "--max-amplification",
                self.max_amplification,
                "from 1",
            )
        if self.min_requests is not None:
            require(self.min_requests >= 1, "--min-requests", self.min_requests, "from 1")

    @property
    def needed(self) -> int:
        """How many calls must have ended."""
        of_quantiles = self.p99_ms is not None or self.ttft_ms is not None
        return max(self.min_requests or 1, SAMPLES_FOR_P99 if of_quantiles else 1)


def require(holds: bool, option: str, value: float, allowed: str) -> None:  # noqa: FBT001 - reads as `require(x > 0, ...)`
    """Raise `ValueError` with the option's name, unless `holds`; also for what is no number."""
    if not holds:
        raise ValueError(f"{option} must be a number {allowed}, not {value:g}")


@dataclass(frozen=True, slots=True)
class LimitFinding:
    """One limit and what was found: `code` is 0 held, 1 fell short, 2 unknown."""

    code: ExitCode
    text: str


def judge(
    limits: LoadLimits,
    tally: Tally,
    *,
    model: ModelCalls | None = None,
    throttling: Throttling | None = None,
    retried_within_s: float = math.inf,
    scenarios: bool = True,
) -> tuple[LimitFinding, ...]:
    """Hold what was measured against the limits.

    Args:
        limits: what was asked for.
        tally: of all processes.
        model: what the simulator has seen of the test, None when no simulator reported.
        throttling: what the scenarios asked of the simulator, None for nothing.
        retried_within_s: seconds after which no model call is tried again.
        scenarios: whether any was picked: without, users of other classes are all that there is.
    """
    if not scenarios and not tally.done:
        return tuple(_others_alone(limits, tally.others))
    return (
        *_proof(limits, tally),
        *_errors(limits, tally),
        *_others(limits, tally.others),
        *_late(limits, tally),
        *_p99(limits, tally),
        *_ttft(limits, tally),
        *_amplification(limits, model, retried_within_s),
        *_throttled(throttling, model),
    )


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the worst: a limit that fell short outweighs what is unknown, and that what held."""
    found = set(codes)
    for code in (ExitCode.FELL_SHORT, ExitCode.UNKNOWN, ExitCode.HELD):
        if code in found:
            return code
    return ExitCode.UNKNOWN


def exit_code(findings: Iterable[LimitFinding]) -> ExitCode:
    """Return the worst of what was found; nothing proves nothing."""
    return worst(finding.code for finding in findings)


def _proof(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    counts, enough = tally.counts, tally.done >= limits.needed
    yield LimitFinding(
        ExitCode.HELD if enough else ExitCode.UNKNOWN,
        f"{tally.done} calls ended, at least {limits.needed} needed"
        + ("" if enough else ": run longer, or send more"),
    )
    if tally.done and not tally.successes:
        yield _unknown("no call succeeded: what was measured is not the service at work")
    if counts.dropped:
        yield _unknown(
            f"{counts.dropped} of {counts.due} calls were not sent, as too many were in flight: "
            "raise --max-in-flight, or lower the rate"
        )
    if counts.sent != tally.done:
        yield _unknown(
            f"{counts.sent} calls were sent and {tally.done} ended: what came of the rest is not known"
        )
    if counts.due != counts.sent + counts.dropped:
        yield _unknown(
            f"{counts.due} calls were due, {counts.sent} were sent and {counts.dropped} dropped: "
            "what came of the rest is not known"
        )


def _errors(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    if not tally.done:
        return
    ratio = tally.errors / tally.done
    kinds = ", ".join(f"{kind} {count}" for kind, count in tally.failures.most_common(3))
    yield _held(
        ratio <= limits.max_error_ratio,
        f"error ratio {ratio:.4f}, at most {limits.max_error_ratio:g}" + (f" ({kinds})" if kinds else ""),
    )


def _others(limits: LoadLimits, others: Others) -> Iterator[LimitFinding]:
    """Hold users of other classes against the same limits: Locust alone ends with 1 where they fail."""
    if others.ended:
        ratio = others.failed / others.ended
        yield _held(
            ratio <= limits.max_error_ratio,
            f"error ratio {ratio:.4f} of {others.ended} requests of other users, "
            f"at most {limits.max_error_ratio:g}",
        )
    if others.raised:
        yield _held(False, f"{others.raised} exceptions in users' tasks: see Locust's report of them")  # noqa: FBT003 - reads as `_held(False, ...)`


def _others_alone(limits: LoadLimits, others: Others) -> Iterator[LimitFinding]:
    needed = limits.min_requests or 1
    enough = others.ended >= needed
    yield LimitFinding(
        ExitCode.HELD if enough else ExitCode.UNKNOWN,
        f"{others.ended} requests of other users ended, at least {needed} needed",
    )
    yield from _others(limits, others)
    given = {"--p99-ms": limits.p99_ms, "--ttft-ms": limits.ttft_ms}
    given["--max-amplification"] = limits.max_amplification
    for option in (option for option, limit in given.items() if limit is not None):
        yield _unknown(f"{option} holds for the calls of an OpenUser, and none was picked")


def _late(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    """Find whether the load was the one that was planned."""
    late, sent = tally.counts.late, tally.counts.sent
    if late > limits.max_late_ratio * sent:
        yield _unknown(
            f"{late} of {sent} calls were sent more than {LATE_S * 1000:g} ms late, and a share of "
            f"{limits.max_late_ratio:g} may be (--max-late-ratio): lower the rate, use more workers, "
            "or a machine with less to do"
        )


def _p99(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    p99_ms, late_ms = tally.quantile_of_all_ms(99), tally.lateness_ms(99)
    if limits.p99_ms is None or p99_ms is None or late_ms is None:
        return
    text = f"p99 {p99_ms:.1f} ms of all calls, at most {limits.p99_ms:g} ms"
    allowed_ms = late_limit_ms(limits.p99_ms)
    if tally.done < SAMPLES_FOR_P99:
        yield _unknown(f"{text}: {tally.done} calls have no p99, {SAMPLES_FOR_P99} have")
    elif late_ms <= allowed_ms:
        yield _held(p99_ms <= limits.p99_ms, text)
    elif (from_sent_ms := tally.quantile_from_sent_ms(99) or 0.0) > limits.p99_ms:
        yield LimitFinding(
            ExitCode.FELL_SHORT, f"{text}, and {from_sent_ms:.1f} ms even from when they were sent"
        )
    else:
        yield _unknown(
            f"{text}: the load itself was late by {late_ms:.1f} ms at p99, and up to {allowed_ms:.0f} ms "
            "are allowed: lower the rate, or use more workers or a machine with less to do"
        )


def _ttft(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    ttft_ms, late_ms = tally.ttft_ms(99), tally.lateness_ms(99)
    if limits.ttft_ms is None or late_ms is None:
        return
    if ttft_ms is None:
        yield _unknown("time to first token: no call that succeeded has one")
        return
    count = int(tally.first_token.get_total_count())
    text = f"p99 to the first token {ttft_ms:.1f} ms of the successes, at most {limits.ttft_ms:g} ms"
    allowed_ms = late_limit_ms(limits.ttft_ms)
    if count < SAMPLES_FOR_P99:
        yield _unknown(f"{text}: {count} calls have no p99, {SAMPLES_FOR_P99} have")
    elif ttft_ms <= limits.ttft_ms and count < TOKENS_KNOWN * tally.successes:
        yield _unknown(
            f"{text}: of {tally.successes} successes {tally.successes - count} have no first token"
        )
    elif late_ms <= allowed_ms or ttft_ms <= limits.ttft_ms:
        yield _held(ttft_ms <= limits.ttft_ms, text)
    else:
        yield _unknown(f"{text}: the load itself was late by {late_ms:.1f} ms at p99; lower the rate")


def _amplification(
    limits: LoadLimits, model: ModelCalls | None, retried_within_s: float
) -> Iterator[LimitFinding]:
    most = limits.max_amplification
    if most is None:
        return
    if model is None:
        yield _unknown("amplification: no simulator reported its calls; name it with --simulator-url")
        return
    seen = model.amplification(retried_within_s)
    if model.disturbed:
        yield _unknown(f"amplification: {DISTURBED}")
    elif seen is None:
        yield _unknown("amplification: no model call came to the simulator; the service must use it")
    else:
        low, high = seen
        ratio = f"{low:.3f}" if low == high else f"between {low:.3f} and {high:.3f}"
        text = f"amplification {ratio} ({model.attempts} attempts), at most {most:g}"
        if low <= most < high:
            yield _unknown(f"{text}: which attempts belong to one call is not known")
        elif high <= most and model.met < FAULTS_FOR_AMPLIFICATION:
            yield _unknown(
                f"{text}: {model.met} attempts met a fault, {FAULTS_FOR_AMPLIFICATION} are needed; without "
                "one there is nothing to try again. Let the simulator throttle, or run longer"
            )
        else:
            yield _held(high <= most, text)


def _throttled(throttling: Throttling | None, model: ModelCalls | None) -> Iterator[LimitFinding]:
    """Find whether each fault of a scenario met a call: what never came was not survived."""
    if throttling is None:
        return
    if model is None:
        yield _unknown("nothing was throttled: name the model API simulator by --simulator-url")
    elif model.disturbed:
        yield _unknown(f"throttling: {DISTURBED}")
    elif not model.attempts:
        yield _unknown("nothing was throttled: no model call came to the simulator; the service must use it")
    elif not throttling.faults:
        text = f"the quota refused {model.refused} of {model.attempts} model calls"
        yield LimitFinding(ExitCode.HELD if model.refused else ExitCode.UNKNOWN, text)
    else:
        fired = list(zip(throttling.faults, model.fired, strict=True))
        counts = ", ".join(f"{rule.kind} {count}" for rule, count in fired)
        text = f"faults that {model.attempts} model calls met: {counts}"
        if all(count for _, count in fired):
            yield LimitFinding(ExitCode.HELD, text)
        else:
            yield _unknown(f"{text}: what never came was not survived; run longer, or send more")


def _unknown(text: str) -> LimitFinding:
    return LimitFinding(ExitCode.UNKNOWN, text)


def _held(held: bool, text: str) -> LimitFinding:  # noqa: FBT001 - reads as `_held(p99 <= limit, ...)`
    return LimitFinding(ExitCode.HELD if held else ExitCode.FELL_SHORT, text)
