"""All policies that there are: ours, and those that installed packages add as `agentrig.policies`."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, StartError
from harness.fleet import clusters
from harness.fleet.envoy import BalancerPlan, bootstrap, endpoints, find_envoy
from harness.fleet.envoy_parts import TYPES
from harness.fleet.policies import BalancerPolicy, Picks, Setting
from harness.fleet.ports import HOST
from harness.outside.headers import problem_of
from harness.outside.patience import TooSlowError, no_longer_than
from harness.outside.plugins import Extended, Origin, told, wrong_in
from harness.process.guard import scratch_folder
from harness.records.spec import NAME, Policy
from harness.wrong_keys import suggest

KIND: Final = f"{TYPES}.extensions.load_balancing_policies."
PARTS: Final = {"name", "typed_config"}
LOOK_S: Final = 120.0
"""There only to end what hangs: Envoy looks at a configuration in a tenth of a second."""
SHOWN: Final = 150
_REFUSAL: Final = re.compile(r"error initializing configuration '[^']*': (.*)", re.DOTALL)


def taken(found: Any, origin: Origin) -> BalancerPolicy:
    """Return a policy of another package.

    Raises:
        TypeError: it is none.
        ValueError: it is one that would not do.
    """
    if not isinstance(found, BalancerPolicy):
        msg = f"is no policy: it is of type {type(found).__name__}, not harness.fleet.policies.BalancerPolicy"
        raise TypeError(msg)
    if (wrong := wrong_in(found)) is not None:
        msg = f"is no policy: {wrong}"
        raise ValueError(msg)
    if found.name != origin.name:
        msg = f"is the policy {found.name!r}: name its entry point so"
        raise ValueError(msg)
    if re.fullmatch(NAME, found.name) is None:
        msg = f"is the policy {found.name!r}, a name that no experiment can give: {NAME}"
        raise ValueError(msg)
    if found.hashed_by and (why := problem_of(found.hashed_by)) is not None:
        msg = f"is no policy: hashed_by: {why}"
        raise ValueError(msg)
    return dataclasses.replace(found, picks=origin.guarded(found.picks, "picks()"))


def _ours(policy: Policy) -> BalancerPolicy:
    return BalancerPolicy(name=policy.value, like=policy, picks=lambda _setting: clusters.picks(policy))


POLICIES: Final[Extended[BalancerPolicy]] = Extended(
    "agentrig.policies", {each.value: _ours(each) for each in Policy}, taken
)


def known_policies() -> Collection[str]:
    """Return the names that `policy` of a fleet may have; to ask for another package's loads it."""
    return POLICIES


def like(name: str) -> Policy:
    """Return which of ours a policy is, or is like but for how it picks.

    Raises:
        InputError: there is no such policy, or it is broken.
    """
    if name not in POLICIES:
        raise InputError(
            f"there is no policy {name!r}{suggest(name, POLICIES)} Known: {', '.join(sorted(POLICIES))}."
        )
    return POLICIES[name].like


def likeness(name: str) -> str:
    """Return what a run notes of a policy beside its name: the one of ours that another package's is like."""
    return "" if name in set(Policy) else like(name).value


def picks(name: str, *, agents: int, concurrency_limit: int, balancers: int = 1) -> Picks | None:
    """Return how a container is picked, where an installed package says so; None where we do.

    Args:
        name: of the policy.
        agents: see `Setting`, as for `concurrency_limit` and `balancers`.
        concurrency_limit: see there.
        balancers: see there.

    Raises:
        InputError: there is no such policy; or what it says, Envoy takes for none.
        StartError: there is no Envoy to ask.
    """
    like(name)
    if name in set(Policy):
        return None
    return _picks(name, Setting(agents=agents, concurrency_limit=concurrency_limit, balancers=balancers))


@lru_cache(maxsize=64)
def _picks(name: str, setting: Setting) -> Picks:
    policy, origin = POLICIES[name], POLICIES.origin(name)
    try:
        with no_longer_than():
            said = policy.picks(setting)
    except TooSlowError as error:
        raise origin.failed(error, "picks()") from error
    if (wrong := _wrong(said)) is not None:
        raise origin.broken(f"returned what can't be used from picks(): {wrong}")
    said = json.loads(json.dumps(said))  # what that package makes of its own later changes nothing here
    made = Picks(name=name, extension=said, hashed_by=policy.hashed_by)
    if (refusal := _refusal(policy.like, made, setting)) is not None:
        raise origin.broken(f"returned what Envoy refuses from picks(): {refusal}")
    return made


def _wrong(said: Any) -> str | None:
    """Say why something is no extension that picks a container; None where it is one, by its form."""
    if not isinstance(said, dict) or set(said) != PARTS or not isinstance(said["typed_config"], dict):
        return f"it is no table of {' and '.join(sorted(PARTS))}, as harness.fleet.envoy_parts.typed makes it"
    kind = said["typed_config"].get("@type")
    if not isinstance(kind, str) or not kind.startswith(KIND):
        return f"its @type is {kind!r}, and begins not with {KIND}"
    try:
        json.dumps(said, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"it can't be written as JSON: {told(error)}"
    return None


def _refusal(policy: Policy, made: Picks, setting: Setting) -> str | None:
    """Ask Envoy whether it takes a configuration; return what it says against it, None for nothing.

    Raises:
        StartError: it doesn't say.
    """
    with scratch_folder("policy") as folder:
        plan = BalancerPlan(
            policy=policy,
            picks=made,
            port=1,
            capture_port=1,
            admin=Path("admin.sock"),  # in that folder, whose name may be too long for a socket's
            agents=setting.agents,
            concurrency_limit=setting.concurrency_limit,
            balancers=setting.balancers,
            queue_limit=1,
            endpoints=folder / "endpoints" / "agents.json",
            access_log=folder / f"{made.name}-access.jsonl",
        )
        try:
            _write(plan.endpoints, endpoints(tuple((HOST, 1) for _ in range(setting.agents))))
            config = _write(folder / f"{made.name}.json", bootstrap(plan))
            asked = (find_envoy(), "--mode", "validate", "-c", config, "--log-level", "critical")
            done = subprocess.run(
                asked,
                cwd=folder,
                env={},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LOOK_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StartError(f"Envoy does not say whether it takes {made.name}: {told(error)}") from error
    if not done.returncode:
        return None
    found = _REFUSAL.search(done.stderr)
    return _shown(found[1] if found else done.stderr) or f"it ended by {done.returncode}"


def _shown(text: str) -> str:
    """Return the begin and the end of what Envoy says, without the whole configuration that it may repeat."""
    said = " ".join(text.partition("): {")[0].split())
    return said if len(said) <= 2 * SHOWN else f"{said[:SHOWN]} ... {said[-SHOWN:]}"


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")
    return path
