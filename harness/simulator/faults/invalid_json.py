"""A success whose body is JSON that breaks off."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply, at_once


def _change(scene: Scene) -> Reply:
    whole = scene.wire.whole(scene.answer)
    headers = [(b"content-type", b"application/json"), *scene.headers]
    return at_once(200, headers, whole[: len(whole) // 2])


FAULT = Spoiled(kind="invalid_json", fault_class="malformed", change=_change)
