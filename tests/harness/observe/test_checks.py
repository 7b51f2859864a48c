"""Each check of production on nothing at all, on too little, and on what is wrong in one way."""

from dataclasses import replace

import pytest

from harness.analysis.summary import summarise
from harness.judge.case import Case, examined
from harness.observe import known_bad
from harness.observe.calls import LOOPS
from harness.observe.checks import OBSERVABLE
from harness.observe.gathering import Gathering, Known, ObservedHistory
from harness.observe.limits import Limits
from harness.observe.trouble import fault_class
from harness.records.history import Herd
from harness.records.outcome import Outcome
from harness.records.setup import ArmFacts
from tests.harness.observe.seen import as_recorded, judged, limits_of, observed, rows_of, spans_of

NOTHING = ObservedHistory(
    facts=ArmFacts(
        experiment="e",
        arm="observed",
        control=False,
        containers=(),
        concurrency_limit=1,
        policy="",
        start_s=0.0,
        end_s=0.0,
    ),
    requests=(),
    inits=(),
    journal=(),
    herd=Herd(first_retries=0, share=None),
)


@pytest.mark.parametrize("name", OBSERVABLE)
def test_of_nothing_nothing_is_known(name: str) -> None:
    invariant = OBSERVABLE[name].invariant
    case = Case(history=NOTHING, summary=summarise(NOTHING), versus=None, limit=invariant.limit)
    assert examined(invariant, case).holds is None


@pytest.mark.parametrize("name", OBSERVABLE)
def test_too_few_requests_show_nothing_of_a_rule(name: str) -> None:
    gathering = Gathering((known_bad.SERVICE,))
    traces: dict[str, None] = {}
    for span in known_bad.spans(Limits(), 1, 4):
        traces[span.trace_id] = None
        if len(traces) > 2:
            break
        gathering.take([span])
    for history in gathering.histories(Known(concurrency_limit=4)).values():
        invariant = OBSERVABLE[name].invariant
        case = Case(history=history, summary=summarise(history), versus=None, limit=invariant.limit)
        assert examined(invariant, case, control=True).holds is None


def test_a_balancer_that_sticks_is_found() -> None:
    """Nine of ten requests go to one of two containers."""
    place = {row.trace_id: "agent-1" if row.index % 10 else "agent-2" for row in rows_of("routing", "sound")}
    spans = [
        replace(span, instance=place[span.trace_id])
        if span.service == "agent" and span.trace_id in place
        else span
        for span in spans_of("routing", "sound")
    ]
    assert "load-spread" in observed(judged(spans, limits_of("routing")), Outcome.FAIL)


def test_two_containers_under_one_id_are_found() -> None:
    spans = [
        replace(span, instance="same", resource={**span.resource, "host.name": str(span.instance)})
        if span.service == "agent"
        else span
        for span in spans_of("clients", "sound")
    ]
    check = observed(judged(spans, limits_of("clients")), Outcome.FAIL)["ids-unique"]
    assert "1 pairs have one instance id" in check.message


def test_a_retry_that_the_agent_does_not_count_is_found() -> None:
    spans = [
        replace(span, attributes={**span.attributes, "agentrig.retry.attempts": 1})
        if "agentrig.retry.attempts" in span.attributes
        else span
        for span in spans_of("retry", "sound")
    ]
    assert "hidden-retries" in observed(judged(spans, limits_of("retry")), Outcome.FAIL)
    assert "hidden-retries" in observed(as_recorded("retry", "sound"), Outcome.PASS)
    assert LOOPS not in spans[0].attributes


@pytest.mark.parametrize(
    ("status", "error", "words", "found"),
    [
        (429, None, "", "transient"),
        (429, "insufficient_quota", "", "permanent"),
        (429, None, "Too many tokens per day, please wait", "permanent"),
        (400, None, "", "permanent"),
        (503, "503", "", "transient"),
        (0, "ConnectError", "", "transient"),
        (None, "429", "", "transient"),
        (None, "ThrottlingException", "", "transient"),
        (None, "openai.AuthenticationError", "", "permanent"),
        (None, "AI_APICallError", "Rate limit reached for requests", "transient"),
        (None, "KeyError", "", None),
        (200, None, "", None),
        (None, None, "", None),
    ],
)
def test_trouble_is_told_by_status_by_its_kind_and_by_its_words(
    status: int | None, error: str | None, words: str, found: str | None
) -> None:
    assert fault_class(status, error, words) == found
