"""A connection on which somebody asks for another protocol."""

import pytest

from harness.outside.one_protocol import OneProtocol

BODY = b'{"model": "m"}'
NEXT = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n"
WISHES = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
)
FRAMED = (
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY),
    b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
)


class Connection:
    """Keeps what it is told, as uvicorn's does."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole: list[tuple[bytes, int, bytes]] = []
        self.heads = 0

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.heads += 1

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole.append((self.url, len(self.headers), self.body))


@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("wish", WISHES)
def test_its_body_is_read_however_the_bytes_come_in_and_so_is_what_follows(
    wish: bytes, framed: bytes
) -> None:
    sent = b"POST /v1 HTTP/1.1\r\nhost: a\r\n" + wish + framed + NEXT
    for split in range(1, len(sent)):
        connection = Connection()
        parser = OneProtocol(connection)
        parser.feed_data(sent[:split])
        parser.feed_data(sent[split:])
        kept = 1 + wish.count(b"\r\n") - 1 + 1  # of the host, the wish without its name, and the framing
        assert connection.whole == [(b"/v1", kept, BODY), (b"/next", 1, b"")], split
        assert connection.heads == 2


def test_many_in_one_piece_are_all_read() -> None:
    connection = Connection()
    asked = b"POST / HTTP/1.1\r\n" + WISHES[0] + FRAMED[0]
    OneProtocol(connection).feed_data(asked * 2000)
    assert [body for _, _, body in connection.whole] == [BODY] * 2000
