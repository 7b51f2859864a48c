"""What to change first, in a sentence."""

from __future__ import annotations

from harness.plan.asked import Answer, Binds
from harness.plan.records import Routing


def advice(found: Answer) -> str:
    """Say what to change first, in a sentence."""
    if found.best is None:
        return _without_a_plan(found)
    containers = found.best.containers or 0
    for name, needed in found.instead.items():
        if needed < containers:
            return f"Change the routing first: with {name}, {needed} containers do in place of {containers}."
    if (told := _beside_the_size(found)) is not None:
        return told
    if found.binds is Binds.QUOTA:
        return "Raise the model API's quota first: it is what ends this fleet's headroom."
    if found.binds is Binds.MODEL:
        share = found.alone_p99_s / found.asked.promise.p99_s
        return (
            f"Shorten the answers first: by themselves they have a p99 that is {share:.0%} of the limit, "
            "which leaves containers little to win."
        )
    return "Add containers first: they are what ends this fleet's headroom, and nothing else does."


def _without_a_plan(found: Answer) -> str:
    """Say why no fleet holds, or why that can't be told."""
    if found.undecided:
        return (
            "Nothing to change yet: simulations of this length leave it open. Ask for a p99 or an error "
            "ratio that is a little further off, or for more containers."
        )
    if (told := _beside_the_size(found)) is not None:
        return told
    if found.binds is Binds.QUOTA:
        return f"The model API's quota binds, and no number of containers helps: {_more(found)}."
    if found.binds is Binds.CONTAINERS:
        return (
            "These containers are too few for the limits: leave out --containers to learn how many it takes."
        )
    return (
        "No number of containers helps: what a request takes by itself leaves no room. Shorten the answers."
    )


def _beside_the_size(found: Answer) -> str | None:
    """Say what to change first where neither containers, answers nor the quota bind; None where they do."""
    asked = found.asked
    if found.binds is Binds.FAULTS:
        failed, attempts = asked.workload.fault_ratio, asked.workload.retries.max_attempts
        return (
            f"The model API's faults bind, and no number of containers helps: {failed:.1%} of its attempts "
            f"fail, and a call is tried {attempts} times at the most. Try more often, or allow more with "
            "--error-ratio."
        )
    if found.binds is Binds.COLD_STARTS:
        kept = "keep idle ones for longer (--idle)"
        if asked.fleet.routing is not Routing.SESSION:
            kept = "scale from more (--scale-from)"
        return (
            "Cold starts bind, and no number of containers helps: one takes "
            f"{asked.fleet.cold_start_s:g} s to start. Start it faster, or {kept}."
        )
    if found.binds is Binds.ROUTING:
        name, needed = min(found.instead.items(), key=lambda each: each[1])
        least = "no number of containers helps"
        if found.tried is not None:
            least = f"it takes more than {found.tried} containers"
        return f"The routing binds, and {least}: with {name}, {needed} hold what was asked."
    return None


def _more(found: Answer) -> str:
    """Say how much more of a quota it takes, of that which there is too little of."""
    quota, service = found.asked.workload.quota, found.asked.workload.service
    if quota is None or found.quota_needed_rpm is None:
        return "a hundred times as large it would not do either, so send less"
    calls = 60 * found.asked.rate_rps * service.mean_calls
    needed = list[str]()
    if found.quota_needed_tpm is not None and quota.tpm is not None:
        tokens = calls * (service.tokens or 1)
        if tokens / quota.tpm >= calls / quota.rpm or tokens > quota.tpm:
            needed.append(f"from {quota.tpm:.6g} to about {found.quota_needed_tpm:.0f} tokens a minute")
        if tokens / quota.tpm >= calls / quota.rpm and calls <= quota.rpm:
            return f"raise it {needed[0]}, or send less"
    needed.append(f"from {quota.rpm:g} to about {found.quota_needed_rpm:.0f} requests a minute")
    return f"raise it {' and '.join(reversed(needed))}, or send less"
