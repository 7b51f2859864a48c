"""What a way to pick a container is that an installed package adds, as `agentrig.policies`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.fleet.envoy_parts import Json
from harness.records.spec import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The fleet for which a balancer is configured, as it begins: containers come and go after that.

    Attributes:
        agents: how many containers there are.
        concurrency_limit: requests that each works on at once.
        balancers: how many stand side by side.
    """

    agents: int
    concurrency_limit: int
    balancers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerPolicy:
    """One of our policies that picks the container in another way.

    Attributes:
        name: that an experiment gives as `policy`; its entry point has the same.
        like: which of ours it is in all else: its admission queue, what it offers elsewhere, how it asks for
            health, and so what a refusal means to a verdict.
        picks: returns the extension of Envoy's load balancing that picks, see `envoy_parts.typed`.
        hashed_by: the header by whose value an extension finds one that hashes; empty for one that doesn't.
    """

    name: str
    like: Policy
    picks: Callable[[Setting], Json]
    hashed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """What such a policy says for one fleet.

    Attributes:
        name: of the policy.
        extension: of Envoy's load balancing.
        hashed_by: see `BalancerPolicy`.
    """

    name: str
    extension: Json
    hashed_by: str = ""
