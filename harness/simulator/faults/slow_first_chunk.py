"""The first token is long in coming; the head comes in time, and all after it as fast as ever."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply

SLOW_S = 5.0


def _change(scene: Scene) -> Reply:
    late_s = scene.lasting(SLOW_S)
    return scene.good().retimed(lambda due_s: due_s + late_s)


FAULT = Spoiled(kind="slow_first_chunk", fault_class="slow", change=_change)
