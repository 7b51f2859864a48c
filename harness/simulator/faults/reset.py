"""After some chunks the connection is reset."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    return scene.good().ended_after(scene.after_chunks, Ending.RESET)


FAULT = Spoiled(kind="reset", fault_class="stream", change=_change)
