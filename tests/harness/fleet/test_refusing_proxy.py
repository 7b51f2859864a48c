import pytest

from harness.fleet.refusing_proxy import host_of


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (
            "CONNECT bedrock-runtime.us-west-2.amazonaws.com:443 HTTP/1.1\r\n",
            "bedrock-runtime.us-west-2.amazonaws.com:443",
        ),
        ("POST http://api.example.com/v1/x HTTP/1.1\r\n", "api.example.com"),
        ("GET http://user:secret@api.example.com:8080/ HTTP/1.1", "api.example.com:8080"),
        ("GET /path HTTP/1.1", "?"),
        ("GET http://[::1 HTTP/1.1", "?"),
        ("garbage", "?"),
        ("", "?"),
    ],
)
def test_for_whom_a_request_was(line: str, host: str) -> None:
    assert host_of(line) == host
