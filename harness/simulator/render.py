"""From a decision to the reply: who said what, in which protocol, and when each piece is due."""

from __future__ import annotations

from dataclasses import replace

from harness.simulator.calls import ModelCall
from harness.simulator.fault_choice import CallDecision
from harness.simulator.faults.fault import Scene
from harness.simulator.reply import Reply, at_once
from harness.simulator.wire.gemini import GeminiArray
from harness.simulator.wire.protocol import Headers, ModelAnswer, Wire

JSON_TYPE = (b"content-type", b"application/json")


def reply_to(call: ModelCall, answer: ModelAnswer, decision: CallDecision, now_s: float) -> Reply:
    """Return the reply to a call.

    Args:
        call: the call.
        answer: what the model says when nothing goes wrong.
        decision: what happens to it.
        now_s: Unix time.
    """
    wire = call.wire
    headers = wire.id_headers(call.request_id)
    if decision.quota is not None:
        headers += wire.quota_headers(decision.quota, now_s)

    took_s = decision.ttft_s + decision.itl_s * max(0, answer.tokens - 1)
    answer.first_s, answer.took_s = decision.ttft_s, took_s

    def render(content: ModelAnswer) -> Reply:
        if call.request.stream:
            return streamed(wire, content, headers, decision)
        told = [JSON_TYPE, *wire.answer_headers(content), *headers]
        return at_once(200, told, wire.whole(content), due_s=took_s)

    if decision.fault is None:
        return _framed(wire, render(answer))
    rule = decision.rule
    scene = Scene(
        wire=wire,
        answer=answer,
        render=render,
        request_id=call.request_id,
        headers=headers + wire.retry_headers(decision.retry_after_s, decision.form, now_s),
        retry_after_s=decision.retry_after_s,
        after_chunks=rule.after_chunks if rule else 1,
        delay_s=rule.delay_s if rule else None,
    )
    return _framed(wire, decision.fault.serve(scene))


def _framed(wire: Wire, reply: Reply) -> Reply:
    """Return a reply with what its protocol puts around and between the pieces of a stream."""
    if reply.length is not None or not isinstance(wire, GeminiArray):
        return reply
    pieces = wire.framed([piece for _, piece in reply.steps])
    due_s = [due_s for due_s, _ in reply.steps]
    return replace(reply, steps=[*zip(due_s, pieces, strict=True)])


def streamed(wire: Wire, answer: ModelAnswer, headers: Headers, decision: CallDecision) -> Reply:
    """Return a streamed reply: token k is due at ttft + k * itl, what ends it with the last token."""
    *pieces, end = wire.chunks(answer)
    ttft_s, itl_s = decision.ttft_s, decision.itl_s
    steps = [(ttft_s + number * itl_s, piece) for number, piece in enumerate(pieces)]
    steps.append((answer.took_s, end))
    told = [(b"content-type", wire.stream_type), *wire.answer_headers(answer), *headers]
    return Reply(status=200, headers=told, steps=steps, head_s=ttft_s)
