"""Quota as token buckets: `rate` a second, `burst` at once, refilled continuously.

In any span of T seconds a bucket lets through at most burst + rate * T.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.simulator_config import Quota, RetryAfterForm, RetryAfterMode

WRONG_SHARE = 0.1
"""What `RetryAfterMode.WRONG` tells: a tenth of the truth."""
DAY_S = 86_400.0
ROUNDING = 1e-9
"""Missing so little, a request that waited as long as it was told is let through all the same."""


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
        # A clock that was put back refills nothing.
        self._level = min(self._burst, self._level + max(0.0, now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        return self._level

    def wait_s(self, amount: float = 1.0) -> float:
        """Return the seconds until it holds `amount`: 0 when it does now, infinity when it never will."""
        if amount > self._burst:
            return math.inf
        missing = amount - self.level
        return missing / self._rate if missing > ROUNDING else 0.0

    def full_in_s(self) -> float:
        """Return the seconds until it is full."""
        return (self._burst - self.level) / self._rate

    def take(self, amount: float = 1.0) -> None:
        """Take `amount`, whether it is there or not; the debt is bounded by one burst."""
        self._level = max(self.level - amount, -self._burst)

    def drain(self) -> None:
        """Take all that is there."""
        self._level = min(self.level, 0.0)

    def give(self, amount: float) -> None:
        """Put back what was taken and not used."""
        self._level = min(self._burst, self.level + amount)


@dataclass(frozen=True, slots=True)
class BucketLevel:
    """How a bucket stands.

    Attributes:
        limit: what it refills with in a minute.
        remaining: what it holds, at least 0.
        reset_s: until it is full.
    """

    limit: float
    remaining: float
    reset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaVerdict:
    """What the quota says of a request.

    Attributes:
        admitted: whether it may pass.
        kind: the fault that a refusal is served as.
        retry_after_s: what the caller is told, None for nothing.
        form: how it is written.
        requests, tokens: how the buckets stand after it; the latter None without a limit on tokens.
    """

    admitted: bool
    kind: str
    retry_after_s: float | None
    form: RetryAfterForm
    requests: BucketLevel
    tokens: BucketLevel | None


class QuotaBuckets:
    """The buckets of one key and model: requests, and tokens where they are limited.

    Args:
        quota: how much.
        clock: seconds since any origin.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self._quota = quota
        self._requests = TokenBucket(quota.rpm / 60, quota.burst, clock)
        self._tokens: TokenBucket | None = None
        if quota.tpm is not None:
            self._tokens = TokenBucket(quota.tpm / 60, quota.burst_tokens or quota.tpm, clock)

    def ask(self, tokens: int) -> QuotaVerdict:
        """Admit a request that needs so many tokens, or refuse it."""
        wait_s, kind = self._wait_s(tokens)
        if wait_s <= 0:
            self._requests.take()
            if self._tokens is not None:
                self._tokens.take(tokens)
            return self._verdict(kind, None, admitted=True)
        self._charge_failed()
        wait_s, _ = self._wait_s(tokens)  # that what it was charged for the refusal is part of
        return self._verdict(kind, self._retry_after_s(wait_s), admitted=False)

    def _wait_s(self, tokens: int) -> tuple[float, str]:
        """Return how long to wait, and for what."""
        wait_s = self._requests.wait_s()
        if self._tokens is not None and (token_wait_s := self._tokens.wait_s(tokens)) > wait_s:
            return token_wait_s, "rate_limit_tokens"
        return wait_s, "rate_limit_requests"

    def fail(self, kind: str) -> QuotaVerdict:
        """Take note of a request that failed of something else, and tell how the buckets stand."""
        self._charge_failed()
        return self._verdict(kind, None, admitted=False)

    def _verdict(self, kind: str, retry_after_s: float | None, *, admitted: bool) -> QuotaVerdict:
        return QuotaVerdict(
            admitted=admitted,
            kind=kind,
            retry_after_s=retry_after_s,
            form=_FORMS.get(self._quota.retry_after, RetryAfterForm.EXACT),
            requests=_level(self._requests, self._quota.rpm),
            tokens=_level(self._tokens, self._quota.tpm) if self._tokens and self._quota.tpm else None,
        )

    def _charge_failed(self) -> None:
        """Take a request that was refused, where refused ones use quota as well."""
        if self._quota.charge_failed:
            self._requests.take()

    @property
    def full(self) -> bool:
        """Whether they stand as new ones do, so that nothing is lost with them."""
        return self._requests.full_in_s() <= 0 and (self._tokens is None or self._tokens.full_in_s() <= 0)

    def drain(self) -> None:
        """Take all that is in them."""
        self._requests.drain()
        if self._tokens is not None:
            self._tokens.drain()

    def settle(self, unused: int) -> None:
        """Give back the tokens that were reserved and not used."""
        if self._tokens is not None and unused > 0:
            self._tokens.give(unused)

    def _retry_after_s(self, wait_s: float) -> float | None:
        if math.isinf(wait_s) or self._quota.retry_after is RetryAfterMode.ABSENT:
            return None
        match self._quota.retry_after:
            case RetryAfterMode.ROUNDED:
                return float(math.ceil(wait_s))
            case RetryAfterMode.WRONG:
                return wait_s * WRONG_SHARE
            case RetryAfterMode.NEGATIVE:
                return -wait_s
            case RetryAfterMode.DAY:
                return DAY_S
            case _:
                return wait_s


_FORMS: Mapping[RetryAfterMode | None, RetryAfterForm] = {
    RetryAfterMode.ROUNDED: RetryAfterForm.WHOLE,
    RetryAfterMode.HTTP_DATE: RetryAfterForm.HTTP_DATE,
}


def _level(bucket: TokenBucket, a_minute: float) -> BucketLevel:
    return BucketLevel(limit=a_minute, remaining=max(0.0, bucket.level), reset_s=bucket.full_in_s())
