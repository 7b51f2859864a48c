"""Each token is slow in coming after the one before it."""

from dataclasses import replace

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply

SLOW_S = 0.5


def _change(scene: Scene) -> Reply:
    late_s = scene.lasting(SLOW_S)
    good = scene.good()
    slow = [(due_s + number * late_s, piece) for number, (due_s, piece) in enumerate(good.steps)]
    return replace(good, steps=slow)


FAULT = Spoiled(kind="slow_stream", fault_class="slow", change=_change)
