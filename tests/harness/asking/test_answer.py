import json

import pytest

from harness.asking.answer import Answer, AnswerReader, ErrorRule, Failure
from harness.under_test import RequestShape

JSON = "application/json"
STREAM = "text/event-stream; charset=utf-8"
LINES = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"


def read(status: int, content_type: str, body: bytes, answer: str = "", *error_when: str) -> Answer:
    shape = RequestShape(answer=answer, error_when=error_when)
    return AnswerReader.of(shape).read(status, content_type, body)


def failure_of(
    status: int, content_type: str, body: bytes, answer: str = "", *error_when: str
) -> Failure | None:
    return read(status, content_type, body, answer, *error_when).failure


def recalled_in(body: bytes, content_type: str = JSON, answer: str = "") -> tuple[str, ...]:
    return read(200, content_type, body, answer).recalled


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{"output": "hello"}'),
        (JSON, b'"a bare string is JSON too"'),
        (JSON, b'{"output": "x", "error": null}'),
        (STREAM, b'data: {"delta": "he"}\n\ndata: {"delta": "llo"}\n\n'),
    ],
)
def test_a_200_with_the_expected_json_is_a_success(content_type: str, body: bytes) -> None:
    assert failure_of(200, content_type, body) is None


def test_a_200_that_says_error_is_an_error_of_the_type_it_gives() -> None:
    body = b'{"error": "the model refused", "error_type": "ContentFiltered"}'
    assert failure_of(200, JSON, body) == Failure(
        "HTTP 200 with an error: the model refused", "ContentFiltered"
    )


def test_an_error_as_last_event_of_a_stream_is_an_error() -> None:
    body = b'data: {"delta": "he"}\n\ndata: {"error": "cut off", "error_type": "Throttled"}\n\n'
    failure = failure_of(200, STREAM, body)
    assert failure == Failure("HTTP 200 with an error: cut off", "Throttled")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(JSON, b""), (JSON, b"<html>welcome</html>"), (JSON, b'{"output": "hel'), (STREAM, b""), ("", b"x")],
)
def test_a_200_without_the_expected_json_is_an_error(content_type: str, body: bytes) -> None:
    failure = failure_of(200, content_type, body)
    assert failure is not None
    assert failure.error_type == "not_json"


def test_any_other_status_is_an_error_with_the_reason_the_body_gives() -> None:
    body = b'{"error": "slow down", "error_type": "ThrottlingException"}'
    assert failure_of(429, JSON, body) == Failure("HTTP 429: slow down", "ThrottlingException")


def test_a_status_without_a_body_is_told_by_its_number() -> None:
    assert failure_of(503, "", b"") == Failure("HTTP 503: (empty body)", "http_503")


def test_a_redirect_is_an_error_as_nobody_follows_it() -> None:
    assert failure_of(302, JSON, b"{}") is not None


def test_what_is_shown_of_a_body_is_short() -> None:
    failure = failure_of(500, "text/plain", b"x" * 10_000)
    assert failure is not None
    assert len(failure.error) < 300


@pytest.mark.parametrize(
    "body",
    [
        b'{"result": "CANARY-a1, CANARY-b2, CANARY-a1", "session_id": "s"}',
        b'{"output": {"content": [{"text": "CANARY-a1, CANARY-b2 and CANARY-a1."}]}}',
        (
            b'data: {"delta": "CANARY-a1"}\n\ndata: {"delta": "CANARY-b2\\nCANARY-a1"}\n\n'
            b'data: {"end": "CANARY-c"}\n\n'
        ),
    ],
)
def test_canary_words_are_found_in_any_shape_of_answer_in_order_and_as_often_as_they_stand(
    body: bytes,
) -> None:
    found = recalled_in(body, STREAM if body.startswith(b"data") else JSON)
    assert [word for word in found if word != "CANARY-c"] == ["CANARY-a1", "CANARY-b2", "CANARY-a1"]


