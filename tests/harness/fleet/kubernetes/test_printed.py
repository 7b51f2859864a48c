"""What a pod prints is heard once, by the times that its node puts before it."""

from collections.abc import Iterator, Sequence

import httpx
import pytest

from harness.clock import FakeClock
from harness.fleet.kubernetes.api import Cluster, ClusterError, Ran
from harness.fleet.kubernetes.printed import Printed

SUMMER, WINTER = "2026-10-25T02:{}:00.000000000+02:00", "2026-10-25T02:{}:00.000000000+01:00"


def no_command(*_: object) -> Ran:
    raise NotImplementedError


def heard(*connections: Sequence[bytes], most_bytes: float = float("inf")) -> tuple[list[list[str]], Printed]:
    """Return the lines of each connection, which brings some pieces; an empty one breaks it off."""
    left = list(connections)

    def pieces(given: Sequence[bytes]) -> Iterator[bytes]:
        for piece in given:
            if not piece:
                raise httpx.ReadError("reset by peer")
            yield piece

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=pieces(left.pop(0)))

    client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(answer))
    cluster = Cluster(client, no_command, clock=FakeClock(), name="here")
    printed, found = Printed(cluster, "/log", quiet_s=1.0, most_bytes=most_bytes), list[list[str]]()
    while left:
        lines = list[str]()
        found.append(lines)
        try:
            for line in printed.hear():
                lines.append(line)  # what came before it breaks off counts
        except ClusterError:
            continue
    return found, printed


def stamped(stamp: str, text: str) -> bytes:
    return f"{stamp} {text}\n".encode()


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    early, late = "2026-01-01T00:00:01.000000000Z", "2026-01-01T00:00:02.000000000Z"
    first = [stamped(late, "a"), stamped(early, "b"), b""]
    again = [stamped(early, "b"), stamped(early, "b"), stamped(late, "c")]
    assert heard(first, again)[0] == [["a", "b"], ["b", "c"]]


def test_a_node_whose_zone_changes_to_winter_time_loses_nothing() -> None:
    """What it writes is then an hour less, and later all the same."""
    first = [stamped(SUMMER.format("59"), "a"), b""]
    again = [stamped(SUMMER.format("59"), "a"), stamped(WINTER.format("00"), "b")]
    assert heard(first, again)[0] == [["a"], ["b"]]


def test_a_line_that_is_cut_off_is_none_yet_and_kept_where_nothing_follows() -> None:
    stamp = "2026-01-01T00:00:01.000000000Z"
    whole = stamped(stamp, "first") + stamped(stamp.replace("01.", "02."), "a long second")
    found, printed = heard([whole[:7], whole[7:50], whole[50:-8]])
    assert found == [["first"]]
    assert printed.rest == "a long"
    found, printed = heard([whole[:-8]], [whole])
    assert found == [["first"], ["a long second"]]
    assert not printed.rest


@pytest.mark.parametrize("line", ["rpc error: code = NotFound", "2026-13-01T00:00:00Z no month", "", "Z"])
def test_a_line_without_a_time_is_no_time_to_go_on_from(line: str) -> None:
    stamp = "2026-01-01T00:00:01.000000000Z"
    first = stamped(stamp, "a") + f"{line}\n".encode()
    found, printed = heard([first], [first], [first + stamped(stamp, "b")])
    assert found == [["a", line], [], ["b"]] if line else [["a"], [], ["b"]]
    assert printed._since == stamp


def test_what_is_no_text_is_told_and_what_is_too_much_is_cut() -> None:
    stamp = "2026-01-01T00:00:01.000000000Z"
    assert heard([f"{stamp} ".encode() + b"\xff\n"])[0] == [["\ufffd"]]
    found, printed = heard([stamped(stamp, "a"), b"x" * 200, b"y" * 200], most_bytes=100)
    assert found == [["a"]]
    assert printed.is_cut, "also a line without an end"
