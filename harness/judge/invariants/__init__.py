"""What must hold: one invariant a file, and this explicit registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.judge.case import Invariant
from harness.judge.invariants import (
    amplification,
    answers_whole,
    attempts_agree,
    attempts_bounded,
    calls_within_limit,
    connections_bounded,
    errors_explained,
    fresh_agent,
    goodput_share,
    herd_share,
    idle_while_waiting,
    inflight_limit,
    init_once,
    joined_share,
    kills_done,
    no_503_while_idle,
    no_errors,
    no_leak,
    p99,
    p99_over_optimum,
    p99_ratio,
    permanent_once,
    ping_busy_when_full,
    ping_truthful,
    recovery,
    retry_after_respected,
    scaling_share,
    spans_complete,
    steady_p95_ratio,
    sustained_ratio,
    transient_survived,
    turns_kept,
)

_ALL = (
    amplification,
    answers_whole,
    attempts_agree,
    attempts_bounded,
    calls_within_limit,
    connections_bounded,
    errors_explained,
    fresh_agent,
    goodput_share,
    herd_share,
    idle_while_waiting,
    inflight_limit,
    init_once,
    joined_share,
    kills_done,
    no_503_while_idle,
    no_errors,
    no_leak,
    p99,
    p99_over_optimum,
    p99_ratio,
    permanent_once,
    ping_busy_when_full,
    ping_truthful,
    recovery,
    retry_after_respected,
    scaling_share,
    spans_complete,
    steady_p95_ratio,
    sustained_ratio,
    transient_survived,
    turns_kept,
)

REGISTRY: Mapping[str, Invariant] = MappingProxyType({m.INVARIANT.id: m.INVARIANT for m in _ALL})
