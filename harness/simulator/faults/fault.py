"""What a fault is: a name, a class, and a function from a call's scene to the reply that it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from harness.records.seen import FaultClass
from harness.simulator.reply import Reply, at_once
from harness.simulator.wire.protocol import BadRequestError, Headers, ModelAnswer, Wire, WireProblem

MODEL = "{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a fault may look at.

    Attributes:
        wire: the protocol that is spoken.
        answer: what the model would have said.
        render: writes an answer as the reply that it would have been.
        request_id: of the call.
        headers: that an error carries besides its own: request id, quota, when to come back.
        retry_after_s: the latter, for bodies that tell it.
        after_chunks: of a stream that go out before the fault.
        delay_s: how long it takes; None for the fault's own default.
    """

    wire: Wire
    answer: ModelAnswer
    render: Callable[[ModelAnswer], Reply]
    request_id: str
    headers: Headers
    retry_after_s: float | None = None
    after_chunks: int = 1
    delay_s: float | None = None

    def good(self) -> Reply:
        """Return the reply that would have been."""
        return self.render(self.answer)

    def lasting(self, default_s: float) -> float:
        """Return how long the fault takes, in seconds."""
        return default_s if self.delay_s is None else self.delay_s


class Fault(Protocol):
    """One kind of fault."""

    @property
    def kind(self) -> str:
        """The name that a `FaultRule` gives."""
        ...

    @property
    def fault_class(self) -> FaultClass:
        """Whether a retry is right; those of class `stream` befall streamed answers only."""
        ...

    def serve(self, scene: Scene) -> Reply:
        """Return what the caller gets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A fault that is an error answer, in each provider's own words.

    Attributes:
        problems: by provider; Azure's are OpenAI's where it has none of its own. A message may name the
            `MODEL` that was asked for.
    """

    kind: str
    fault_class: FaultClass
    problems: Mapping[str, WireProblem]

    def serve(self, scene: Scene) -> Reply:
        """Return the provider's error."""
        problem = self.problem(scene.wire.provider)
        if MODEL in problem.message:
            problem = replace(problem, message=problem.message.replace(MODEL, scene.answer.model))
        headers, body = scene.wire.error(problem, scene.request_id, scene.retry_after_s)
        return at_once(problem.status, headers + scene.headers, body)

    def problem(self, provider: str) -> WireProblem:
        """Return the error in a provider's words."""
        found = self.problems.get(provider)
        return self.problems["openai"] if found is None and provider == "azure" else self.problems[provider]

    def saying(self, error: BadRequestError, message: str) -> Refusal:
        """Return the same fault as what is wrong with one request, with the message of that."""
        changed = {
            name: replace(
                problem,
                message=message,
                param=error.param,
                code=error.code or problem.code,
                status=error.status or problem.status,
                type=error.kind or problem.type,
            )
            for name, problem in self.problems.items()
        }
        return replace(self, problems=changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """A fault that makes something else of a reply.

    Attributes:
        change: what it makes.
    """

    kind: str
    fault_class: FaultClass
    change: Callable[[Scene], Reply]

    def serve(self, scene: Scene) -> Reply:
        """Return the spoiled reply."""
        return self.change(scene)
