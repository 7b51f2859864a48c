"""After some chunks comes an error as gateways to many providers write it: its code is a number."""

from dataclasses import replace

from harness.simulator.faults import overloaded
from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    begun = scene.good().ended_after(scene.after_chunks, Ending.CLEAN)
    problem = overloaded.FAULT.problem(scene.wire.provider)
    event = scene.wire.error_event(replace(problem, code=problem.status, message="Provider returned error"))
    return replace(begun, steps=[*begun.steps, (begun.last_s, event)])


FAULT = Spoiled(kind="gateway_error_event", fault_class="stream", change=_change)
