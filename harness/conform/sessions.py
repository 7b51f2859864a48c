"""Conformance of sessions: what was said in one is known in it, and in no other."""

from __future__ import annotations

import asyncio

from harness.conform.basics import QUESTION, session_id
from harness.conform.target import ConformFinding, ContractTarget, fell_short, held, not_made, unknown

RECALL = "Which canary words have I told you in this conversation? List them."
TELL = f"My canary word is {{word}}. {RECALL}"


async def isolation(target: ContractTarget, count: int = 4) -> tuple[ConformFinding, ConformFinding]:
    """Tell each session a canary word, then ask each for all it knows: overlapping, and in turns.

    An Agent that all share leaks in one of the two: in turns what one session said stays in it, and
    overlapping it answers with the messages of whoever came last, or refuses.

    Returns:
        Whether each session remembers its own word, and whether none knows another's.
        A container that remembers nothing gives no proof of isolation.
    """
    salt = f"{int(target.now() * 1000) % 10**8:08d}"
    words = {session_id(f"canary-{salt}-{n}"): f"CANARY-{salt}{n:02d}" for n in range(count)}
    told = await asyncio.gather(
        *(target.ask(TELL.format(word=word), session) for session, word in words.items())
    )
    answers = list(zip(words, told, strict=True))
    for session, answer in list(answers):
        if not answer.ok:  # one that refuses while others are in work gets another try by itself
            answers.append((session, await target.ask(TELL.format(word=words[session]), session)))
    last = {session: answer for session, answer in answers if answer.ok}
    if len(last) < count:
        reason = f"{count - len(last)} of {count} turns failed."
        return unknown("session-memory", reason), unknown("session-isolation", reason)
    in_turns = [(session, await target.ask(RECALL, session)) for session in words]
    together = await asyncio.gather(*(target.ask(RECALL, session) for session in words))
    asked = [*in_turns, *zip(words, together, strict=True)]
    recalled = sum(words[session] in answer.text for session, answer in in_turns)
    leaked = [
        (session, word)
        for session, answer in (*answers, *asked)
        for other, word in words.items()
        if other != session and word in answer.text
    ]
    return _memory(recalled, count), _isolation(leaked, recalled)


async def minted(target: ContractTarget, count: int = 3) -> ConformFinding:
    """Callers that name no session get one each.

    That copies of one snapshot give different ones shows from outside of one container in no way.
    """
    check = "sessions-minted"
    answers = [await target.ask_bare(QUESTION) for _ in range(count)]
    header = target.shape.session_header.lower()
    told = [answer.headers.get(header, "") or _told(answer.json()) for answer in answers if answer.ok]
    sessions = [session for session in told if session]
    if len(sessions) < count:
        return not_made(
            check, f"of {count} requests without a session, {len(sessions)} were answered and told of one."
        )
    if len(set(sessions)) < count:
        return fell_short(
            check,
            f"{count} requests without a session got {len(set(sessions))}: one reads what another said. "
            "Draw an id for each, from the system.",
        )
    return held(
        check,
        f"{count} requests without a session got one each; whether copies of one snapshot give others, "
        "`agentrig run own-restored` asks",
    )


def _told(body: object) -> str:
    """Return the session's id that a JSON answer tells, empty for none."""
    told = body.get("session_id") if isinstance(body, dict) else None
    return told if isinstance(told, str) else ""


def _memory(recalled: int, count: int) -> ConformFinding:
    if recalled == count:
        return held("session-memory", f"{count} sessions, each remembers its own word")
    if recalled:
        return fell_short(
            "session-memory",
            f"only {recalled} of {count} sessions remember what they were told. "
            "Load the session's messages before each request, and save them after.",
        )
    return unknown(
        "session-memory",
        "no session repeats a word it was told a turn before: it keeps no history, or its model can't "
        "recall. Against `agentrig simulator` a kept history shows.",
    )


def _isolation(leaked: list[tuple[str, str]], recalled: int) -> ConformFinding:
    if leaked:
        session, word = leaked[0]
        return fell_short(
            "session-isolation",
            f"session {session} knows {word}, told to another ({len(leaked)} leaks). "
            "Build the Agent anew for each request, with the messages of its own session.",
        )
    if not recalled:
        return unknown(
            "session-isolation", "nothing is remembered, so nothing could leak; see session-memory."
        )
    return held("session-isolation", "no session knows a word told to another")
