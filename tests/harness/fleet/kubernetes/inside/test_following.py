"""What a pod prints arrives once, and its end is known, however often the connection is lost."""

from collections.abc import Iterator

import httpx
import pytest

from harness.errors import StartError
from harness.fleet.kubernetes.api import ClusterError
from harness.fleet.kubernetes.inside.following import LOST_S, Once, followed, lines
from tests.harness.fleet.kubernetes.inside.fake_bench import POD, FakeBench

PRINTED = tuple(f"line {number % 5}" for number in range(40))


def there(**given: object) -> FakeBench:
    fake = FakeBench(printed=lambda _: PRINTED, ends_with=0, **given)  # type: ignore[arg-type]  # its fields
    fake.bench().__enter__()
    fake.clock.slept.clear()
    return fake


def follow(fake: FakeBench, once: Once | None = None) -> Iterator[str]:
    path = f"/api/v1/namespaces/{fake.namespace}/pods/{POD}/log"

    def over() -> bool:
        found = fake.cluster().call("GET", f"/api/v1/namespaces/{fake.namespace}/pods", once=True)["items"]
        if not found:
            raise StartError("it is gone")
        return "terminated" in str(found[0]["status"])

    return followed(fake.cluster(), path, once or Once(), clock=fake.clock, over=over, lost=StartError)


@pytest.mark.parametrize("breaks", [0, 1, 4])
def test_each_line_arrives_once_also_where_several_are_alike_and_of_one_instant(breaks: int) -> None:
    fake = there(breaks=breaks)
    assert tuple(follow(fake)) == PRINTED
    assert len(fake.params) == breaks + 1
    assert all(each["timestamps"] == each["follow"] == "true" for each in fake.params)
    assert [("sinceTime" in each) for each in fake.params] == [False, *[True] * breaks]


def test_who_goes_on_later_gets_what_is_new() -> None:
    fake, once = there(), Once()
    first = follow(fake, once)
    assert [next(first) for _ in range(7)] == list(PRINTED[:7])
    assert tuple(follow(fake, once)) == PRINTED[7:]


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    once = Once()
    assert once.take("2026-10-25T02:59:59.000000000+02:00 a") == "a"
    assert once.take("2026-10-25T02:00:00.000000000+01:00 b") == "b"
    once.anew()
    assert once.take("2026-10-25T02:00:00.000000000+01:00 b") is None
    assert once.take("2026-10-25T02:00:01.000000000+01:00 b") == "b"


def test_one_that_is_away_is_waited_for_and_not_for_ever() -> None:
    fake = there()
    fake.silent, fake.silent_for = httpx.ConnectError("refused"), 20
    assert tuple(follow(fake)) == PRINTED
    fake.silent_for = None
    before_s = fake.clock.monotonic()
    with pytest.raises(StartError, match="refused"):
        tuple(follow(fake))
    assert LOST_S <= fake.clock.monotonic() - before_s < LOST_S + 5


def test_a_refusal_is_told_at_once_and_a_pod_that_is_gone_by_who_knows_it() -> None:
    fake = there()
    fake.refuses = ("GET", "/log")
    with pytest.raises(ClusterError, match="cannot GET"):
        tuple(follow(fake))
    fake.refuses = None
    fake.on_log = fake.pods.clear
    with pytest.raises(StartError, match="it is gone"):
        tuple(follow(fake))


def test_while_it_runs_the_end_of_what_it_printed_is_none() -> None:
    fake = there()
    running = dict(fake.pods[POD]["status"])
    fake.pods[POD]["status"] = {"containerStatuses": [{"state": {"running": {}}}]}
    looks = iter(range(9))

    def look() -> None:
        if next(looks) == 2:
            fake.pods[POD]["status"] = running

    fake.on_log = look
    assert tuple(follow(fake)) == PRINTED
    assert len(fake.params) == 4, "what came between the end of the pod and the last look was read"


def test_a_line_that_is_cut_off_is_none_yet() -> None:
    assert list(lines([b"a\nb", b"c\n\xff\nd"])) == ["a", "bc", "\ufffd"]
