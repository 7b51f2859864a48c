"""Compares the page of telemetry with what a run sent."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness.records.seen import Span
from tests.telemetry_page import ONLY_WHEN, all_spans, is_ours
from tests.telemetry_seen import Place, Seen, general

OUR_SCOPES = ("reference_agent", "harness.", "agentrig.")
Names = dict[Place, set[str]]
"""Keys of attributes, names of events and keys of these, by span."""


def of_run(spans: Iterable[Span]) -> list[Seen]:
    return [
        Seen(
            Place(span.service, span.scope, general(span.name), span.kind),
            frozenset(span.attributes),
            frozenset((event.name, frozenset(event.attributes)) for event in span.events),
        )
        for span in spans
    ]


def names(seen: Iterable[Seen]) -> Names:
    found: Names = defaultdict(set)
    for each in seen:
        found[each.place] |= each.keys
        for event, keys in each.events:
            found[each.place] |= {event, *keys}
    return found


def not_on_the_page(seen: Iterable[Seen]) -> dict[Place, set[str]]:
    """Return the spans that a run sent and the page has not, and the names on the others."""
    page = names(all_spans())
    return {
        place: keys - page[place]
        for place, keys in names(seen).items()
        if place not in page or keys - page[place]
    }


def never_sent(seen: Iterable[Seen], services: set[str]) -> list[str]:
    """Return what the page of some services has of ours, the run had not, and need have had."""
    return sorted(_never_sent(names(seen), services))


def _never_sent(found: Names, services: set[str]) -> Iterator[str]:
    for place, keys in names(all_spans()).items():
        if place.service not in services or place.name in ONLY_WHEN:
            continue
        by_us = place.scope.startswith(OUR_SCOPES)
        if by_us and place not in found:
            yield f"{place.service}: {place.name}"
        for key in keys - found.get(place, set()) - set(ONLY_WHEN):
            if by_us or is_ours(key):
                yield f"{place.service}: {place.name}: {key}"
