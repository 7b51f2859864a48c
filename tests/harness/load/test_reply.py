import itertools

import pytest
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from harness.load.reply import Reply, exchange

OK = b"HTTP/1.1 200 OK\r\n"
FIVE = b"Content-Length: 5\r\n\r\n"


class Scripted:
    """A connection from which comes what the test wrote down: bytes, or an error; then its end."""

    def __init__(
        self, *script: bytes | Exception, sending: Exception | None = None, room: int = 1000
    ) -> None:
        self.script = list(script)
        self.sending = sending
        self.room = room
        self.sent = b""

    def send(self, data: bytes, /) -> int:
        if self.sending:
            raise self.sending
        self.sent += data[: self.room]
        return len(data[: self.room])

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def recv(self, size: int, /) -> bytes:
        said = self.script.pop(0) if self.script else b""
        if isinstance(said, Exception):
            raise said
        return said


def answer(*script: bytes | Exception) -> tuple[Reply, bool]:
    return exchange(Scripted(*script), b"request", itertools.count(1.0).__next__)


def test_an_answer_comes_in_any_pieces() -> None:
    whole = OK + b"X-One: 1\r\n" + FIVE + b"hello"
    for at in range(1, len(whole)):
        reply, keep = answer(whole[:at], whole[at:])
        assert (reply.status, reply.header(b"x-one"), reply.body, keep) == (200, "1", b"hello", True)


@pytest.mark.parametrize("room", [1000, 3, 0])
def test_the_request_is_sent_once_whatever_room_there_is(room: int) -> None:
    connection = Scripted(OK + FIVE + b"hello", room=room)
    exchange(connection, b"request", lambda: 1.0)
    assert connection.sent == b"request"


def test_of_two_headers_of_one_name_the_last_counts_and_a_missing_one_is_none() -> None:
    reply, _ = answer(OK + b"x-a: 1\r\nX-A: 2\r\n" + FIVE + b"hello")
    assert reply.header(b"x-a") == "2"
    assert reply.header(b"x-b") is None


def test_chunks_are_one_body() -> None:
    reply, keep = answer(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel", b"\r\n2\r\nlo\r\n", b"0\r\n\r\n")
    assert (reply.body, keep) == (b"hello", True)


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    reply, keep = answer(OK + b"\r\n", b"hel", b"lo")
    assert (reply.body, keep) == (b"hello", False)


@pytest.mark.parametrize(
    "answered",
    [
        OK + b"Connection: close\r\n" + FIVE + b"hello",
        OK + b"connection: Close\r\n" + FIVE + b"hello",
        b"HTTP/1.0 200 OK\r\n" + FIVE + b"hello",
    ],
)
def test_a_connection_that_will_be_closed_is_not_used_again(answered: bytes) -> None:
    reply, keep = answer(answered)
    assert (reply.body, keep) == (b"hello", False)


def test_an_answer_that_has_no_body_needs_no_length() -> None:
    reply, keep = answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (reply.status, reply.body, keep) == (204, b"", True)


@pytest.mark.parametrize("cut", [0, 1])
def test_an_interim_answer_is_passed_over_whether_or_not_the_final_one_comes_with_it(cut: int) -> None:
    interim, final = b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n", OK + FIVE + b"hello"
    reply, keep = answer(interim, final) if cut else answer(interim + final)
    assert (reply.status, reply.body, reply.header(b"x-a"), keep) == (200, b"hello", None, True)


@pytest.mark.parametrize("end", [b"", ConnectionResetError()])
def test_a_connection_that_ends_without_a_byte_was_closed(end: bytes | Exception) -> None:
    with pytest.raises(HTTPConnectionClosed):
        answer(end)


@pytest.mark.parametrize(
    "begun", [b"HT", OK, OK + FIVE + b"hel", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel"]
)
def test_a_connection_that_ends_in_the_middle_gave_no_answer(begun: bytes) -> None:
    with pytest.raises(HTTPParseError, match="before the end of the answer"):
        answer(begun)
    with pytest.raises(ConnectionResetError):
        answer(begun, ConnectionResetError())


@pytest.mark.parametrize(
    "said",
    [
        b"good morning\r\n\r\n",
        OK + FIVE + b"hello, and more",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_answer_to_the_request_is_an_error(said: bytes) -> None:
    with pytest.raises(HTTPParseError):
        answer(said)


def test_what_was_answered_before_the_request_was_read_counts() -> None:
    connection = Scripted(b"HTTP/1.1 413 Too Large\r\n" + FIVE + b"hello", sending=BrokenPipeError())
    reply, _ = exchange(connection, b"request", lambda: 1.0)
    assert reply.status == 413
    with pytest.raises(HTTPConnectionClosed):
        exchange(Scripted(sending=ConnectionResetError()), b"request", lambda: 1.0)


def test_when_the_first_byte_and_each_part_of_the_body_were_there() -> None:
    head = b" OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply, _ = answer(b"HTTP/1.1 200", head, b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n")
    assert reply.first_byte_s == 1.0
    assert [reply.time_of(length) for length in (1, 3, 4, 5, 6)] == [3.0, 3.0, 4.0, 4.0, None]


def test_a_reader_who_leaves_takes_the_first_part_of_a_stream_and_all_of_what_is_in_one_piece() -> None:
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    stream = Scripted(head, b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n")
    reply, keep = exchange(stream, b"request", lambda: 1.0, leave=True)
    assert (reply.left, reply.body, keep) == (True, b"hel", False)
    reply, keep = exchange(Scripted(OK + FIVE + b"hello"), b"request", lambda: 1.0, leave=True)
    assert (reply.left, reply.body, keep) == (False, b"hello", True)
