"""Retry: transient errors once or twice after a jittered backoff, permanent ones never.

When a model API throttles, it asks every client to come back at about the same time. Those that come
back exactly then are throttled together again. So the wait is what the server asked for, as a
floor, plus a random part:

    delay = Retry-After + U(0, base * 2^(attempt - 1))

and when that would pass the request's deadline, it fails at once: the caller can still do something.
A permanent error (a bad key, an invalid request, an exhausted quota, a content filter) is the same
at the second try, so it costs one call.

    policy = RetryPolicy()
    result = await call_with_retry(call, classify, policy)

`decide` is a pure function; `call_with_retry` is the loop for code of your own. An SDK with a loop
of its own (and most have one) calls `decide` from its hook, with its own retries turned off:
two loops multiply.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")
DelaySource = Literal["backoff", "retry_after"]
StopOutcome = Literal["permanent", "exhausted", "deadline"]
UNIFORM = random.SystemRandom().random
"""Of the system: Python's own generator draws the same in all containers restored from one snapshot."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how far apart.

    Attributes:
        max_attempts: tries in all, the first one counted.
        base_s: the random part of the first wait is between 0 and this; it doubles with each.
        deadline_s: seconds after which the caller has no use for the answer.
    """

    max_attempts: int = 3
    base_s: float = 2.0
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of an error: whether a retry can help, and when the server wants it."""

    transient: bool
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_s`."""

    delay_s: float
    source: DelaySource


@dataclass(frozen=True, slots=True)
class Stop:
    """Don't try again, and why."""

    outcome: StopOutcome


Decision = Retry | Stop


def decide(
    policy: RetryPolicy,
    attempt: int,
    failure: Failure,
    elapsed_s: float,
    uniform: Callable[[], float] = UNIFORM,
) -> Decision:
    """Say what to do after a failed attempt.

    Args:
        policy: how often, and how far apart.
        attempt: the one that failed, from 1.
        failure: what is known of its error.
        elapsed_s: seconds since the request came in.
        uniform: gives a number in [0, 1).
    """
    if not failure.transient:
        return Stop("permanent")
    if attempt >= policy.max_attempts:
        return Stop("exhausted")
    floor_s = failure.retry_after_s or 0.0
    delay_s = floor_s + uniform() * policy.base_s * 2 ** (attempt - 1)
    if elapsed_s + delay_s >= policy.deadline_s:
        return Stop("deadline")
    return Retry(delay_s, "retry_after" if floor_s else "backoff")


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    classify: Callable[[Exception], Failure],
    policy: RetryPolicy,
    *,
    hook: Callable[[int, Decision], None] = lambda _attempt, _decision: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    uniform: Callable[[], float] = UNIFORM,
) -> T:
    """Await `call()` until it succeeds, or until `decide` says stop.

    Args:
        call: one attempt.
        classify: says what is known of an error.
        policy: how often, and how far apart.
        hook: called for each failed attempt, with the decision about it.
        clock: seconds since any origin.
        sleep: waits.
        uniform: gives a number in [0, 1).

    Raises:
        Exception: the last attempt's error, as it was.
    """
    begun = clock()
    attempt = 1
    while True:
        try:
            return await call()
        except Exception as error:
            decision = decide(policy, attempt, classify(error), clock() - begun, uniform)
            hook(attempt, decision)
            if isinstance(decision, Stop):
                raise
        await sleep(decision.delay_s)
        attempt += 1
