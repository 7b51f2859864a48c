"""The user class that scenarios are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import locust
from gevent.event import Event

from harness.load.kit.checked import shape_of
from harness.load.kit.node import DriverScenario
from harness.load.kit.profiles import Profile
from harness.load.kit.throttling import Throttling
from harness.load.kit.wiring import node_of


class OpenUser(locust.User):
    """Sends requests when they are due, however many are still unanswered.

    One user is one driver. More of them, on one worker or on many, share the same plan:
    the load does not grow with the number of users. Set `--rate-factor` for that.

    Attributes:
        arrivals: when requests are due.
        turns: requests of one session; above 1 they are conversations.
        throttling: trouble at the model API for as long as the test lasts.
        request: how the service is asked, in the words of a `[request]` table of an agentrig.toml: path,
            body, answer, headers and so on. Without one, that file's holds, or what the fleet says.
    """

    abstract = True
    arrivals: ClassVar[Profile]
    turns: ClassVar[int] = 1
    throttling: ClassVar[Throttling | None] = None
    request: ClassVar[Mapping[str, Any] | None] = None

    @locust.task
    def drive(self) -> None:
        """Send this user's share of the arrivals, then wait for the test's end."""
        scenario = DriverScenario(
            name=type(self).__name__,
            host=self.host or "",
            profile=self.arrivals,
            turns=self.turns,
            request=shape_of(type(self)),
        )
        node = node_of(self.environment)
        if node is not None:
            node.drive(scenario)
        Event().wait()
