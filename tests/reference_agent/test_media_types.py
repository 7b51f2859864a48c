from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_agent.media_types import prefers_events
from tests.reference_agent.rig import rig, run
from tests.reference_agent.wire import says

EVENTS = "text/event-stream"


@pytest.mark.parametrize(
    "accept",
    [
        [EVENTS],
        ["Text/Event-Stream"],
        [f"{EVENTS}; charset=utf-8"],
        [f"application/json, {EVENTS}"],
        ["application/json", EVENTS],
        [f"application/json;q=0.5,{EVENTS};Q=0.5"],
        [f"{EVENTS} , */* ; q = 0.1"],
        [f"{EVENTS}, */*"],
        ["text/*"],
        ["application/json;q=0, */*"],
        [f"{EVENTS};q=much"],
    ],
)
def test_events_for_who_wants_them(accept: list[str]) -> None:
    assert prefers_events(accept)


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [""],
        ["*/*"],
        ["text/*, */*"],
        ["application/*"],
        ["application/json"],
        [f"{EVENTS};q=0"],
        [f"{EVENTS};q=0.000, */*"],
        [f"{EVENTS};q=0, text/*"],
        [f"{EVENTS};q=0.9, application/json"],
        [f"{EVENTS};q=0.9, Application/*"],
        [f"x{EVENTS}"],
        [f"{EVENTS}x"],
        [f"text/html; accept={EVENTS}"],
        ["text/html"],
    ],
)
def test_one_piece_for_who_does_not(accept: list[str]) -> None:
    assert not prefers_events(accept)


@given(st.lists(st.text("*/;=,q01. textvnsrmapplicio-"), max_size=3))
def test_whatever_stands_there_events_are_for_who_names_them_or_a_range(accept: list[str]) -> None:
    said = ",".join(accept).lower()
    assert not prefers_events(accept) or EVENTS in said or "/*" in said


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("application/json, Text/Event-Stream", EVENTS), (f"{EVENTS};q=0", "application/json")],
)
def test_the_answer_is_of_the_kind_that_is_wanted(accept: str, kind: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.ask(accept=accept)
            assert answer.headers["content-type"].partition(";")[0] == kind

    run(work())
