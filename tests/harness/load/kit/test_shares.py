from harness.load.kit.shares import Ledger, Share, ShareState, assign
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


def test_a_share_is_taken_by_one_driver_only() -> None:
    ledger = Ledger()
    ledger.assign({"A": (Share(0, 3), Share(2, 3))})
    assert [ledger.take("A"), ledger.take("A"), ledger.take("A"), ledger.take("B")] == [0, 1, None, None]
    assert ledger.share("A", 1) == Share(2, 3)


def test_before_the_shares_are_assigned_and_after_the_end_there_is_none_to_take() -> None:
    ledger = Ledger()
    assert ledger.take("A") is None
    ledger.assign({"A": (Share(0, 1),)})
    ledger.close()
    assert ledger.take("A") is None
    assert ledger.states() == {"A": [ShareState.WAITING]}


def test_what_became_of_each_share_is_kept_in_the_order_they_were_assigned() -> None:
    ledger = Ledger()
    ledger.assign({"A": (Share(0, 3), Share(1, 3), Share(2, 3)), "B": (Share(0, 1),)})
    for number, state in enumerate((ShareState.SENT, ShareState.BROKEN)):
        assert ledger.take("A") == number
        ledger.set_state("A", number, state)
    ledger.take("B")
    assert ledger.states() == {
        "A": [ShareState.SENT, ShareState.BROKEN, ShareState.WAITING],
        "B": [ShareState.BEGUN],
    }


def test_a_share_is_named_as_people_count() -> None:
    assert str(Share(1, 2)) == "share 2 of 2"
