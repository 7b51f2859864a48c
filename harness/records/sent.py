"""What is to be sent, and what the client saw of it.

Times named `*_s` are Unix seconds when they are instants and seconds when they are durations. Every process
of a run is on one machine, so instants compare.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request of the plan. Every arm of an experiment replays the same plan.

    Attributes:
        index: position in the plan, from 0.
        due_s: when it is due, in seconds after the load begins.
        session_id: the conversation it belongs to.
        prompt: the user's words; unique in the plan, so that the model call is too.
        phase: `burst`, `steady`, `ramp-8`, ...: which part of the plan it belongs to.
        canary: the word that the prompt tells, None when the plan has no canaries.
        leaves: whether its reader leaves as soon as a first part of the answer is there.
    """

    index: int
    due_s: float
    session_id: str
    prompt: str
    phase: str = "steady"
    canary: str | None = None
    leaves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """What the client saw of one request: a line of `requests.jsonl`.

    Attributes:
        experiment, arm: where it belongs.
        index, phase, session_id: as in its `Arrival`.
        request_id: unique in the run.
        trace_id, span_id: the W3C trace context it was sent with (hex).
        due_s: when it was to be sent; latency counts from here.
        sent_s: when it was sent.
        end_s: when the whole answer was there, or the failure was.
        first_byte_s: when the first byte of the answer was there, its status; None when none came.
        first_token_s: when the first words of the answer were, None without any: of a stream the first event
            with some in it, of one JSON value its end.
        status: HTTP status, 0 when no answer came.
        error: what went wrong, None for a success.
        error_type: the agent's `error_type`, or the client's exception class.
        upstream: `host:port` of the container that answered, where the balancer told.
        body_bytes: size of the answer's body.
        canary: the word that this request told.
        recalled: the canary words in the answer, each as often as in one text of it.
        left: whether its reader left in mid-answer, as planned: that is neither a success nor a failure.
        answer_chars: how long the answer's words are; None where nobody looked.
    """

    experiment: str
    arm: str
    index: int
    phase: str
    session_id: str
    request_id: str
    trace_id: str
    span_id: str
    due_s: float
    sent_s: float
    end_s: float
    status: int
    error: str | None = None
    error_type: str | None = None
    upstream: str | None = None
    body_bytes: int = 0
    canary: str | None = None
    recalled: tuple[str, ...] = ()
    first_byte_s: float | None = None
    first_token_s: float | None = None
    left: bool = False
    answer_chars: int | None = None

    @property
    def latency_s(self) -> float:
        """Seconds from the *intended* start to the end of the answer."""
        return self.end_s - self.due_s

    @property
    def ttfb_s(self) -> float | None:
        """Seconds from the intended start to the first byte of the answer."""
        return None if self.first_byte_s is None else self.first_byte_s - self.due_s

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the intended start to the first words of the answer."""
        return None if self.first_token_s is None else self.first_token_s - self.due_s

    @property
    def streamed_s(self) -> float | None:
        """Seconds from the first words of the answer to its end."""
        return None if self.first_token_s is None else self.end_s - self.first_token_s

    @property
    def lateness_s(self) -> float:
        """Seconds that the load itself was late in sending."""
        return self.sent_s - self.due_s

    @property
    def ok(self) -> bool:
        """Whether the caller got what it asked for."""
        return self.error is None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's success
