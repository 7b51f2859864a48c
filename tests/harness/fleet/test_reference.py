"""Without the packages of the reference agent nothing is started, and it is told what installs them."""

from dataclasses import fields
from typing import Any, cast

import pytest

from harness.clock import FakeClock
from harness.errors import StartError
from harness.fleet import reference
from harness.fleet.opening import opened
from harness.fleet.plan import FleetPlan


class Asked:
    """As much of a plan as is looked at."""

    under_test = None
    agent_command = None


def test_with_them_there_is_nothing_to_say() -> None:
    assert reference.lacking() is None
    assert {"under_test", "agent_command"} <= {field.name for field in fields(FleetPlan)}


def test_an_installation_without_them_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MODULES", ("nowhere_at_all", "nowhere_at_all.within", "json"))
    plan: Any = Asked()
    with pytest.raises(StartError) as caught:
        opened(cast(FleetPlan, plan), clock=FakeClock())
    assert "no nowhere_at_all, nowhere_at_all.within: pip install 'agentrig[agent]'" in str(caught.value)
    assert "\n" not in str(caught.value)
