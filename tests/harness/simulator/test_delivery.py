import asyncio
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.simulator.delivery import Connection, Delivery
from harness.simulator.reply import Ending, Reply, at_once, nothing

SSE = [(b"content-type", b"text/event-stream")]


class FakeConnection:
    """A connection whose waiting moves the clock; the caller leaves at `leaves_s`."""

    def __init__(self, clock: FakeClock, leaves_s: float = float("inf")) -> None:
        self.clock = clock
        self.leaves_s = leaves_s
        self.did: list[str] = []

    @property
    def gone(self) -> bool:
        return self.clock.monotonic() >= self.leaves_s

    async def wait(self, seconds: float) -> None:
        self.clock.advance(max(0.0, min(seconds, self.leaves_s - self.clock.monotonic())))

    async def close(self) -> None:
        self.did.append("close")

    async def reset(self) -> None:
        self.did.append("reset")


class Rig:
    def __init__(self, leaves_s: float = float("inf"), write_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.connection: Any = FakeConnection(self.clock, leaves_s)
        self.write_s = write_s
        self.sent: list[tuple[float, bytes, bool]] = []
        self.head: dict[str, Any] = {}
        self.delivery = Delivery(self.send, self.connection, self.clock.now)

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.head = {"at_s": self.clock.monotonic(), **message}
        else:
            self.sent.append((self.clock.monotonic(), message["body"], message["more_body"]))
        self.clock.advance(self.write_s)

    def play(self, reply: Reply) -> None:
        asyncio.run(self.delivery.play(reply, self.clock.now()))


def stream(*steps: tuple[float, bytes], ending: Ending = Ending.CLEAN, **more: Any) -> Reply:
    return Reply(status=200, headers=SSE, steps=steps, head_s=1.0, ending=ending, **more)


def test_each_piece_leaves_when_it_is_due_and_the_last_one_ends_it() -> None:
    rig = Rig()
    rig.play(stream((1.0, b"a"), (1.5, b"b"), (2.5, b"c")))
    assert rig.head["at_s"] == 1.0
    assert rig.sent == [(1.0, b"a", True), (1.5, b"b", True), (2.5, b"c", False)]
    assert (rig.delivery.status, rig.delivery.bytes_sent, rig.delivery.caller_left) == (200, 3, False)


def test_a_late_piece_does_not_delay_those_after_it() -> None:
    rig = Rig(write_s=0.7)
    rig.play(stream((1.0, b"a"), (2.0, b"b"), (3.0, b"c"), (9.0, b"d")))
    assert rig.sent[-1] == (pytest.approx(9.0), b"d", False)
    assert rig.sent[0][0] == pytest.approx(1.7)


def test_what_is_due_together_goes_out_together() -> None:
    rig = Rig()
    rig.play(stream((1.0, b"a"), (1.0, b"b"), (1.0, b"c")))
    assert rig.sent == [(1.0, b"abc", False)]


def test_a_whole_answer_tells_its_length() -> None:
    rig = Rig()
    rig.play(at_once(200, [(b"a", b"b")], b"body", due_s=0.5))
    assert (rig.head["headers"], rig.head["length"]) == ([(b"a", b"b")], 4)
    assert rig.sent == [(0.5, b"body", False)]


def test_a_reply_without_pieces_is_ended_all_the_same() -> None:
    rig = Rig()
    rig.play(stream())
    assert rig.sent == [(1.0, b"", False)]


@pytest.mark.parametrize(("ending", "did"), [(Ending.CUT, "close"), (Ending.RESET, "reset")])
def test_a_broken_end_is_never_a_clean_one(ending: Ending, did: str) -> None:
    rig = Rig()
    rig.play(stream((1.0, b"a"), ending=ending))
    assert rig.sent == [(1.0, b"a", True)]
    assert rig.connection.did == [did]
    assert not rig.delivery.caller_left


def test_a_reset_before_the_first_byte_sends_none() -> None:
    rig = Rig()
    rig.play(nothing(Ending.RESET))
    assert (rig.head, rig.sent, rig.connection.did) == ({}, [], ["reset"])
    assert rig.delivery.status == 0


def test_a_silence_ends_with_a_reset_when_nobody_leaves() -> None:
    rig = Rig()
    rig.play(nothing(Ending.HANG, hang_s=30))
    assert rig.clock.monotonic() == 30
    assert rig.connection.did == ["reset"]


def test_a_silence_ends_when_the_caller_leaves() -> None:
    rig = Rig(leaves_s=4)
    rig.play(nothing(Ending.HANG, hang_s=30))
    assert rig.clock.monotonic() == 4
    assert rig.delivery.caller_left
    assert rig.connection.did == []


def test_a_caller_who_had_all_there_is_and_left_is_not_reset() -> None:
    rig = Rig(leaves_s=1.01)
    rig.play(stream((1.0, b"a"), ending=Ending.RESET))
    assert [body for _, body, _ in rig.sent] == [b"a"]
    assert rig.connection.did == []
    assert rig.delivery.caller_left


def test_a_connection_that_is_lost_has_nothing_to_reset() -> None:
    class Lost:
        """A transport whose socket is closed."""

        def get_extra_info(self, _: str) -> Any:
            return self

        def setsockopt(self, *_: Any) -> None:
            raise ValueError("negative file descriptor")

    transport: Any = Lost()
    connection = Connection(1, transport)
    connection.lost()
    asyncio.run(connection.reset())


def test_nothing_is_sent_to_a_caller_who_left() -> None:
    rig = Rig(leaves_s=1.2)
    rig.play(stream((1.0, b"a"), (1.5, b"b"), (2.5, b"c")))
    assert rig.sent == [(1.0, b"a", True)]
    assert rig.delivery.caller_left
    assert rig.clock.monotonic() == pytest.approx(1.2)


def test_a_caller_who_leaves_before_the_head_gets_none() -> None:
    rig = Rig(leaves_s=0.5)
    rig.play(at_once(200, [], b"body", due_s=2.0))
    assert (rig.head, rig.sent, rig.delivery.status) == ({}, [], 0)
    assert rig.delivery.caller_left


def test_waiting_on_a_connection_ends_when_it_is_lost() -> None:
    async def lose() -> None:
        connection = Connection(1, asyncio.Transport())
        waiting = asyncio.create_task(connection.wait(3600))
        await asyncio.sleep(0)
        connection.lost()
        await waiting
        await connection.wait(3600)
        assert connection.gone

    asyncio.run(lose())


@pytest.mark.parametrize(
    ("reply", "joined"),
    [
        (at_once(200, [], b"body"), True),
        (stream((1.0, b"a")), True),
        (stream((1.5, b"a")), False),
        (stream(), False),
    ],
)
def test_a_head_waits_only_for_a_body_that_is_due_with_it(reply: Reply, *, joined: bool) -> None:
    rig = Rig()
    rig.play(reply)
    assert rig.head["joined"] is joined
