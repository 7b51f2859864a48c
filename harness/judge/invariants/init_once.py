"""Each client is built exactly once per container."""

from __future__ import annotations

from collections import Counter

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst


def _examine(case: Case) -> Finding:
    cold = [span for span in case.history.inits if span.attributes.get(contract.CLIENT_INIT_STATE) == "cold"]
    names = {str(span.attributes.get(contract.CLIENT_NAME)) for span in cold}
    if not cold:
        return no_data("no client.init span was seen")
    counts = Counter((span.instance, str(span.attributes.get(contract.CLIENT_NAME))) for span in cold)
    containers = {request.container for request in case.history.requests if request.container}
    expected = {(container, name) for container in containers for name in names}
    most = max(counts.values())
    missing = sorted(f"{name} in {container}" for container, name in expected - set(counts))
    per_client = ", ".join(
        f"{name} {sum(n for (_, of), n in counts.items() if of == name)}" for name in sorted(names)
    )
    said = f"inits by client over {len(containers)} containers: {per_client}; most for one of a container: {most}"
    if missing:
        said += f"; none seen of {', '.join(missing)}"
    repeated = [
        s for s in cold if counts[s.instance, str(s.attributes.get(contract.CLIENT_NAME))] > case.limit
    ]
    return Finding(
        holds=most <= case.limit and not missing,
        observed=float(most),
        message=said,
        traces=worst(span.trace_id for span in repeated),
    )


INVARIANT = Invariant(
    id="init-once",
    title="each client is built exactly once per container",
    limit=1,
    unit="{init}",
    remedy="Build clients through a single-flight cache (the client-cache pattern) and share them.",
    examine=_examine,
)
