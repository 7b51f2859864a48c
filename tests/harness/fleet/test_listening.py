"""The small server, where it does not get as far as to serve."""

import threading
from socketserver import BaseRequestHandler

import pytest

from harness.errors import StartError
from harness.fleet import listening


class FakeServer:
    server_address = ("127.0.0.1", 7)
    done: list[str]

    def __init__(self, *_: object) -> None:
        self.done.append("bound")

    def serve_forever(self, _poll_s: float) -> None:
        self.done.append("served")

    def shutdown(self) -> None:
        self.done.append("shut down")

    def server_close(self) -> None:
        self.done.append("closed")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(FakeServer, "done", found, raising=False)
    monkeypatch.setattr(listening, "_Server", FakeServer)
    return found


def test_it_serves_until_the_block_ends(done: list[str]) -> None:
    with listening.listening("127.0.0.1", BaseRequestHandler) as port:
        assert port == 7
    assert done[0] == "bound"
    assert done[-2:] == ["shut down", "closed"]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_its_port_is_given_back_where_no_thread_serves_it(
    done: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(_: threading.Thread) -> None:
        raise error

    monkeypatch.setattr(threading.Thread, "start", fails)
    with (
        pytest.raises((StartError, KeyboardInterrupt)) as raised,
        listening.listening("127.0.0.1", BaseRequestHandler),
    ):
        pass
    assert done == ["bound", "closed"]
    if isinstance(error, RuntimeError):
        assert "takes no more threads: can't start new thread" in str(raised.value)
