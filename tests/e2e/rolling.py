"""A rolling update under load: what callers get while each container is replaced."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from harness.fleet.protocol import Fleet
from harness.records.spec import EventSpec
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from tests.e2e.waiting import DEADLINE_S, until

CALLERS = 6
TAKES_S = {True: 5.0, False: 12.0}
"""A request, of an agent that drains and of one that drops: longer than a busy machine takes from the list
without a container to the signal, so that it has some in work then."""


def rolled(*, drains: bool) -> dict[str, Any]:
    """Return what is changed of a plan, so that all of its containers are replaced in turn."""
    return {
        "events": (EventSpec(action="replace", at_s=0.0),),
        "simulator": SimulatorConfig(latency=Latency(ttft=Distribution(median_s=TAKES_S[drains]), tokens=1)),
        "env": {"AGENT_DRAIN_S": "20" if drains else "0"},
    }


def statuses(fleet: Fleet) -> list[int]:
    """Ask all the time until all containers were replaced, and return what came of it: 0 for no answer."""
    first = [each.name for each in fleet.containers]
    over, served = threading.Event(), list[int]()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=DEADLINE_S) as client:
            while not over.is_set():
                try:
                    answer = client.post(f"{fleet.urls[0]}/invocations", json={"prompt": "hello"})
                except httpx.TransportError:
                    served.append(0)
                else:
                    served.append(answer.status_code)

    def replaced() -> bool:
        fleet.step()
        return len(fleet.events) == len(first)

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(ask) for _ in range(CALLERS)]
        try:
            fleet.begin(time.time())
            until("all containers replaced", replaced)
        finally:
            over.set()

        def answered() -> bool:  # the last one that leaves has something in work
            fleet.step()
            return all(each.done() for each in asking)

        until("the last answers", answered)
    assert [(event.action, event.container) for event in fleet.events] == [
        ("replace", name) for name in first
    ]
    staying = [each.name for each in fleet.containers if each.left_s is None]
    assert len(staying) == len(first)
    assert not set(staying) & set(first)
    return served
