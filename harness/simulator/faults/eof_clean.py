"""After some chunks the stream ends as if that were all: every SDK takes it for success."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    return scene.good().ended_after(scene.after_chunks, Ending.CLEAN)


FAULT = Spoiled(kind="eof_clean", fault_class="stream", change=_change)
