from harness.load.kit.shares import Share, assign
from harness.records.sent import Arrival

PLAN = [Arrival(index=i, due_s=i / 10, session_id="s", prompt="p") for i in range(100)]


def test_the_shares_of_all_drivers_are_the_whole_plan_each_arrival_once() -> None:
    drivers = {"w1": {"A": 1, "B": 2}, "w2": {"A": 2, "B": 0}, "w3": {"A": 1}}
    shares = [share for given in assign(drivers).values() for share in given["A"]]
    sent = sorted(arrival.index for share in shares for arrival in share.take(PLAN))
    assert len(shares) == 4
    assert sent == list(range(100))


def test_one_driver_has_all() -> None:
    assert assign({"local": {"A": 1}}) == {"local": {"A": (Share(first=0, of=1),)}}


def test_a_worker_without_a_driver_has_no_share() -> None:
    assert assign({"w1": {"A": 1}, "w2": {"A": 0}})["w2"] == {"A": ()}


def test_nobody_gets_nothing() -> None:
    assert assign({}) == {}
