"""What an experiment asks: the TOML of the catalogue, or of a user, as frozen models."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.simulation import Seconds, SimulatorConfig, Strict

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class Policy(StrEnum):
    """How the balancer picks a container. Each is described in `harness/fleet/envoy.py`."""

    BLIND = "blind"
    """Round robin over all that live; the containers queue inside."""
    LEAST_REQUEST = "least-request"
    """The fewest requests in flight, by the balancer's own count (full scan)."""
    PING = "ping"
    """Round robin, with `/ping` polled and a busy container treated as degraded."""
    BUSY_503 = "busy-503"
    """A 503 at the limit, retried elsewhere until one takes it."""
    BUSY_AWARE = "busy-aware"
    """A FIFO gate that lets in as many requests as there are slots, with the 503 as guard."""


class FleetSpec(Strict):
    """The fleet: how many agents, and how many requests each works on at once."""

    agents: Annotated[int, Field(ge=1, le=32)] = 2
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] = 8
    policy: Policy = Policy.BUSY_AWARE
    queue_limit: Annotated[int, Field(ge=0)] = 10_000
    mcp_handshake_s: Seconds = 0.0
    env: Mapping[str, str] = {}
    """Environment of the agents, `AGENT_*`."""


class LoadSpec(Strict):
    """Open arrivals: an optional burst at the start, then Poisson at `rate_rps`.

    Attributes:
        burst: requests due at the same instant, at time 0.
        quiet_s: seconds between the burst and the first steady arrival.
        rate_rps: mean arrivals a second of the steady phase.
        duration_s: length of the steady phase.
        turns: requests of one session, one after the other in the plan; 1 = no history.
        timeout_s: when the client gives up on an answer.
        max_in_flight: above it an arrival is dropped, and counted.
    """

    burst: Annotated[int, Field(ge=0, le=2000)] = 0
    quiet_s: Seconds = 0.0
    rate_rps: Annotated[float, Field(ge=0, le=1000)] = 5.0
    duration_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    turns: Annotated[int, Field(ge=1)] = 1
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 1000

    @model_validator(mode="after")
    def _sends_something(self) -> Self:
        if self.burst == 0 and (self.rate_rps == 0 or self.duration_s == 0):
            msg = "the plan is empty: give a burst, or a rate_rps and a duration_s"
            raise ValueError(msg)
        return self


class QuickSpec(Strict):
    """What `--quick` changes."""

    duration_s: Annotated[float, Field(ge=0)] | None = None
    rate_rps: Annotated[float, Field(gt=0)] | None = None
    burst: Annotated[int, Field(ge=0)] | None = None


class ArmSpec(Strict):
    """One arm: what it changes against the experiment.

    Attributes:
        title: a few words for the report.
        control: whether this is the arm in which the fault must be found.
        policy: the balancer's, in place of the fleet's.
        env: added to the agents' environment.
    """

    title: Annotated[str, Field(min_length=1)]
    control: bool = False
    policy: Policy | None = None
    env: Mapping[str, str] = {}


class CheckSpec(Strict):
    """One check: where it must hold, and where it must be found failing.

    Attributes:
        id: a name of the registry in `harness/judge/invariants`.
        limit: what the figure is held against; None for the invariant's own default.
        holds_in: arms in which it must hold.
        caught_in: control arms in which it must be found failing.
        versus: for a comparison, the arm to compare with.
    """

    id: Name
    limit: float | None = None
    holds_in: tuple[Name, ...] = ()
    caught_in: tuple[Name, ...] = ()
    versus: Name | None = None


class ExperimentSpec(Strict):
    """One experiment, whole."""

    name: Name
    title: Annotated[str, Field(min_length=1)]
    claim: Annotated[str, Field(min_length=1)]
    seed: int = 1
    min_requests: Annotated[int, Field(ge=1)] = 100
    """Fewer answers in an arm than this make its checks `unknown`."""
    fleet: FleetSpec = FleetSpec()
    simulator: SimulatorConfig = SimulatorConfig()
    load: LoadSpec = LoadSpec()
    quick: QuickSpec = QuickSpec()
    arms: Annotated[Mapping[Name, ArmSpec], Field(min_length=1)]
    checks: Annotated[tuple[CheckSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _arms_fit_checks(self) -> Self:
        controls = {name for name, arm in self.arms.items() if arm.control}
        if not controls:
            msg = "arms: none has control = true; an experiment that cannot fail proves nothing"
            raise ValueError(msg)
        caught: set[str] = set()
        for check in self.checks:
            named = {*check.holds_in, *check.caught_in} | ({check.versus} - {None})
            if unknown := named - set(self.arms):
                strangers = ", ".join(sorted(map(str, unknown)))
                msg = f"checks: {check.id} names arms that are not there: {strangers}"
                raise ValueError(msg)
            if not check.holds_in and not check.caught_in:
                msg = f"checks: {check.id} looks at no arm: give holds_in or caught_in"
                raise ValueError(msg)
            if stray := set(check.caught_in) - controls:
                msg = (
                    f"checks: {check.id} has caught_in arms that are no controls: {', '.join(sorted(stray))}"
                )
                raise ValueError(msg)
            caught |= set(check.caught_in)
        if silent := controls - caught:
            msg = f"arms: no check has to catch the control arm {', '.join(sorted(silent))}"
            raise ValueError(msg)
        return self

    def quickened(self) -> ExperimentSpec:
        """Return this experiment as `--quick` runs it."""
        changed = self.quick.model_dump(exclude_none=True)
        return self.model_copy(update={"load": self.load.model_copy(update=changed)})

    def seeded(self, seed: int) -> ExperimentSpec:
        """Return this experiment with other arrivals, latencies and faults."""
        simulator = self.simulator.model_copy(update={"seed": seed})
        return self.model_copy(update={"seed": seed, "simulator": simulator})
