"""Conformance of one request at a time: shapes, headers, bad bodies, server-sent events."""

from __future__ import annotations

from collections.abc import Iterator

from harness import contract
from harness.conform.target import (
    ConformFinding,
    ContractAnswer,
    ContractTarget,
    advised,
    describe_answer,
    fell_short,
    held,
    not_made,
    unknown,
)
from harness.outside.secrets import beginning
from harness.outside.text import parse_json

QUESTION = "Name one colour."
STAMP_WATCH_S = 2.2
"""Two seconds and a bit: a stamp taken at the poll shows in any two polls so far apart."""
MILLISECONDS_SINCE = 10**11
"""Unix seconds stay below this for three thousand years; Unix milliseconds passed it in 1973."""
BAD_BODIES = {
    "not JSON": b"{this is not JSON",
    "empty": b"",
    "a list": b"[1, 2]",
    "no prompt": b"{}",
    "a prompt that is a number": b'{"prompt": 7}',
    "not UTF-8": b'{"prompt": "\xff\xfe"}',
}


async def ping_shape(target: ContractTarget) -> ConformFinding:
    """`GET /ping` gives a known status and a whole number of Unix seconds."""
    check = "ping-shape"
    answer = await target.ping()
    body = answer.json()
    if answer.status != 200 or not isinstance(body, dict):  # noqa: PLR2004 - HTTP OK
        return fell_short(check, f"GET /ping: {describe_answer(answer)}. Answer 200 with a JSON object.")
    status, stamp = body.get("status"), body.get("time_of_last_update")
    if status not in (contract.HEALTHY, contract.HEALTHY_BUSY):
        return fell_short(check, f"status is {status!r}. Say 'Healthy' or 'HealthyBusy'.")
    if not isinstance(stamp, int) or isinstance(stamp, bool):
        return fell_short(
            check,
            f"time_of_last_update is {stamp!r}. Give whole Unix seconds: "
            "a platform that misses it takes the container for dead.",
        )
    if stamp >= MILLISECONDS_SINCE or stamp > target.now() + 60:
        return fell_short(
            check, f"time_of_last_update {stamp} lies in the future. Give Unix seconds, not ms."
        )
    return held(check, f"{status}, time_of_last_update in Unix seconds")


async def ping_stamp(target: ContractTarget) -> ConformFinding:
    """`time_of_last_update` is when the status changed, never when it was asked for."""
    check = "ping-stamp"
    first = (await target.ping()).json()
    await target.sleep(STAMP_WATCH_S)
    second = (await target.ping()).json()
    if not isinstance(first, dict) or not isinstance(second, dict):
        return unknown(check, "GET /ping does not give a JSON object; see ping-shape.")
    if first.get("status") != second.get("status"):
        return unknown(
            check, "the status changed while it was watched: is other traffic going to the container?"
        )
    if first.get("time_of_last_update") != second.get("time_of_last_update"):
        return fell_short(
            check,
            f"time_of_last_update moved by {STAMP_WATCH_S:.0f} s with no change of status. Stamp the change, "
            "not the poll: an idle container that always looks fresh is kept alive for hours.",
        )
    return held(check, f"the stamp stood still for {STAMP_WATCH_S:.0f} s of no change")


async def json_answer(target: ContractTarget) -> ConformFinding:
    """A prompt is answered with 200 and JSON."""
    check = "json-answer"
    answer = await target.ask(QUESTION, session_id("json"))
    if answer.status != 200:  # noqa: PLR2004 - HTTP OK
        return fell_short(
            check, f"POST /invocations: {describe_answer(answer)}. A plain prompt must be answered with 200."
        )
    kind = answer.headers.get("content-type", "")
    if "json" not in kind or answer.json() is None:
        return fell_short(
            check, f"the answer is {kind or 'without a content type'}, not JSON. Send application/json."
        )
    return held(check, f"200 and JSON in {answer.seconds * 1e3:.0f} ms")


async def session_header(target: ContractTarget) -> ConformFinding:
    """The session id comes back on the answer."""
    check = "session-header"
    session = session_id("echo")
    answer = await target.ask(QUESTION, session)
    echoed = answer.headers.get(contract.SESSION_HEADER.lower())
    if echoed == session:
        return held(check, "the session id is on the answer")
    state = "is missing" if echoed is None else f"is {echoed!r}"
    return advised(
        check,
        f"{contract.SESSION_HEADER} {state} on the answer. Echo it: callers that let you choose need it.",
    )


async def bad_bodies(target: ContractTarget) -> ConformFinding:
    """A body that is not a valid request is refused with 400 and the reason."""
    check = "bad-bodies"
    problems: list[str] = []
    for name, body in BAD_BODIES.items():
        answer = await target.send(body, session_id("bad"))
        if answer.status not in {400, 413, 415, 422}:
            problems.append(f"{name}: {describe_answer(answer)}")
        elif not isinstance(answer.json(), dict):
            problems.append(f"{name}: {answer.status} without a JSON object that says what is wrong")
    if problems:
        return fell_short(
            check, f"{'; '.join(problems)}. Check the body first, and answer 400 with the reason as JSON."
        )
    return held(
        check, f"{len(BAD_BODIES)} bodies that are not a valid request: each refused, with the reason"
    )


async def sse_shape(target: ContractTarget) -> ConformFinding:
    """`Accept: text/event-stream` gets events of JSON."""
    check = "sse-shape"
    answer = await target.ask(QUESTION, session_id("sse"), accept="text/event-stream")
    kind = answer.headers.get("content-type", "")
    if answer.status == 200 and "json" in kind and answer.json() is not None:  # noqa: PLR2004 - HTTP OK
        return not_made(
            check, "it answers in JSON only, as it may. Stream events, or callers wait for the whole answer."
        )
    if answer.status != 200 or "text/event-stream" not in kind:  # noqa: PLR2004 - HTTP OK
        return fell_short(
            check,
            f"Accept: text/event-stream got {answer.status} {kind or 'without a content type'}. "
            "Answer with events, or with JSON.",
        )
    events = list(sse_data(answer))
    if not events:
        return fell_short(check, "the stream ended without one event.")
    if broken := [text for text in events if not _is_json(text)]:
        return fell_short(
            check, f"an event's data is not JSON: {beginning(broken[0], 60)!r}. Send `data: <json>`."
        )
    return held(check, f"{len(events)} events, each of JSON")


def sse_data(answer: ContractAnswer) -> Iterator[str]:
    """Yield the data of each server-sent event."""
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines)


def session_id(purpose: str) -> str:
    """Name a session; at least 33 characters, as AgentCore demands."""
    return f"agentrig-conform-{purpose}-".ljust(40, "0")


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True
