"""Opens a fleet where it is asked for: nobody else knows which kinds there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.clock import Clock
from harness.errors import InputError
from harness.fleet import installed
from harness.fleet.docker.fleet import DockerFleet
from harness.fleet.images import obstacle
from harness.fleet.kubernetes.fleet import KubernetesFleet
from harness.fleet.local.fleet import LocalFleet
from harness.fleet.plan import FleetPlan
from harness.fleet.protocol import Fleet
from harness.fleet.redis_pair import require_redis
from harness.fleet.reference import require_packages
from harness.fleet.where import Kind, Where
from harness.records.spec import FleetSpec
from harness.under_test import AgentUnderTest


def opened(
    plan: FleetPlan,
    where: Where = Where.LOCAL,
    *,
    clock: Clock,
    on_phase: Callable[[str], None] = lambda _: None,
) -> Fleet:
    """Return a fleet, to be entered.

    Args:
        plan: what is to run.
        where: its containers run.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.

    Raises:
        InputError: there can be no such fleet there.
        StartError: the reference agent is asked for, and its packages are not there.
    """
    if where.kind is Kind.LOCAL and plan.under_test is None and plan.agent_command is None:
        require_packages()
    if where.kind is Kind.KUBERNETES:
        return KubernetesFleet(plan, context=where.context, clock=clock, on_phase=on_phase)
    kind = DockerFleet if where.kind is Kind.DOCKER else LocalFleet
    return kind(plan, clock=clock, on_phase=on_phase)


def require(where: Where, what: str, fleet: FleetSpec | None, own: AgentUnderTest | None) -> None:
    """Look whether there can be a fleet, before anything is started.

    Args:
        where: its containers run.
        what: asks for it, for the message.
        fleet: as it is asked for, None for one without anything around it.
        own: the user's agent, None for the reference agent.

    Raises:
        InputError: there can't; or the package that adds its policy is broken.
        StartError: there is no Envoy to ask whether it takes such a policy; or no Redis, where one is needed.
    """
    if fleet is not None:
        installed.picks(
            fleet.policy,
            agents=fleet.agents,
            concurrency_limit=fleet.concurrency_limit,
            balancers=fleet.balancers,
        )
    if where.kind is not Kind.LOCAL and (why := obstacle(fleet, own)) is not None:
        raise InputError(f"{what}: can't run --on {where}: {why}.")
    if where.kind is Kind.LOCAL and _needs_redis(fleet, own):
        require_redis()  # what runs before this one is else measured in vain


def _needs_redis(fleet: FleetSpec | None, own: AgentUnderTest | None) -> bool:
    """Return whether a real Redis has to be started beside a fleet of processes."""
    return (fleet is not None and fleet.store == "redis") or (own is not None and own.names_store)


def placed(own: AgentUnderTest, where: Where) -> AgentUnderTest:
    """Return a user's agent as it runs there: a container of an image can be killed, and is accounted."""
    return replace(own, killable=True) if where.kind is not Kind.LOCAL and own.image else own
