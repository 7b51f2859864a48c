"""What a simulation is given, and what it gives: plain frozen records.

Times are seconds of the simulation, durations seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.records.spec import Policy
from harness.simulator_config import Quota, UnderLoad

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Routing(StrEnum):
    """How a request comes to a container: the balancer's policies, and a microVM for each session."""

    BUSY_AWARE = Policy.BUSY_AWARE.value
    BUSY_503 = Policy.BUSY_503.value
    LEAST_REQUEST = Policy.LEAST_REQUEST.value
    READINESS = Policy.READINESS.value
    PING = Policy.PING.value
    BLIND = Policy.BLIND.value
    SESSION = "session"
    """Each session has a container of its own, started for it and stopped once idle, as AgentCore does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """An autoscaler, as Kubernetes' HPA on the requests in flight.

    Attributes:
        least, most: containers; with `least` 0 the first request starts one.
        target: requests in flight a container that it aims at.
        sync_s: it looks so often.
        stable_s: it takes containers away by the highest need of so long.
        tolerance: it does nothing about a need that is off by no more than this share.
    """

    least: int = 1
    most: int = 1000
    target: float = 1.0
    sync_s: float = 15.0
    stable_s: float = 300.0
    tolerance: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Containers that are lost at once: `share` of those that are up at `at_s`, at least one."""

    at_s: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The containers, and what stands before them.

    Attributes:
        containers: when it begins.
        limit: requests that each works on at once.
        routing: how a request comes to one.
        balancers: side by side, each blind to what the others send; callers take turns.
        queue_limit: requests that may wait in a balancer's admission queue.
        ping_s: seconds between two looks at a container's `/ping`.
        probe_s: likewise at its `/readyz`; no kubelet asks more often than each second.
        path_s: what a request takes beside its container, both ways together.
        cold_start_s: until a container that is started takes requests.
        idle_s: after which the container of a session is stopped.
        scaling: None for as many containers as there are at first.
        lost: what becomes of them; others are started in their place.
        retry_lost: whether a request is sent again whose container was lost while it worked.
    """

    containers: int
    limit: int = 1
    routing: Routing = Routing.BUSY_AWARE
    balancers: int = 1
    queue_limit: int = 10_000
    ping_s: float = 0.05
    probe_s: float = 1.0
    path_s: float = 0.0
    cold_start_s: float = 2.0
    idle_s: float = 900.0
    scaling: Scaling | None = None
    lost: tuple[Loss, ...] = ()
    retry_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """What is done after a refusal: wait Retry-After + U(0, base * 2^(attempt - 1)), and try again.

    Attributes:
        max_attempts: of a call, the first included.
        base_s: of the random part.
        deadline_s: since the request began; a wait that would pass it ends the request.
    """

    max_attempts: int = 3
    base_s: float = 2.0
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelApi:
    """What limits the model's answers.

    Attributes:
        quota: None for none.
        fault_ratio: of the attempts, those that fail for another reason, and may be tried again.
        under_load: how much slower answers get with the calls in work; None when they don't.
        spent: whether the quota's burst is used up when it begins.
    """

    quota: Quota | None = None
    fault_ratio: float = 0.0
    under_load: UnderLoad | None = None
    spent: bool = False

    @property
    def unlimited(self) -> bool:
        """Whether each call takes what it takes, whatever else goes on."""
        return self.quota is None and not self.fault_ratio and self.under_load is None


@dataclass(frozen=True, kw_only=True)  # no slots: a cached property needs a place
class Work:
    """Requests, and what each will take: a column a figure. Drawn beforehand, so that fleets can be compared.

    Attributes:
        due_s: when they come, in order.
        session: number of each one's session.
        first_call: where the calls of each begin in the columns of calls; one entry more than requests.
        before_s: of a call: the work between it and what came before.
        call_s: how long the model takes over it.
        tokens: that it counts against a quota.
        tail_s: work after the last call, until the answer is out.
        after_s: work after the answer.
    """

    due_s: Floats
    session: Integers
    first_call: Integers
    before_s: Floats
    call_s: Floats
    tokens: Integers
    tail_s: Floats
    after_s: Floats

    @classmethod
    def plain(cls, due_s: Floats, service_s: Floats, after_s: Floats | None = None) -> Work:
        """Make requests of one call each, which is all they take."""
        count = len(due_s)
        nothing = np.zeros(count)
        return cls(
            due_s=due_s,
            session=np.arange(count),
            first_call=np.arange(count + 1),
            before_s=nothing,
            call_s=service_s,
            tokens=np.zeros(count, np.int64),
            tail_s=nothing,
            after_s=nothing if after_s is None else after_s,
        )

    def drawn(self, which: Integers, due_s: Floats) -> Work:
        """Return some of these requests, each as often as it is named, at other instants."""
        calls = self.first_call[which + 1] - self.first_call[which]
        first = np.concatenate(([0], np.cumsum(calls)))
        of_call = np.repeat(self.first_call[which] - first[:-1], calls) + np.arange(first[-1])
        return Work(
            due_s=due_s,
            session=np.arange(len(which)),
            first_call=first,
            before_s=self.before_s[of_call],
            call_s=self.call_s[of_call],
            tokens=self.tokens[of_call],
            tail_s=self.tail_s[which],
            after_s=self.after_s[which],
        )

    @cached_property
    def service_s(self) -> Floats:
        """What each takes until its answer, when nothing is in its way."""
        each = np.concatenate(([0.0], np.cumsum(self.before_s + self.call_s)))
        return each[self.first_call[1:]] - each[self.first_call[:-1]] + self.tail_s

    def __len__(self) -> int:
        return len(self.due_s)


class End(IntEnum):
    """How a request ended."""

    ANSWERED = 0
    BLOCKED = 1
    """The admission queue was full, no further session allowed, or none that was ready had a slot free."""
    THROTTLED = 2
    """The model API refused a call once too often."""
    LOST = 3
    """Its container was lost meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the requests of one simulation.

    Attributes:
        latency_s: of each, from when it was due to its end, whatever that was.
        wait_s: until a container began to work on it; NaN where none did.
        ends: how each ended, an `End`.
        attempts: HTTP attempts of model calls; refused: those that the quota did.
        calls: model calls that were begun.
        turned_away: 503s of containers that were full.
        container_s: container-seconds that the fleet was up, since it was to have settled.
        work_s: slot-seconds that were in use, likewise; all_work_s: since the begin.
        span_s: from the first arrival to the last end.
        most_containers: that were up at once.
    """

    latency_s: Floats
    wait_s: Floats
    ends: NDArray[np.int8]
    attempts: int
    refused: int
    calls: int
    turned_away: int
    container_s: float
    work_s: float
    all_work_s: float
    span_s: float
    most_containers: int

    @property
    def held_s(self) -> float:
        """Slot-seconds of a request that a container worked on, the mean: with all its retries."""
        begun = int((~np.isnan(self.wait_s)).sum())
        return self.all_work_s / begun if begun else 0.0

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which ended well."""
        return np.asarray(self.ends == End.ANSWERED)
