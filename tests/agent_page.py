"""Makes the tables of `docs/agent.md`, and looks up the figures in its text."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from reference_agent import contract, failures
from reference_agent.adapters.sessions.protocol import ANSWERS_KEPT, MAX_TURN_BYTES
from reference_agent.adapters.sessions.redis import WRITE_PATIENCE_S
from reference_agent.app import CLOSE_S
from reference_agent.health import RESTORED_S
from reference_agent.invocations import LAST_EVENT_S
from reference_agent.patterns.client_cache import ClientUnavailableError
from reference_agent.server import LAST_ANSWERS_S
from reference_agent.settings import Settings
from reference_agent.sse import HEAD_AFTER_S
from reference_agent.telemetry.providers import FLUSH_S

END = "<!-- end -->"
FIGURES = (
    f"last {ANSWERS_KEPT} answers",
    f"it has {MAX_TURN_BYTES} bytes at most",
    f"tried for {WRITE_PATIENCE_S:g} s",
    f"({LAST_ANSWERS_S} s), closes ({CLOSE_S:g} s) and hands in its spans ({FLUSH_S:g} s)",
    f"still for more than {RESTORED_S:g} s",
    f"headers after {HEAD_AFTER_S:g} s at the latest",
    f"gets {LAST_EVENT_S:g} s more",
    *(f"`{name}`" for name in (contract.SESSION_HEADER, contract.REQUEST_HEADER, *contract.DEADLINE_HEADERS)),
)
"""What the text says of the code."""
WHEN = {
    "deadline": ("the request's time is over", "with care: tools may have run"),
    "session_conflict": ("another request of the session finished first, or it was deleted", "at once"),
    "request_id_reused": ("the request id was used with another body", "with another id"),
    "turn_too_large": ("the prompt can't be kept; the model was not asked", "no"),
    "answer_too_large": ("what came can't be kept; the session is as before", "ask for less: tools have run"),
    "too_many_model_calls": ("the model asks for tools without end", "ask for less: tools have run"),
    "session_store": ("the session store can't be reached, or written", "after `Retry-After`"),
    "client_unavailable": ("a client can't be built; with `x-agent-busy`", "at once, elsewhere"),
    "draining": (
        "the container leaves in the midst of the work; with `x-agent-busy`: before it began",
        "after `Retry-After`, or at once elsewhere",
    ),
    "internal": ("a mistake of the agent; its log says which", "no"),
}


def made_anew(page: str) -> str:
    """Return the page with its tables as they are now."""
    for name, lines in (("settings", settings()), ("statuses", statuses())):
        begin = f"<!-- {name}: made from the code -->\n"
        before, _, rest = page.partition(begin)
        after = rest.partition(END)[2]
        page = before + begin + "".join(f"{line}\n" for line in lines) + END + after
    return page


def meanings() -> dict[str, str]:
    """Return what each setting is, from the docstring: names, a colon, and a text that may go on indented."""
    told: dict[str, str] = {}
    listed = (inspect.getdoc(Settings) or "").partition("Attributes:\n")[2]
    for entry in re.findall(r"^    (\w[\w, ]*: .*(?:\n {8}.*)*)", listed, re.MULTILINE):
        names, _, text = entry.partition(": ")
        told |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return told


def settings() -> Iterator[str]:
    told = meanings()
    yield from ("| variable | default | what it is |", "|---|---|---|")
    for name, field in Settings.model_fields.items():
        yield f"| `{name.upper()}` | {shown(field.default)} | {told[name]} |"


def shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    return (
        f"`{value:g}`"
        if isinstance(value, float)
        else f"`{value}`"
        if value
        else "none"
        if value is None
        else ""
    )


def statuses() -> Iterator[str]:
    yield from ("| status | `error_type` | when | again? |", "|---|---|---|---|")
    yield "| 503, `x-agent-busy`, no body | | no slot is free, or the container leaves | at once, elsewhere |"
    raised = [kind() for kind in failures._BY_CLASS]
    errors = [
        failures.as_agent_error(error) for error in [*raised, ClientUnavailableError("a", 1.0), ValueError()]
    ]
    told = {(int(error.status), error.error_type) for error in [*errors, failures.draining_error()]}
    assert {error_type for _, error_type in told} == set(WHEN)
    for status, error_type in sorted(told):
        when, again = WHEN[error_type]
        yield f"| {status} | `{error_type}` | {when} | {again} |"
