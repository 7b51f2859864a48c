"""Retry: transient errors once or twice after a jittered backoff, permanent ones never.

A model API that throttles asks every client to come back at about the same time. Those that do are
throttled together again. So the wait is what the server asked for, as a floor, plus a random part:

    delay = Retry-After + U(0, base * 2^(attempt - 1))

and when that would pass the request's deadline, it fails at once: the caller can still do something.
A permanent error (bad key, invalid request, used-up quota, content filter) costs one call: it is the same
at the second try. A `RetryBudget`, one for the container, bounds what all its requests retry together.
Call `decide` from an SDK's hook, or `call_with_retry`; all other retries off: two loops multiply.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")
UNIFORM = random.SystemRandom().random  # two containers restored from one snapshot must not draw alike


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often (`max_attempts` with the first), and how far apart; no wait passes `deadline_s`."""

    max_attempts: int = 3
    base_s: float = 2.0
    deadline_s: float = 60.0


class RetryBudget:
    """At most `per_call` retries a call on average, after a `reserve`; to be used from one event loop."""

    def __init__(self, per_call: float, reserve: float = 10.0) -> None:
        self._per_call, self._reserve, self._left = per_call, reserve, reserve

    def earn(self) -> None:
        """Count a call."""
        self._left = min(self._left + self._per_call, self._reserve)

    def spend(self) -> bool:
        """Take a retry out, or say that none is left."""
        granted = self._left >= 1
        self._left -= granted
        return granted


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of an error: whether a retry can help, when the server wants it, what the caller has."""

    transient: bool
    retry_after_s: float | None = None
    answer_begun: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_s`."""

    delay_s: float
    source: Literal["backoff", "retry_after"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Don't try again, and why."""

    outcome: Literal["permanent", "answer_begun", "exhausted", "deadline", "budget"]


Decision = Retry | Stop


def decide(
    policy: RetryPolicy,
    attempt: int,
    failure: Failure,
    elapsed_s: float,
    uniform: Callable[[], float] = UNIFORM,
    *,
    budget: RetryBudget | None = None,
) -> Decision:
    """Say what to do after a failed attempt, the first being 1, `elapsed_s` after the request came in."""
    if not failure.transient:
        return Stop("permanent")
    if failure.answer_begun:  # the caller would see it twice
        return Stop("answer_begun")
    if attempt >= policy.max_attempts:
        return Stop("exhausted")
    floor_s = max(failure.retry_after_s or 0.0, 0.0)
    delay_s = floor_s + uniform() * policy.base_s * 2 ** (attempt - 1)
    if not elapsed_s + delay_s < policy.deadline_s:
        return Stop("deadline")
    if budget is not None and not budget.spend():
        return Stop("budget")
    return Retry(delay_s, "retry_after" if floor_s else "backoff")


def retry_after_s(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that an answer's headers ask to wait; a date counts from the answer's own."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("x-amz-retry-after", 1e-3), ("retry-after", 1.0)):
        told = headers.get(name, "")
        try:
            seconds = float(told) * unit_s
        except ValueError:
            seconds = _unix_s(told, float("nan")) - _unix_s(headers.get("date", ""), now())
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _unix_s(date: str, otherwise: float) -> float:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return otherwise


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    classify: Callable[[Exception], Failure],
    policy: RetryPolicy,
    *,
    budget: RetryBudget | None = None,
    hook: Callable[[int, Decision], None] = lambda _attempt, _decision: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    uniform: Callable[[], float] = UNIFORM,
) -> T:
    """Await `call()` until it succeeds, or `decide` says stop: then raise its last error, as it was."""
    begun, attempt = clock(), 1
    if budget is not None:
        budget.earn()
    while True:
        try:
            return await call()
        except Exception as error:
            decision = decide(policy, attempt, classify(error), clock() - begun, uniform, budget=budget)
            hook(attempt, decision)
            if isinstance(decision, Stop):
                raise
        await sleep(decision.delay_s)
        attempt += 1
