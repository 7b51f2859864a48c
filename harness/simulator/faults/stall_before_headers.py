"""Nothing comes, not even the head of an answer, until the caller gives up."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply, nothing

STALL_S = 600.0


def _change(scene: Scene) -> Reply:
    return nothing(Ending.HANG, hang_s=scene.lasting(STALL_S))


FAULT = Spoiled(kind="stall_before_headers", fault_class="transient", change=_change)
