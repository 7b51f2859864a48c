"""A client is built again only where it had broken.

Not the first build in a container, which is `init-once`: those that say `reinit`. A model client is built
again after its credentials were refused, a tool client after a tool call failed, or was made once more in the
same tool with the new client (the server had forgotten the session), both since the build before it in that
container; a build that failed is none. And connections and tokens are of another time in a container that had
nothing to do for long, as one that was frozen, or restored from a snapshot: that it says `expired` there is a
cause, too, once after each such time. What has none is a cache that gives its clients up for nothing,
whatever it calls that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import INIT_SPANS
from harness.records.history import ArmHistory
from harness.records.seen import Span

REFUSED = {401, 403}
ENOUGH_REQUESTS = 60
"""Each of them could have a client built again; where one in thirteen has, 99 of 100 runs show it
(`(12 / 13)^60` = 0.8 %). A cache that gives up its clients after so many uses does so in each container that
gets as many requests."""
MODEL = "llm"
EXPIRED = "expired"
SILENT_NS = 60 * 10**9
"""Balancers and servers close connections that were idle for so long."""


def _examine(case: Case) -> Finding:
    history = case.history
    if not history.inits:
        return no_data("no client.init span was seen")
    again = [span for span in history.inits if _is_reinit(span)]
    built = _builds(history)
    causes = _causes(history)
    needless = [
        span
        for span in again
        if not _has_cause(span, built, causes) and not _was_silent(span, built, history)
    ]
    said = Counter(str(span.attributes.get(contract.CLIENT_NAME)) for span in again)
    why = Counter(str(span.attributes.get(contract.CLIENT_INIT_REASON)) for span in again)
    first = sum(span.attributes.get(contract.CLIENT_INIT_STATE) == "cold" for span in history.inits)
    came = [request.container for request in history.requests if request.container]
    return Finding(
        holds=len(needless) <= case.limit,
        observed=float(len(needless)),
        message=(
            f"{first} first builds, {len(again)} later ones"
            + (f" ({_listed(said)}; {_listed(why)})" if again else "")
            + f": {len(needless)} of these without a cause"
        ),
        traces=worst(span.trace_id for span in needless),
        cases=len(came) - len(set(came)),
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _is_reinit(span: Span) -> bool:
    return span.attributes.get(contract.CLIENT_INIT_STATE) == "reinit"


def _builds(history: ArmHistory) -> Mapping[tuple[str | None, str], list[int]]:
    """Return when each client of each container was built, in Unix nanoseconds, the first first."""
    found: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for span in (span for span in history.inits if not span.error):
        found[span.instance, str(span.attributes.get(contract.CLIENT_NAME))].append(span.end_ns)
    return {key: sorted(ends_ns) for key, ends_ns in found.items()}


def _causes(history: ArmHistory) -> dict[tuple[str | None, bool], list[int]]:
    """Return when something broke, in Unix nanoseconds, by container, and whether at the model; in order."""
    found: dict[tuple[str | None, bool], list[int]] = defaultdict(list)
    for request in history.requests:
        for row in request.journal:
            if row.status in REFUSED:
                found[request.container, True].append(int(row.time_s * 1e9))
        for span in _failed_tool_calls(request.spans):
            found[span.instance, False].append(span.start_ns)
        for span in _made_again(request.spans):
            found[span.instance, False].append(span.start_ns)
    return {key: sorted(at_ns) for key, at_ns in found.items()}


def _failed_tool_calls(spans: Sequence[Span]) -> Iterator[Span]:
    for span in spans:
        of_a_tool = span.name.startswith((contract.SPAN_EXECUTE_TOOL, contract.SPAN_MCP_CALL))
        if of_a_tool and span.of_agent and span.error:
            yield span


def _made_again(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield each tool call that was made once more after a build: nothing else says that it failed."""
    calls = [span for span in spans if span.of_agent and span.name.startswith(contract.SPAN_MCP_TOOL_CALL)]
    for init in (span for span in spans if span.name.startswith(contract.SPAN_CLIENT_INIT)):
        beside = [call for call in calls if call.parent_span_id == init.parent_span_id]
        before = [call for call in beside if call.start_ns <= init.start_ns]
        if before and any(call.start_ns >= init.end_ns for call in beside):
            yield max(before, key=lambda call: call.start_ns)


def _has_cause(
    span: Span,
    built: Mapping[tuple[str | None, str], list[int]],
    causes: Mapping[tuple[str | None, bool], list[int]],
) -> bool:
    name = str(span.attributes.get(contract.CLIENT_NAME))
    builds = built.get((span.instance, name), [])
    earlier = bisect_left(builds, span.start_ns)
    broke = causes.get((span.instance, name == MODEL), [])
    next_one = bisect_left(broke, builds[earlier - 1] if earlier else 0)
    return next_one < len(broke) and broke[next_one] <= span.start_ns


def _was_silent(span: Span, built: Mapping[tuple[str | None, str], list[int]], history: ArmHistory) -> bool:
    """Whether a container had nothing to do for long, before the requests that wait for a build of its."""
    builds = built.get((span.instance, str(span.attributes.get(contract.CLIENT_NAME))), [])
    earlier = bisect_left(builds, span.start_ns)
    last_ns = max(int(history.facts.start_s * 1e9), builds[earlier - 1] if earlier else 0)
    told = span.attributes.get(contract.CLIENT_INIT_REASON)
    if told != EXPIRED or span.start_ns - last_ns < SILENT_NS:
        return False
    served = [each.server for each in history.requests if each.server and each.container == span.instance]
    began_ns = min(
        (each.start_ns for each in served if each.start_ns <= span.start_ns <= each.end_ns),
        default=span.start_ns,
    )
    before = (min(each.end_ns, began_ns) for each in served if each.start_ns < began_ns)
    return began_ns - max((last_ns, *before)) >= SILENT_NS


INVARIANT = Invariant(
    id="reinits-explained",
    title="no client is built again without a cause",
    limit=0,
    unit="{init}",
    remedy="Give a client up when it is refused or no longer answers, and for nothing else.",
    case="requests that came to a container after its first",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
    of_spans=True,
    needs=(INIT_SPANS,),
)
