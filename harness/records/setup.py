"""What was set up for an arm, and what was done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records.weather import Connection, RestoredCopy

MOST_NAMED = 3
"""Kinds of calls that a sentence counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One agent container of a fleet.

    Attributes:
        name: its `service.instance.id`, such as `agent-1`; one that is started again is another one.
        address: `host:port`, as the balancer and the spans have it.
        reach: the same as the harness reaches it, None where that is `address`.
        joined_s: when the balancer was told of it, in Unix seconds; None for before the load began.
        left_s: when it was killed or taken from the balancer's list; None for not at all.
        told_s: when it was told to stop, which is a while after that; None for not at all.
    """

    name: str
    address: str
    joined_s: float | None = None
    left_s: float | None = None
    told_s: float | None = None
    reach: str | None = None

    @property
    def reached_at(self) -> str:
        """Where the harness itself asks it, `host:port`."""
        return self.reach or self.address

    def present(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return from when to when the balancer sent to it, within the load's own time."""
        joined_s = start_s if self.joined_s is None else max(self.joined_s, start_s)
        return joined_s, max(joined_s, end_s if self.left_s is None else min(self.left_s, end_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEvent:
    """Something that was done to the fleet.

    That is `kill`, `add`, `remove`, `replace`, `freeze`, `thaw`, or `overdue`: of one that was told to stop,
    did not in its time, and was ended.

    Attributes:
        time_s: when, in Unix seconds.
        container: to which.
    """

    time_s: float
    action: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of an arm's time in which something was different.

    Attributes:
        kind: `phase` of the load, `fault` of the simulator, or `weather` on the way to what containers call.
        name: of the phase, or the kind of the fault or the weather; with its target, such as `stall (model)`,
            where that is not the store.
        from_s, to_s: seconds since the load began.
        container: the one that weather befell, None for all.
        blocks: whether no turn could be kept meanwhile, in the containers that it befell.
        planned_s: how long it was to last; None where nobody planned that.
    """

    kind: Literal["phase", "fault", "weather"]
    name: str
    from_s: float
    to_s: float
    container: str | None = None
    blocks: bool = False
    planned_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """What one process of an arm cost.

    Attributes:
        name: `agent-1`, `envoy`, `simulator`, `mcp-server`, `capture`, `locust`.
        cpu_s: user + system CPU seconds between the load's begin and end.
        wall_s: the seconds of that span.
        rss_mb: resident memory at the end, MiB.
    """

    name: str
    cpu_s: float
    wall_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """What was set up for an arm, as the analysis and the checks need it.

    Attributes:
        control: whether this arm is the one in which the harness must find the fault.
        containers: the agents that ran.
        concurrency_limit: requests that one container may work on at once.
        policy: the balancers'; `balancers` is how many of them stood side by side.
        policy_like: where an installed package adds that one, which of ours it is like but for how it picks.
        start_s: when the load began; `Arrival.due_s` counts from here.
        end_s: when the last answer was in.
        quota_rps: requests/s the simulator's bucket refills with, None without a quota.
        quota_burst: its size.
        planned: how many requests the plan had.
        dropped: how many the load could not send.
        usage: what each process cost.
        cores: that the run could use; others_cores: how many of the machine's others kept busy meanwhile.
        events: what was done to the fleet meanwhile, in order.
        windows: the phases of the load, and the faults and the weather that had a time.
        connections: of the containers, where somebody passed their bytes on.
        restored: the containers that were restored from one snapshot before the load began, with the first
            requests that each then got.
        ramp_p99_ms, ramp_error_ratio: what a step of the ramp had to stay within; None without a ramp.
        unserved: requests to the simulator at paths that it does not serve, by method, path and model.
        outside: hosts beside this machine that the agents asked for, and how often; they got none of them.
        log_ends: the last lines that the containers of a user's agent printed, by name.
        backoff_slowed: what the agents' waits between attempts were multiplied by, where the run was in slow
            motion for the machine's sake.
        learnt: what of this nobody said: it is what was seen at the most (`containers`, `concurrency_limit`).
        first_run: what got in the way of an earlier run of this arm, which is not kept; None where there was
            none.
        image: what all containers were made of, by the digest that engine or node knows: a name can be given
            to another one. Empty where they were processes.
    """

    experiment: str
    arm: str
    control: bool
    containers: tuple[Container, ...]
    concurrency_limit: int
    policy: str
    start_s: float
    end_s: float
    quota_rps: float | None = None
    quota_burst: float | None = None
    planned: int = 0
    dropped: int = 0
    usage: tuple[ProcessUsage, ...] = ()
    cores: float = 1
    others_cores: float | None = None
    balancers: int = 1
    events: tuple[FleetEvent, ...] = ()
    windows: tuple[Window, ...] = ()
    ramp_p99_ms: float | None = None
    ramp_error_ratio: float | None = None
    unserved: Mapping[str, int] = field(default_factory=dict)
    outside: Mapping[str, int] = field(default_factory=dict)
    log_ends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backoff_slowed: float = 1.0
    learnt: tuple[str, ...] = ()
    connections: tuple[Connection, ...] = ()
    restored: tuple[RestoredCopy, ...] = ()
    first_run: str | None = None
    image: str = ""
    policy_like: str = ""

    @property
    def empty(self) -> tuple[tuple[float, float], ...]:
        """From when to when the balancer had no container, in Unix seconds; nothing where none is known."""
        found, covered_s = list[tuple[float, float]](), self.start_s
        for from_s, to_s in sorted(each.present(self.start_s, self.end_s) for each in self.containers):
            found.append((covered_s, from_s))
            covered_s = max(covered_s, to_s)
        found.append((covered_s, self.end_s))
        return tuple(each for each in found if self.containers and each[0] < each[1])


def no_call_served(unserved: Mapping[str, int], outside: Mapping[str, int]) -> str:
    """Say what was seen of an agent that made no model call which the simulator serves.

    Args:
        unserved: requests at other paths, see `ArmFacts`.
        outside: hosts beside this machine, see there.
    """
    said = "the model API simulator received no call"
    if unserved:
        said = f"the model API simulator received {_counted(unserved)}, which it does not serve"
    return f"{said}; refused was {_counted(outside)}: other machines are fenced off" if outside else said


def _counted(counts: Mapping[str, int]) -> str:
    """Name the most frequent three."""
    most = sorted(counts.items(), key=lambda each: -each[1])[:MOST_NAMED]
    named = [f"{count} {'call' if count == 1 else 'calls'} to {what}" for what, count in most]
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more} others" if more > 0 else "")
