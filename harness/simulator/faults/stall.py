"""After some chunks nothing more comes, until the caller gives up."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply

STALL_S = 600.0


def _change(scene: Scene) -> Reply:
    return scene.good().ended_after(scene.after_chunks, Ending.HANG, hang_s=scene.lasting(STALL_S))


FAULT = Spoiled(kind="stall", fault_class="stream", change=_change)
