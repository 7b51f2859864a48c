"""Quota as a token bucket: `rate` a second, `burst` at once, refilled continuously.

In any span of T seconds it lets through at most burst + rate * T.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.simulation import Quota, RetryAfterMode

WRONG_SHARE = 0.1
"""What `RetryAfterMode.WRONG` tells: a tenth of the truth."""


class TokenBucket:
    """A token bucket.

    Args:
        rate: refilled a second.
        burst: held when full, which it is at first.
        clock: seconds since any origin.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._seen_s = clock()

    @property
    def level(self) -> float:
        """What it holds now; below zero when refused requests were charged."""
        now_s = self._clock()
        self._level = min(self._burst, self._level + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        return self._level

    def wait_s(self, amount: float = 1.0) -> float:
        """Return the seconds until it holds `amount`; 0 when it does now."""
        missing = min(amount, self._burst) - self.level
        return max(0.0, missing / self._rate)

    def take(self, amount: float = 1.0) -> None:
        """Take `amount`, whether it is there or not; the debt is bounded by one burst."""
        self._level = max(self.level - amount, -self._burst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the quota says of a request.

    Attributes:
        admitted: whether it may pass.
        kind: the fault that a refusal is served as.
        retry_after_s: what the caller is told, None for nothing.
        limit, remaining, reset_s: of the requests, for the rate-limit headers.
        whole_seconds: whether the caller is told whole seconds only.
    """

    admitted: bool
    kind: str = "rate_limit_requests"
    retry_after_s: float | None = None
    limit: float = 0.0
    remaining: float = 0.0
    reset_s: float = 0.0
    whole_seconds: bool = False


class QuotaGate:
    """The buckets of one key and model: requests, and tokens where they are limited.

    Args:
        quota: how much.
        clock: seconds since any origin.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self._quota = quota
        self._requests = TokenBucket(quota.rpm / 60, quota.burst, clock)
        self._tokens = TokenBucket(quota.tpm / 60, quota.tpm, clock) if quota.tpm else None

    def ask(self, tokens: int) -> Verdict:
        """Admit a request that needs so many tokens, or refuse it."""
        wait_s, kind = self._requests.wait_s(), "rate_limit_requests"
        if self._tokens is not None and (token_wait_s := self._tokens.wait_s(tokens)) > wait_s:
            wait_s, kind = token_wait_s, "rate_limit_tokens"
        admitted = wait_s <= 0
        if admitted or self._quota.charge_failed:
            self._requests.take()
            if self._tokens is not None and admitted:
                self._tokens.take(tokens)
        remaining = self._requests.level
        return Verdict(
            admitted=admitted,
            kind=kind,
            retry_after_s=None if admitted else self._told_s(wait_s),
            limit=self._quota.rpm,
            remaining=max(0.0, remaining),
            reset_s=max(0.0, (self._quota.burst - remaining) / (self._quota.rpm / 60)),
            whole_seconds=self._quota.retry_after is RetryAfterMode.ROUNDED,
        )

    def settle(self, reserved: int, used: int) -> None:
        """Give back the tokens that were reserved and not used."""
        if self._tokens is not None and reserved > used:
            self._tokens.take(used - reserved)

    def _told_s(self, wait_s: float) -> float | None:
        match self._quota.retry_after:
            case RetryAfterMode.ABSENT:
                return None
            case RetryAfterMode.ROUNDED:
                return float(math.ceil(wait_s))
            case RetryAfterMode.WRONG:
                return wait_s * WRONG_SHARE
            case RetryAfterMode.EXACT:
                return wait_s
