"""What was asked is withheld by a filter, in an answer that says so: no error at all."""

from dataclasses import replace

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply
from harness.simulator.wire.protocol import Finish


def _change(scene: Scene) -> Reply:
    withheld = replace(scene.answer, pieces=[""], tokens=1, tool=None, stop=None, finish=Finish.FILTERED)
    return scene.render(withheld)


FAULT = Spoiled(kind="content_filter_200", fault_class="permanent", change=_change)
