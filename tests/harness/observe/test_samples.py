"""Spans that frameworks really sent, with their real instrumentations: each convention tells the same story.

Three requests each: one whose model call is fine, one whose first attempt is turned away, one that is refused
for good. `samples/take.py` takes them anew, `samples/golden/versions.json` says of which versions they are.
"""

import json
from dataclasses import dataclass

import pytest

from harness.capture.decode import spans_of
from harness.observe.limits import Limits
from harness.records.seen import FaultClass, Span
from tests.harness.observe.samples.take import ENVIRONMENTS, GOLDEN
from tests.harness.observe.seen import doubts_of
from tests.harness.observe.seen import history as history_of

OK, THROTTLED, REFUSED = None, "transient", "permanent"


@dataclass(frozen=True)
class Story:
    """What a sample tells.

    Attributes:
        dialects: that told of it.
        throttled: what the call whose first attempt was turned away met, attempt by attempt: nothing, where
            its SDK tried again and no span says so.
        http: how many HTTP requests of model calls were seen.
        survived: whether that request was answered.
        invoked: whether an Agent at work is told of.
    """

    dialects: frozenset[str]
    throttled: tuple[FaultClass | None, ...] = (OK,)
    http: int = 0
    survived: bool = True
    invoked: bool = True


STORIES = {
    "adk": Story(frozenset({"http", "adk"}), throttled=(THROTTLED,), survived=False),
    "bedrock": Story(frozenset({"http", "genai"}), invoked=False),
    "openai_agents": Story(frozenset({"http", "openai-agents"})),
    "openai_agents_openllmetry": Story(frozenset({"http", "openai-agents"})),
    "openinference_openai": Story(frozenset({"http", "openinference"}), invoked=False),
    "openllmetry": Story(frozenset({"http", "genai"}), invoked=False),
    "pydantic_logfire": Story(frozenset({"http", "logfire"})),
    "strands_before": Story(frozenset({"http", "strands"}), throttled=(THROTTLED,), survived=False),
    "vercel": Story(frozenset({"http", "vercel"}), throttled=(THROTTLED, OK)),
}


def spans(name: str) -> list[Span]:
    lines = (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [span for line in lines for span in spans_of(json.loads(line))]


@pytest.mark.parametrize("name", STORIES)
def test_a_sample_tells_nothing_of_the_machine_that_took_it(name: str) -> None:
    text = (GOLDEN / f"{name}.jsonl").read_text("utf-8")
    assert not [folder for folder in ("/root/", "/home/", "/work/", "/Users/") if folder in text]


@pytest.mark.parametrize("name", STORIES)
def test_a_sample_is_read_as_what_happened(name: str) -> None:
    story, history = STORIES[name], history_of(spans(name), Limits())
    assert set(history.dialects) == story.dialects
    assert [request.row.ok for request in history.requests] == [True, story.survived, False]
    by_model = [
        {row.model.removeprefix("gemini-") for row in request.journal} for request in history.requests
    ]
    # some name the model by its answer, so that of a call without one none is told
    assert [models - {""} for models in by_model[: 1 + story.survived]] == [{"fine"}, {"throttled"}][
        : 1 + story.survived
    ]
    assert by_model[1] | by_model[2] <= {"throttled", "refused", ""}
    fine, throttled, refused = (
        tuple(row.fault_class for row in request.journal) for request in history.requests
    )
    assert fine == (OK,)
    assert throttled == story.throttled
    assert refused == (REFUSED,)
    assert history.http == story.http
    assert all(bool(request.invocations) is story.invoked for request in history.requests)
    assert len({request.container for request in history.requests} - {None}) == 1
    assert "lost" not in {doubt.kind for doubt in doubts_of(spans(name), Limits())}


def test_every_sample_has_its_story_and_its_versions() -> None:
    taken = {file.stem for file in GOLDEN.glob("*.jsonl")}
    versions = json.loads((GOLDEN / "versions.json").read_text("utf-8"))
    assert taken == set(STORIES) == set(versions)
    assert taken <= set(ENVIRONMENTS)
    assert all(versions.values())