CONVERSATION = (
    b'{"messages": [{"human": "My word is CANARY-a1."}, {"ai": "CANARY-a1"}, '
    b'{"human": "My word is CANARY-b2."}, '
    b'{"ai": "CANARY-a1 and %b"}]}'
)
"""As agents answer that hand out all that they hold."""


@pytest.mark.parametrize("path", ["", "messages[-1].ai"])
def test_who_answers_with_the_whole_conversation_has_doubled_no_turn_of_it(path: str) -> None:
    assert sorted(recalled_in(CONVERSATION % b"CANARY-b2", answer=path)) == ["CANARY-a1", "CANARY-b2"]
    doubled = recalled_in(CONVERSATION % b"CANARY-b2, CANARY-b2", answer=path)
    assert sorted(doubled) == ["CANARY-a1", "CANARY-b2", "CANARY-b2"]


def test_a_word_of_another_is_found_wherever_in_the_body_it_stands() -> None:
    body = b'{"answer": "CANARY-a1", "sources": ["CANARY-ee", "CANARY-ee"]}'
    assert recalled_in(body, answer="answer") == ("CANARY-a1", "CANARY-ee")
    assert recalled_in(body) == ("CANARY-a1", "CANARY-ee")


@pytest.mark.parametrize("pieces", [("CANARY-a", "1 and CANARY-b2"), ("CAN", "ARY-a1", " and ", "CANARY-b2")])
def test_a_word_that_a_stream_cuts_anywhere_is_whole_again(pieces: tuple[str, ...]) -> None:
    events = "".join(
        f"data: {json.dumps({'id': f'e{n}', 'delta': each})}\n\n" for n, each in enumerate(pieces)
    )
    assert recalled_in(events.encode(), STREAM) == ("CANARY-a1", "CANARY-b2")


def test_events_that_each_have_a_text_of_their_own_are_kept_apart() -> None:
    events = b'data: {"said": "CANARY-a1"}\n\ndata: {"said": "CANARY-b2"}\n\n'
    assert recalled_in(events, STREAM) == ("CANARY-a1", "CANARY-b2")


def test_a_stream_that_says_all_of_it_once_more_at_its_end_has_doubled_nothing() -> None:
    events = b"".join(
        b"data: %b\n\n" % each
        for each in (
            b'{"delta": "CANARY-"}',
            b'{"delta": "a1, CANARY-b2"}',
            b'{"text": "CANARY-a1, CANARY-b2"}',
        )
    )
    assert recalled_in(events, STREAM) == ("CANARY-a1", "CANARY-b2")


def test_an_answer_of_other_words_recalls_nothing() -> None:
    assert recalled_in(b'{"result": "None. \xff"}') == ()


def test_an_answer_without_the_field_that_holds_its_text_is_none() -> None:
    assert failure_of(200, "application/json", b'{"reply": "hello"}', "reply") is None
    for body in (b'{"reply": ""}', b'{"answer": "hello"}', b"[1]"):
        failure = failure_of(200, "application/json", body, "reply")
        assert failure is not None
        assert failure.error.startswith("HTTP 200 without reply: ")
        assert failure.error_type == "no_answer"


def test_half_a_character_in_an_error_becomes_one_that_a_file_can_hold() -> None:
    body = b'{"error": "cut \\ud83d", "error_type": "\\ud83d"}'
    assert failure_of(200, "application/json", body) == Failure("HTTP 200 with an error: cut ?", "?")


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (201, JSON, b'{"output": "made"}'),
        (200, TEXT, b"a plain text is an answer"),
        (200, STREAM, b'data: {"delta": "he"}\n\ndata: [DONE]\n\n'),
        (200, STREAM, b"event: token\ndata: hello\n\n: a comment\n\ndata: there\n\n"),
        (200, STREAM, b'data: {"a":\r\ndata: 1}\r\n\r\n'),
        (200, LINES, b'{"delta": "he"}\n\n{"delta": "llo"}\n'),
    ],
)
def test_answers_of_other_shapes_are_successes(status: int, content_type: str, body: bytes) -> None:
    assert failure_of(status, content_type, body) is None


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        (STREAM, b'data: {"error": "cut off"}\n\ndata: {"delta": "good-bye"}\n\n', "cut off"),
        (STREAM, b'data: {"error": "cut off"}\n\ndata: [DONE]\n\n', "cut off"),
        (STREAM, b'data: {"type": "RUN_ERROR", "message": "no"}\n\ndata: {"type": "END"}\n\n', "no"),
        (STREAM, b"event: error\ndata: it broke\n\ndata: good-bye\n\n", "it broke"),
        (LINES, b'{"error": {"message": "slow down", "code": "429"}}\n{"done": true}\n', "slow down"),
    ],
)
def test_an_error_in_mid_stream_is_one_whatever_comes_after_it(
    content_type: str, body: bytes, said: str
) -> None:
    failure = failure_of(200, content_type, body)
    assert failure is not None
    assert said in failure.error


