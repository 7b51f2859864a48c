"""After some chunks the provider's error comes, inside a stream that began as a success."""

from dataclasses import replace

from harness.simulator.faults import overloaded
from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    begun = scene.good().ended_after(scene.after_chunks, Ending.CLEAN)
    event = scene.wire.error_event(overloaded.FAULT.problem(scene.wire.provider))
    return replace(begun, steps=[*begun.steps, (begun.last_s, event)])


FAULT = Spoiled(kind="error_event", fault_class="stream", change=_change)
