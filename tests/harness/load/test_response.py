import pytest

from harness.load.response import Failure, failure_of, recalled_in

JSON = "application/json"
STREAM = "text/event-stream; charset=utf-8"


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
    [(JSON, b""), (JSON, b"<html>welcome</html>"), (JSON, b'{"output": "hel'), (STREAM, b"")],
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
        b'{"output": {"content": [{"text": "CANARY-a1"}, {"text": "CANARY-b2 and CANARY-a1."}]}}',
        b'data: {"delta": "CANARY-a1"}\n\ndata: {"answer": "CANARY-b2\\nCANARY-a1"}\n\n',
    ],
)
def test_canary_words_are_found_in_any_shape_of_answer_in_order_and_as_often_as_they_stand(
    body: bytes,
) -> None:
    assert recalled_in(body) == ("CANARY-a1", "CANARY-b2", "CANARY-a1")


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
