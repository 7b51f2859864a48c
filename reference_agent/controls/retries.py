"""Retries that come back at the wrong time, too often, or never."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from collections.abc import Callable
from typing import Any

from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent
from typing_extensions import override

from reference_agent.adapters.errors import Classification, classify
from reference_agent.app import Parts
from reference_agent.hooks import MakeHook, TransientErrorRetryHook, model_labels
from reference_agent.patterns.retry import UNIFORM, RetryPolicy

PAUSE = 4.0
"""Times the base of the backoff: in a run in slow motion it lasts as much longer."""
OVERLOADED = {"overloaded", "overloaded_error", "http_503", "http_529"}
NAMES = {
    *("no-jitter", "no-retry", "retry-everything", "ignore-retry-after", "pause-after-outage"),
    "seeded-jitter",
}


def wrong_hooks(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> MakeHook:
    """Return what makes the hook of each request, as the names ask for."""
    settings = parts.settings
    policy = RetryPolicy(
        max_attempts=1 if "no-retry" in names else settings.agent_retry_max_attempts,
        base_s=0.0 if "no-jitter" in names else settings.agent_retry_base_s,
        deadline_s=settings.agent_deadline_s,
    )

    classified = classify
    if "retry-everything" in names:
        classified = everything_is_transient
    if "ignore-retry-after" in names:
        classified = never_told_when
    pause = Pause(clock, PAUSE * settings.agent_retry_base_s) if "pause-after-outage" in names else None

    def make_hook(elapsed_s: Callable[[], float]) -> TransientErrorRetryHook:
        make = TransientErrorRetryHook if pause is None else functools.partial(PausingRetryHook, pause)
        return make(
            policy,
            labels=model_labels(settings.agent_model_provider, settings.agent_model_id),
            instruments=parts.instruments,
            elapsed_s=elapsed_s,
            classify=classified,
            uniform=random.random if "seeded-jitter" in names else UNIFORM,
        )

    return make_hook


class Pause:
    """When a whole container leaves the model alone.

    Args:
        clock: seconds since any origin.
        lasts_s: how long it does so after the model asked to be called again.
    """

    def __init__(self, clock: Callable[[], float], lasts_s: float) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self._from = math.inf
        self._until = 0.0

    def plan(self, asked_s: float) -> None:
        """Let it begin when the model asked to be called again, and last long after that."""
        begins = self._clock() + asked_s
        self._from, self._until = min(self._from, begins), max(self._until, begins + self._lasts_s)

    @property
    def left_s(self) -> float:
        """Seconds that are left of it, 0.0 before it begins."""
        now = self._clock()
        return max(0.0, self._until - now) if now >= self._from else 0.0


class PausingRetryHook(TransientErrorRetryHook):
    """Holds each model call back while a pause lasts, also those that nothing was wrong with."""

    def __init__(self, pause: Pause, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._pause = pause

    @override
    async def before(self, event: BeforeModelCallEvent) -> None:
        await self._sleep(self._pause.left_s)
        await super().before(event)

    @override
    async def after(self, event: AfterModelCallEvent) -> None:
        found = classify(event.exception) if event.exception else None
        if found and found.error_type in OVERLOADED:
            self._pause.plan(found.retry_after_s or 0.0)
        await super().after(event)


def everything_is_transient(error: BaseException) -> Classification:
    """Classify every error as one that a retry can help."""
    return dataclasses.replace(classify(error), transient=True)


def never_told_when(error: BaseException) -> Classification:
    """Classify an error as if the server had asked for nothing."""
    return dataclasses.replace(classify(error), retry_after_s=None)
