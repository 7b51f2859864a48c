"""A model call as the simulator knows it, and the answer that it is to get."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from harness.simulator import model_text as answers
from harness.simulator.wire.protocol import Finish, ModelAnswer, ModelRequest, Received, Wire
from harness.simulator_config import SimulatorConfig

LONGEST_KEY = 2048
_BAGGAGE_SESSION, _BAGGAGE_RUN = "session.id", "agentrig.run"


@dataclass(slots=True, kw_only=True)
class ModelCall:
    """One attempt of a model call.

    Attributes:
        wire: the protocol that it came in.
        request: what it asks for.
        key: the caller's.
        attempt: 1 for the first time that it was seen.
        lasting: names what errors that last are drawn for.
        session, run: from the baggage, where the caller told.
    """

    wire: Wire
    request: ModelRequest
    key: str
    attempt: int
    lasting: str
    session: str | None = None
    run: str | None = None

    @property
    def request_id(self) -> str:
        """Names this attempt."""
        return f"{self.request.call_id}{self.attempt:04x}"


def session_and_run(headers: Received) -> tuple[str | None, str | None]:
    """Return the `session.id` and `agentrig.run` of a W3C baggage."""
    baggage = headers.get(b"baggage")
    if baggage is None:
        return None, None
    members = (member.partition(";")[0].partition("=") for member in baggage.decode("latin-1").split(","))
    values = {name.strip(): unquote(value.strip()) for name, _, value in members}
    return values.get(_BAGGAGE_SESSION), values.get(_BAGGAGE_RUN)


def answer_to(request: ModelRequest, config: SimulatorConfig) -> ModelAnswer:
    """Return what the model says: made of the call's hash, so the same in each attempt."""
    count = config.latency.tokens
    name, finish, tool, stop = request.call_id, Finish.STOP, None, None
    if request.counts:
        count, pieces = 0, [""]
    elif request.tools and (request.must_call or request.tool_results < config.tool_turns):
        tool, finish = request.tools[min(request.tool_results, len(request.tools) - 1)], Finish.TOOL
        text, limit = answers.json_of(tool.schema or {}, name), request.max_tokens
        if limit is not None:
            count = min(count, limit)
            if answers.tokens_in([text]) > limit:
                text, count, finish = text[: limit * answers.CHARS_PER_TOKEN], limit, Finish.LENGTH
        pieces = answers.cut(text, count)
    else:
        if request.max_tokens is not None and request.max_tokens < count:
            count, finish = request.max_tokens, Finish.LENGTH
        if request.schema is not None:
            pieces = answers.cut(answers.json_of(request.schema, name), config.latency.tokens)[:count]
        else:
            pieces = answers.words(name, count, request.question, request.user_texts)
        if request.stops and (found := answers.stopped(pieces, request.stops)) is not None:
            pieces, stop = found
            count, finish = len(pieces), Finish.STOPPED
    return ModelAnswer(
        request=request,
        pieces=pieces,
        tokens=count,
        input_tokens=answers.tokens_in(request.texts),
        finish=finish,
        stop=stop,
        tool=tool,
    )
