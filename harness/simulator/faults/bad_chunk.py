"""After some chunks comes one that no client can read; the rest follows."""

from dataclasses import replace

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply


def _change(scene: Scene) -> Reply:
    good = scene.good()
    before = good.before_end(scene.after_chunks)
    rest = good.steps[len(before) :]
    due_s = before[-1][0] if before else good.head_s
    return replace(good, steps=[*before, (due_s, scene.wire.broken_event()), *rest])


FAULT = Spoiled(kind="bad_chunk", fault_class="stream", change=_change)
