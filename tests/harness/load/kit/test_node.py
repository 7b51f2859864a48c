import dataclasses
import itertools
import json
import random
from collections.abc import Iterator

import pytest

from harness.load.job import DEFAULT_SHAPE
from harness.load.kit.limits import LoadLimits
from harness.load.kit.node import BeginMessage, DriverScenario, Node, Part, plan_of
from harness.load.kit.profiles import Constant, Due
from harness.load.kit.shares import Share, ShareState
from harness.load.kit.tally import Tally
from harness.outside.secrets import hidden
from harness.under_test import RequestShape
from tests.harness.load.kit.test_leader import settings
from tests.harness.load.rows import row

STEADY = DriverScenario(name="Steady", host="http://h", profile=Constant(10.0), turns=1)


def test_a_plan_with_an_end_has_what_is_due_before_it_and_nothing_that_is_due_at_it() -> None:
    plan = list(plan_of(STEADY, settings(LoadLimits()), 4.0, "r"))
    assert len(plan) == 40
    assert plan == list(itertools.islice(plan_of(STEADY, settings(LoadLimits()), None, "r"), 40))


def test_the_shares_of_a_plan_with_an_end_are_all_of_it() -> None:
    plan = list(plan_of(STEADY, settings(LoadLimits()), 4.0, "r"))
    taken = [arrival for first in range(3) for arrival in Share(first, 3).take(plan)]
    assert sorted(arrival.index for arrival in taken) == list(range(40))


@pytest.mark.parametrize("length_s", [4.0, None])
def test_orders_arrive_as_they_were_sent(length_s: float | None) -> None:
    message = BeginMessage(
        run_id="r", start_s=50.0, length_s=length_s, shares={"Steady": (Share(0, 2), Share(1, 2))}
    )
    assert BeginMessage.from_wire(message.to_wire()) == message


@pytest.mark.parametrize("run_id", ["r", None])
def test_what_a_process_hands_in_arrives_as_it_was(run_id: str | None) -> None:
    tally = Tally()
    tally.add(row(0))
    part = Part(run_id=run_id, tally=tally, shares={"Steady": [ShareState.SENT, ShareState.WAITING]})
    back = Part.from_wire(json.loads(json.dumps(part.to_wire())))
    assert (back.run_id, back.shares) == (part.run_id, part.shares)
    assert back.tally.to_wire() == tally.to_wire()


class Nothing:
    """A plan without an arrival, and one that breaks off."""

    def due(self, _draw: random.Random, factor: float) -> Iterator[Due]:
        if factor > 1:
            raise ZeroDivisionError
        yield from ()


def node(rate_factor: float = 1.0, request: RequestShape = DEFAULT_SHAPE) -> Node:
    its_settings = dataclasses.replace(settings(LoadLimits()), rate_factor=rate_factor)
    a_node = Node(its_settings, NoListener(), 0, None)
    a_node.begin(
        BeginMessage(
            run_id="r",
            start_s=0.0,
            length_s=4.0,
            shares={"Steady": (Share(0, 2), Share(1, 2))},
            request=request,
        )
    )
    return a_node


class NoListener:
    """Locust's `request` event, that nothing listens to."""

    def fire(self, **about: object) -> None:
        raise AssertionError(about)


EMPTY = dataclasses.replace(STEADY, profile=Nothing())


def test_a_share_that_no_user_came_to_drive_is_reported() -> None:
    a_node = node()
    a_node.drive(EMPTY)
    a_node.drain(whole=True)
    a_node.drive(EMPTY)  # its `on_start` took longer than the test
    assert a_node.part().run_id == "r"
    assert a_node.part().shares == {"Steady": [ShareState.SENT, ShareState.WAITING]}


def test_a_plan_that_breaks_off_is_reported_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    a_node = node(rate_factor=2.0)
    a_node.drive(EMPTY)
    a_node.drain(whole=True)
    assert a_node.part().shares == {"Steady": [ShareState.BROKEN, ShareState.WAITING]}
    assert "Steady broke off: what was left of its share is not sent" in caplog.messages


def test_who_comes_after_the_shares_were_assigned_gets_none() -> None:
    a_node = node()
    for _ in range(3):
        a_node.drive(EMPTY)
    a_node.drain(whole=True)
    assert a_node.part().shares == {"Steady": [ShareState.SENT, ShareState.SENT]}


def test_each_test_names_its_sessions_anew_and_all_its_processes_the_same() -> None:
    first, again, other = (
        list(plan_of(STEADY, settings(LoadLimits()), 4.0, name)) for name in ("r", "r", "s")
    )
    assert first == again
    assert not {a.session_id for a in first} & {a.session_id for a in other}
    assert [(a.due_s, a.prompt) for a in first] == [(a.due_s, a.prompt) for a in other]


def test_a_worker_hides_the_secrets_and_prompts_of_a_request_that_it_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "marked-header-91c2")
    headers = {"Authorization": "Bearer ${TEAM_TOKEN}", "X-Key": "marked-key-7f3a"}
    a_node = node(request=RequestShape(headers=headers, prompts=("marked-prompt-5d1e: what is it?",)))
    a_node.drive(EMPTY)
    a_node.drain(whole=True)
    assert hidden("marked-header-91c2 marked-key-7f3a marked-prompt-5d1e: what is it?") == (
        "[secret] [secret] [prompt]"
    )
