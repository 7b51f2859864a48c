"""What the pod of a bench prints arrives once, and its end is known, however often the connection is lost."""

from collections.abc import Iterator

import httpx
import pytest

from harness.errors import StartError
from harness.fleet.kubernetes.api import ClusterError
from harness.fleet.kubernetes.inside.following import LOST_S, QUIET_S, followed
from harness.fleet.kubernetes.printed import Printed
from tests.harness.fleet.kubernetes.inside.fake_bench import POD, FakeBench

PRINTED = tuple(f"line {number % 5}" for number in range(40))
GRUMBLES = "failed to create fsnotify watcher: too many open files"


def there(**given: object) -> FakeBench:
    fake = FakeBench(printed=lambda _: PRINTED, ends_with=0, **given)  # type: ignore[arg-type]  # its fields
    fake.bench().__enter__()
    fake.clock.slept.clear()
    return fake


def printed(fake: FakeBench) -> Printed:
    path = f"/api/v1/namespaces/{fake.namespace}/pods/{POD}/log"
    return Printed(fake.cluster(), path, quiet_s=QUIET_S)


def follow(fake: FakeBench, log: Printed | None = None) -> Iterator[str]:
    def over() -> bool:
        found = fake.cluster().call("GET", f"/api/v1/namespaces/{fake.namespace}/pods", once=True)["items"]
        if not found:
            raise StartError("it is gone")
        return "terminated" in str(found[0]["status"])

    return followed(log or printed(fake), clock=fake.clock, over=over, lost=StartError)


@pytest.mark.parametrize("breaks", [0, 1, 4])
def test_each_line_arrives_once_also_where_several_are_alike_and_of_one_instant(breaks: int) -> None:
    fake = there(breaks=breaks)
    assert tuple(follow(fake)) == PRINTED
    assert len(fake.params) == breaks + 1
    assert all(each["timestamps"] == each["follow"] == "true" for each in fake.params)
    assert [("sinceTime" in each) for each in fake.params] == [False, *[True] * breaks]


def test_who_goes_on_later_gets_what_is_new() -> None:
    fake = there()
    log = printed(fake)
    first = follow(fake, log)
    assert [next(first) for _ in range(7)] == list(PRINTED[:7])
    assert tuple(follow(fake, log)) == PRINTED[7:]


def test_what_the_node_says_in_a_log_is_told_once_and_ends_nothing() -> None:
    """A node that can't watch the file sends what there is, and that; who asks again gets what came since."""
    fake = there(grumbles=f"{GRUMBLES}\n")
    running: dict[str, object] = {"containerStatuses": [{"state": {"running": {}}}]}
    ended = dict(fake.pods[POD]["status"])
    fake.pods[POD]["status"] = running
    so_far = iter([3, 20, 20, 39])

    def look() -> None:
        count = next(so_far, len(PRINTED))
        fake.printed = lambda _: PRINTED[:count]
        if count == len(PRINTED):
            fake.pods[POD]["status"] = ended

    fake.on_log = look
    assert tuple(follow(fake)) == (*PRINTED[:3], GRUMBLES, *PRINTED[3:])


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
