"""Conversations with canary words, written by hand."""

from tests.harness.histories import Arm


def say(
    arm: Arm, session: str, word: str, *recalled: str, at_s: float | None = None, failed: bool = False
) -> str:
    """Add a turn that tells `word`, its answer with the words it recalls; return its trace id.

    Turns come a second after another, and take a tenth of it, unless `at_s` says when.
    """
    due_s = float(len(arm.rows)) if at_s is None else at_s
    trace = arm.request(due_s=due_s, status=0 if failed else 200, error="reset" if failed else None)
    arm.change(session_id=session, canary=word, recalled=recalled)
    return trace
