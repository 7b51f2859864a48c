import pytest

from harness.load.identity import Identity
from harness.load.opening import FEW, NotOpenedError, Openings
from harness.load.reply import Reply
from harness.under_test import HttpRequest, Opening

ME = Identity("r-1", "0" * 32, "0" * 16)


class Scripted:
    """A service that gives the answers that a test wrote down."""

    def __init__(self, *answers: tuple[int, bytes] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes, str]] = []

    def request(self, target: str, body: bytes, *varying: str) -> bytes:
        self.asked.append((target, body, varying[1]))
        return b""

    def send(self, request: bytes) -> Reply:
        del request
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        reply = Reply()
        reply.status = said[0]
        reply.on_body(said[1])
        return reply


def openings(service: Scripted, session: str = "") -> Openings:
    return Openings(service, Opening(request=HttpRequest(path="/s/{session}", body={}), session=session), 5.0)


def test_a_session_is_opened_once_and_known_by_the_id_that_came_back() -> None:
    service = Scripted((200, b'{"data": {"id": "theirs"}}'))
    opened = openings(service, "data.id")
    assert [opened.session("ours", ME) for _ in range(3)] == ["theirs"] * 3
    assert service.asked == [("/s/ours", b"{}", "ours")]


@pytest.mark.parametrize("answer", [(200, b'{"id": "x"}'), (201, b'{"id": "x"}'), (204, b"")])
def test_without_a_path_the_id_that_it_was_given_holds(answer: tuple[int, bytes]) -> None:
    assert openings(Scripted(answer)).session("ours", ME) == "ours"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b'{"detail": "no such app"}'), "HTTP 404"),
        ((200, b'{"error": "no"}'), "HTTP 200 with an error: no"),
        ((200, b'{"name": "x"}'), "has no id"),
        ((200, b'{"id": null}'), "has no id"),
        (ConnectionRefusedError("refused"), "refused"),
    ],
)
def test_one_that_cannot_be_opened_says_why_each_time_and_is_tried_once(
    answer: tuple[int, bytes] | Exception, said: str
) -> None:
    opened = openings(Scripted(answer), "id")
    for _ in range(2):
        with pytest.raises(NotOpenedError, match=said):
            opened.session("ours", ME)


def test_a_few_in_a_row_are_given_up() -> None:
    opened = openings(Scripted(*[(500, b"")] * FEW))
    for number in range(FEW):
        assert not opened.given_up
        with pytest.raises(NotOpenedError):
            opened.session(str(number), ME)
    assert opened.given_up
