"""Whether a load test held its limits: three-valued, and never a pass without enough samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import ExitCode
from harness.load.kit.tally import Tally

SAMPLES_FOR_P99 = 299
"""With fewer, the largest sample says nothing about the 99th percentile at 95 % confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """What a test is held against; None sets no limit.

    Attributes:
        p99_ms: of the successful calls, from the intended start.
        max_error_ratio: failed / ended calls.
        max_amplification: attempts / calls at the model API.
        min_requests: fewer ended calls prove nothing; None for 1, or 299 with a p99 limit.
    """

    p99_ms: float | None = None
    max_error_ratio: float = 0.01
    max_amplification: float | None = None
    min_requests: int | None = None

    @property
    def needed(self) -> int:
        """How many calls must have ended."""
        if self.min_requests is not None:
            return self.min_requests
        return 1 if self.p99_ms is None else SAMPLES_FOR_P99


@dataclass(frozen=True, slots=True)
class LimitFinding:
    """One limit and what was found: `code` is 0 held, 1 fell short, 2 unknown."""

    code: ExitCode
    text: str


def judge(
    limits: LoadLimits, tally: Tally, *, missing: int = 0, amplification: float | None = None
) -> tuple[LimitFinding, ...]:
    """Hold what was measured against the limits.

    Args:
        limits: what was asked for.
        tally: of all processes.
        missing: processes whose final figures never came.
        amplification: attempts / calls at the model API, None when nobody could tell.
    """
    return (
        *_proof(limits, tally, missing),
        *_errors(limits, tally),
        *_p99(limits, tally),
        *_amplification(limits, amplification),
    )


def exit_code(findings: tuple[LimitFinding, ...]) -> ExitCode:
    """Return the worst: a limit that fell short outweighs what is unknown, and that what held."""
    codes = {finding.code for finding in findings}
    for code in (ExitCode.FELL_SHORT, ExitCode.UNKNOWN, ExitCode.HELD):
        if code in codes:
            return code
    return ExitCode.UNKNOWN


def _proof(limits: LoadLimits, tally: Tally, missing: int) -> Iterator[LimitFinding]:
    enough = tally.done >= limits.needed
    yield LimitFinding(
        ExitCode.HELD if enough else ExitCode.UNKNOWN,
        f"{tally.done} calls ended, at least {limits.needed} needed"
        + ("" if enough else ": run longer, or send more"),
    )
    if missing:
        yield LimitFinding(
            ExitCode.UNKNOWN, f"{missing} worker(s) never handed in their figures: see their logs"
        )
    if tally.counts.dropped:
        yield LimitFinding(
            ExitCode.UNKNOWN,
            f"{tally.counts.dropped} of {tally.counts.due} calls were not sent, as too many were in flight: "
            "raise --max-in-flight, or lower the rate",
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


def _p99(limits: LoadLimits, tally: Tally) -> Iterator[LimitFinding]:
    if limits.p99_ms is None:
        return
    p99_ms = tally.quantile_ms(99)
    if p99_ms is None:
        yield LimitFinding(ExitCode.UNKNOWN, "p99: no call succeeded")
    else:
        yield _held(p99_ms <= limits.p99_ms, f"p99 {p99_ms:.1f} ms, at most {limits.p99_ms:g} ms")


def _amplification(limits: LoadLimits, amplification: float | None) -> Iterator[LimitFinding]:
    if limits.max_amplification is None:
        return
    if amplification is None:
        yield LimitFinding(
            ExitCode.UNKNOWN, "amplification: no simulator reported its calls; name it with --simulator-url"
        )
    else:
        yield _held(
            amplification <= limits.max_amplification,
            f"amplification {amplification:.3f}, at most {limits.max_amplification:g}",
        )


def _held(held: bool, text: str) -> LimitFinding:  # noqa: FBT001 - reads as `_held(p99 <= limit, ...)`
    return LimitFinding(ExitCode.HELD if held else ExitCode.FELL_SHORT, text)
