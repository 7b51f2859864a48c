from typing import Any

import pytest

from harness.traces.search import Query, duration_of, matches, parse, search, tags_of
from harness.traces.store import Trace, trace_of
from tests.harness.traces.some import span

CALL = span(
    1,
    2,
    "POST /v1/chat",
    30.0,
    service="simulator",
    instance=None,
    error=True,
    attributes={"http.response.status_code": 503, "text": "two words", "on": True},
    resource={"agentrig.arm": "no jitter"},
)
TRACE = trace_of([span(1, 1, "root", 100.0), CALL])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, True),
        ({"service": "simulator"}, True),
        ({"service": "agent-1"}, True),
        ({"service": "redis"}, False),
        ({"name": "CHAT"}, True),
        ({"name": "embeddings"}, False),
        ({"tags": {"http.response.status_code": "503"}}, True),
        ({"tags": {"http.response.status_code": "200"}}, False),
        ({"tags": {"text": "two words", "on": "true", "error": "true", "span.kind": "internal"}}, True),
        ({"tags": {"agentrig.arm": "no jitter", "http.response.status_code": "503"}}, True),
        ({"tags": {"text": "two words"}, "service": "agent"}, False),
        ({"min_s": 0.1}, True),
        ({"min_s": 0.101}, False),
        ({"max_s": 0.1}, True),
        ({"max_s": 0.099}, False),
        ({"failed": True}, True),
    ],
)
def test_a_trace_is_found_by_what_one_of_its_spans_has(query: dict[str, Any], *, found: bool) -> None:
    assert matches(TRACE, Query(**query)) is found


def test_a_trace_in_which_nothing_failed_is_not_found_among_the_failed() -> None:
    assert not matches(trace_of([span(1, 1)]), Query(failed=True))


def trace(number: int, took_ms: float) -> Trace:
    return trace_of([span(number, 1, took_ms=took_ms)])


def test_the_slowest_come_first_or_the_newest_and_all_that_were_found_are_counted() -> None:
    traces = [trace(1, 20.0), trace(2, 90.0), trace(3, 50.0)]
    slowest, found = search(traces, Query(limit=2))
    assert ([each.trace_id[-1] for each in slowest], found) == (["2", "3"], 3)
    newest, _ = search(traces, Query(slowest=False))
    assert [each.trace_id[-1] for each in newest] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5 s", 1.5), ("40", 0.04), ("2m", 120.0), ("900us", 9e-4), (" ", None)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    assert duration_of(text) == (None if seconds is None else pytest.approx(seconds))


def test_tags_are_pairs_and_a_value_may_be_quoted() -> None:
    assert tags_of('a=1 b="two words" c=x=y') == {"a": "1", "b": "two words", "c": "x=y"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tags": "error"}, "give pairs such as"),
        ({"tags": "=1"}, "give pairs such as"),
        ({"tags": 'a="b'}, "no closing quotation"),
        ({"min": "soon"}, "a duration is such as"),
        ({"max": "-1ms"}, "a duration is such as"),
        ({"limit": "0"}, "from 1 to 500"),
        ({"limit": "many"}, "from 1 to 500"),
    ],
)
def test_what_is_not_understood_is_named(fields: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(fields)


def test_the_fields_of_the_form_are_read() -> None:
    assert parse({}) == Query()
    told = {
        "service": " agent ",
        "tags": "a=1",
        "min": "1s",
        "failed": "yes",
        "order": "newest",
        "limit": "9",
    }
    assert parse(told) == Query(
        service="agent", tags={"a": "1"}, min_s=1.0, failed=True, slowest=False, limit=9
    )
