"""After some chunks a stream that began as a success says that it failed of a rate limit.

In Responses that is an event of its own, which clients hand on like any other; elsewhere it is an error.
"""

from dataclasses import replace

from harness.simulator.faults import rate_limit_tokens
from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply


def _change(scene: Scene) -> Reply:
    begun = scene.good().ended_after(scene.after_chunks, Ending.CLEAN)
    problem = rate_limit_tokens.FAULT.problem(scene.wire.provider)
    return replace(
        begun, steps=[*begun.steps, (begun.last_s, scene.wire.failed_event(problem, scene.answer))]
    )


FAULT = Spoiled(kind="failed_event", fault_class="stream", change=_change)
