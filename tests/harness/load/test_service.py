import pytest

from harness.load.service import Service, head_of

VARYING = ("traceparent", "X-Session", "")


def lines(head: str, *values: object) -> list[str]:
    return head.format(*values).split("\r\n")


def test_the_head_of_a_request_has_what_is_the_same_and_what_differs() -> None:
    head = head_of("http://127.0.0.1:8080/below/", "POST", VARYING, {"Accept": "application/json"})
    said = lines(head, "/invocations", 12, "00-a-b-01", "s-1", "r-1")
    assert said[:2] == ["POST /below/invocations HTTP/1.1", "Host: 127.0.0.1:8080"]
    assert said[-3:] == ["Content-Length: 12", "", ""]
    assert {"Accept: application/json", "traceparent: 00-a-b-01", "X-Session: s-1"} <= set(said)
    assert not any("r-1" in line for line in said)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("http://agent", "agent"),
        ("http://agent:80", "agent"),
        ("https://agent", "agent"),
        ("https://agent:8443", "agent:8443"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_host_is_named_with_its_port_unless_that_is_the_usual_one(host: str, named: str) -> None:
    assert f"Host: {named}" in lines(head_of(host, "GET", (), {}), "/", 0)


def test_a_header_that_is_given_takes_the_place_of_ours_in_any_case() -> None:
    given = {"TRACEPARENT": "mine", "user-agent": "me", "HOST": "elsewhere"}
    said = lines(head_of("http://agent", "POST", VARYING, given), "/", 0, "ours", "s", "r")
    for name, value in given.items():
        assert [line for line in said if line.lower().startswith(f"{name.lower()}:")] == [f"{name}: {value}"]


def test_braces_are_sent_as_they_are() -> None:
    said = lines(head_of("http://agent/{2}", "POST", (), {"X-Json": '{"a": {}}'}), "/{0}", 3)
    assert said[0] == "POST /{2}/{0} HTTP/1.1"
    assert 'X-Json: {"a": {}}' in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "one\r\nX-B: two"),
        ("X A", "1"),
        ("X-A", "\u20ac"),
        ("content-length", "5"),
        ("Transfer-Encoding", "x"),
    ],
)
def test_a_header_that_would_break_the_request_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="can't send a header") as told:
        head_of("http://agent", "POST", (), {name: value})
    assert len(value) < 2 or value not in str(told.value)


@pytest.mark.parametrize(("target", "session"), [("/a\r\nX: 1", "s"), ("/a", "s\r\nX: 1"), ("/a", "s\nX: 1")])
def test_a_value_that_would_end_its_line_is_refused(target: str, session: str) -> None:
    service = Service("http://agent", varying=("X-Session",), headers={}, now=lambda: 0.0)
    with pytest.raises(ValueError, match="can't send"):
        service.request(target, b"", session)
