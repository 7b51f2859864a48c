"""In which containers a request was, one after the other: a balancer may give it to several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness import contract
from harness.records.history import ArmHistory, JoinedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A request in a container, from when to when (Unix)."""

    container: str
    from_s: float
    to_s: float

    @property
    def lasted_s(self) -> float:
        """How long it was there."""
        return self.to_s - self.from_s


def given(request: JoinedRequest, history: ArmHistory) -> tuple[Stay, ...]:
    """Return to whom the balancer gave a request, in order; nothing where it tells of no attempt."""
    names = {each.address: each.name for each in history.facts.containers}
    found = (
        Stay(container=names[address], from_s=span.start_ns / 1e9, to_s=span.end_ns / 1e9)
        for span in request.spans
        if span.service == contract.SERVICE_ENVOY
        and span.kind == "client"
        and (address := str(span.attributes.get(contract.UPSTREAM_ADDRESS))) in names
    )
    return tuple(sorted(found, key=lambda stay: stay.from_s))


def stays(request: JoinedRequest, history: ArmHistory) -> tuple[Stay, ...]:
    """Return the same, and what containers tell themselves of which the balancer tells nothing.

    Their own spans may last longer than the answer: work may go on after it.
    """
    known = given(request, history)
    there = {stay.container for stay in known}
    return (*known, *(stay for stay in _told(request) if stay.container not in there))


def _told(request: JoinedRequest) -> Iterator[Stay]:
    ours = {span.span_id for span in request.spans if span.of_agent}
    for span in request.spans:
        outermost = span.kind == "server" and span.of_agent and span.parent_span_id not in ours
        if outermost and span.instance is not None:
            yield Stay(container=span.instance, from_s=span.start_ns / 1e9, to_s=span.end_ns / 1e9)
