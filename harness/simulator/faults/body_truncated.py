"""The connection closes in the middle of the body."""

from dataclasses import replace

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    good = scene.good()
    if good.length is None:
        return good.ended_after(len(good.steps) // 2, Ending.CUT)
    ((due_s, body),) = good.steps
    return replace(good, steps=[(due_s, body[: len(body) // 2])], ending=Ending.CUT)


FAULT = Spoiled(kind="body_truncated", fault_class="transient", change=_change)