@pytest.mark.parametrize("body", [b"", b"data: [DONE]\n\n", b": only a comment\n\n"])
def test_a_stream_without_an_event_is_no_answer(body: bytes) -> None:
    assert failure_of(200, STREAM, body) is not None


@pytest.mark.parametrize(("content_type", "body"), [(TEXT, b" \n"), ("text/html", b"<h1>Bad gateway</h1>")])
def test_an_empty_text_or_a_page_is_no_answer(content_type: str, body: bytes) -> None:
    assert failure_of(200, content_type, body) is not None


def test_half_an_event_of_json_is_an_error() -> None:
    failure = failure_of(200, STREAM, b'data: {"delta": "he"}\n\ndata: {"del')
    assert failure is not None
    assert failure.error_type == "not_json"


@pytest.mark.parametrize(
    ("rule", "body", "wrong"),
    [
        ('result ^= "Error:"', b'{"result": "Error: no such city"}', True),
        ('result ^= "Error:"', b'{"result": "An Error: no"}', False),
        ('result *= "went wrong"', b'{"result": "It went wrong."}', True),
        ("state = failed", b'{"state": "failed"}', True),
        ("code = 7", b'{"code": 7}', True),
        ("code = 7", b'{"code": "7"}', False),
        ("steps[*].failed", b'{"steps": [{"failed": false}, {"failed": true}]}', True),
        ("state = failed", b'{"error": "of a tool, which the agent dealt with"}', False),
        ('$ ^= "Error"', b'"Error: all of it"', True),
    ],
)
def test_the_owner_says_what_an_error_is(rule: str, body: bytes, *, wrong: bool) -> None:
    assert (failure_of(200, JSON, body, "", rule) is not None) == wrong


@pytest.mark.parametrize("rule", ["", "= x", "a..b", "a ^= ", "a[x]"])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ErrorRule.of(rule)


def test_a_nested_answer_is_found_and_its_pieces_are_one_text() -> None:
    events = b"".join(
        b'data: {"content": {"parts": [{"text": "%b"}]}}\n\n' % word for word in (b"CANARY-", b"a1", b" x")
    )
    said = read(200, STREAM, events, "content.parts[0].text")
    assert (said.failure, said.text) == (None, "CANARY-a1 x")
    assert said.recalled == ("CANARY-a1",), "a word that was cut in two"
    assert recalled_in(events, STREAM) == ("CANARY-a1",)
    assert failure_of(200, JSON, b'[{"a": 1}, {"content": "x"}]', "[-1].content") is None
    assert failure_of(200, JSON, b'[{"content": "x"}, {"a": 1}]', "[-1].content") is not None


def test_the_first_words_are_there_when_their_event_is() -> None:
    first = b'data: {"start": true}\n\n'
    second = b'data: {"delta": "he"}\n\n'
    body = first + second + b"data: [DONE]\n\n"
    assert read(200, STREAM, body).first_token_end == len(first)
    assert read(200, STREAM, body, "delta").first_token_end == len(first + second)
    assert read(200, JSON, b'{"a": "b"}').first_token_end == 10, "nobody reads half a JSON value"
    assert read(200, TEXT, b"hello").first_token_end == 1
    assert read(500, JSON, b'{"a": "b"}').first_token_end is None
