import itertools
from collections.abc import Callable
from typing import ClassVar

import pytest

from harness.load import caller as caller_module
from harness.load.caller import Caller, Labels
from harness.load.reply import Reply
from harness.records.sent import Arrival, RequestRow
from harness.under_test import HttpRequest, Opening, RequestShape


@pytest.mark.parametrize("prepared", [False, True])
def test_a_call_that_ends_unforeseen_ends_as_a_row_nevertheless(*, prepared: bool) -> None:
    rows: list[RequestRow] = []
    labels = Labels(run_id="r", experiment="опыт", arm="a")  # it is part of an id that no header can carry
    caller = Caller(
        "http://127.0.0.1:1", labels=labels, timeout_s=5, record=rows.append, event=None, now=lambda: 100.5
    )
    arrival = Arrival(index=3, due_s=1.0, session_id="s", prompt="p")
    if prepared:
        caller.prepare(arrival)
    caller.call(arrival, due_s=100.0)
    (row,) = rows
    assert (row.index, row.status, row.error_type, row.due_s) == (3, 0, "UnicodeEncodeError", 100.0)
    assert row.error is not None
    assert "can't encode" in row.error


class Scripted:
    """A service that answers with an event a second, and knows what it was asked."""

    asked: ClassVar[list[tuple[str, str, bytes]]] = []

    def __init__(self, host: str, method: str = "POST", *, now: Callable[[], float], **_: object) -> None:
        self.method, self.now = method, now

    def request(self, target: str, body: bytes, *varying: str) -> bytes:
        self.asked.append((f"{self.method} {target}", varying[1], body))
        return target.encode()

    def send(self, request: bytes, *, leave: bool = False) -> Reply:
        del leave
        reply = Reply()
        reply.status, reply.first_byte_s = 200, self.now()
        if request.startswith(b"/open"):
            reply.headers = {b"content-type": b"application/json"}
            reply.on_body(b'{"id": "theirs"}')
            return reply
        reply.headers = {b"content-type": b"text/event-stream"}
        for said in (b'{"start": 1}', b'{"text": "he"}', b'{"text": "llo"}', b"[DONE]"):
            reply.block_s = self.now()
            reply.on_body(b"data: " + said + b"\n\n")
        return reply


def test_a_request_of_any_shape_is_sent_and_its_first_words_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caller_module, "Service", Scripted)
    monkeypatch.setattr(Scripted, "asked", [])
    rows: list[RequestRow] = []
    shape = RequestShape(
        request=HttpRequest(path="/run/{session}", body={"ask": [{"text": "{prompt}"}]}),
        opening=Opening(request=HttpRequest(method="PUT", path="/open/{session}"), session="id"),
        answer="text",
    )
    seconds = itertools.count(1.0)
    caller = Caller(
        "http://agent",
        labels=Labels(run_id="r", experiment="x", arm="a"),
        timeout_s=5,
        shape=shape,
        record=rows.append,
        event=None,
        now=lambda: next(seconds),
    )
    for index in range(2):
        caller.prepare(Arrival(index=index, due_s=1.0, session_id="ours", prompt='"hi"'))
        caller.call(Arrival(index=index, due_s=1.0, session_id="ours", prompt='"hi"'), due_s=1.0)
    assert Scripted.asked == [
        ("PUT /open/ours", "ours", b""),
        *[("POST /run/theirs", "theirs", b'{"ask": [{"text": "\\"hi\\""}]}')] * 2,
    ]
    first = rows[0]
    assert (first.ok, first.session_id) == (True, "ours")
    assert first.first_byte_s is not None
    assert first.first_token_s == first.first_byte_s + 2, "the second event is the first with words in it"
    assert first.ttft_s is not None
    assert first.ttft_s < first.latency_s
