"""A container that joins under load gets its share of the requests."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.records.setup import Container

ENOUGH_REQUESTS = 20
"""With a smaller fair share, chance alone halves it now and then."""


def _examine(case: Case) -> Finding:
    joined = [each for each in case.history.facts.containers if each.joined_s is not None]
    if untold := sum(each.server is not None and each.container is None for each in case.history.requests):
        return no_data(f"of {untold} requests it is not known which container worked on them")
    due = [(each.name, *_requests(case, each)) for each in joined]
    most = max((fair for *_, fair in due), default=0.0)
    if not most:
        return no_data("no container joined, or no request came after it had")
    shares = sorted((got / fair, name, got, fair) for name, got, fair in due if fair >= ENOUGH_REQUESTS)
    if not shares:
        said = f"{len(joined)} containers joined, the longest there for {most:.0f} requests"
        return Finding(holds=None, observed=None, message=said, cases=int(most))
    least, name, got, fair = shares[0]
    short = {name for share, name, *_ in shares if share < case.limit}
    return Finding(
        holds=least >= case.limit,
        observed=least,
        message=(
            f"{len(shares)} containers joined under load; the least served, {name}, got {got} requests while "
            f"it was in the list, and {fair:.0f} would have been its share: {least:.2f}, at least "
            f"{case.limit:.3g} needed"
        ),
        traces=worst(r.row.trace_id for r in case.history.requests if r.container in short),
        cases=int(fair),
    )


def _requests(case: Case, container: Container) -> tuple[int, float]:
    """Return the requests that it began while it was in the list, and what an even share of all would be."""
    facts = case.history.facts
    joined_s, left_s = container.present(facts.start_s, facts.end_s)
    begun = [
        r.container for r in case.history.requests if r.taken_s is not None and joined_s <= r.taken_s < left_s
    ]
    there_s = 0.0
    for each in facts.containers:
        from_s, to_s = each.present(facts.start_s, facts.end_s)
        there_s += max(0.0, min(to_s, left_s) - max(from_s, joined_s))
    fair = len(begun) * (left_s - joined_s) / there_s if there_s else 0.0
    return begun.count(container.name), fair


INVARIANT = Invariant(
    id="joined-share",
    title="a container that joins gets its share",
    limit=0.5,
    unit="1",
    remedy="See when the balancer learned of it, and whether its gate grew with the list.",
    case="requests that would have been the share of one that joined",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let it join earlier, or send more.",
    examine=_examine,
    of_spans=True,
    clocks=True,
)
