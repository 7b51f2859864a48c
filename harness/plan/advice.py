"""What to change first, in a sentence."""

from __future__ import annotations

from harness.plan.asked import Answer, Binds


def advice(found: Answer) -> str:  # noqa: PLR0911 - one sentence for each thing that may bind
    """Say what to change first, in a sentence."""
    asked = found.asked
    if found.best is None:
        if found.binds is Binds.QUOTA and asked.workload.quota is not None:
            return f"The model API's quota binds, and no number of containers helps: {_more(found)}."
        if found.binds is Binds.CONTAINERS:
            return (
                "These containers are too few for the limits: leave out --containers to be told how many "
                "it takes."
            )
        return (
            "No number of containers helps: what a request takes by itself leaves no room. Shorten "
            "the answers."
        )
    containers = found.best.containers or 0
    for name, needed in found.instead.items():
        if needed < containers:
            return f"Change the routing first: with {name}, {needed} containers do in place of {containers}."
    if found.binds is Binds.QUOTA:
        return "Raise the model API's quota first: it is what ends this fleet's headroom."
    if found.binds is Binds.MODEL:
        share = found.alone_p99_s / asked.promise.p99_s
        return (
            f"Shorten the answers first: by themselves they have a p99 that is {share:.0%} of the limit, "
            "which leaves containers little to win."
        )
    return "Add containers first: they are what ends this fleet's headroom, and nothing else does."


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
