import random

from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.throttle import herd
from harness.records import JournalRow


def retry(time_s: float, number: int = 0, attempt: int = 2) -> JournalRow:
    return JournalRow(
        time_s=time_s, end_s=time_s, connection=1, protocol="openai", model="m", stream=True,
        call_id=f"call-{number}", attempt=attempt, trace_id=f"{number:032x}",
    )  # fmt: skip


def test_all_at_one_instant_are_a_whole_herd() -> None:
    found = herd([retry(8.0, n) for n in range(100)])
    assert found.share == 1.0
    assert len(found.traces) == 100


def test_a_herd_across_the_edge_of_two_bins_is_one() -> None:
    found = herd([retry(7.96 + n * 0.0008, n) for n in range(100)])  # 80 ms, from 7.96 to 8.04
    assert found.share == 1.0


def test_the_window_is_open_at_its_end() -> None:
    found = herd([retry(0.0, n) for n in range(50)] + [retry(0.1, n) for n in range(50, 100)])
    assert found.share == 0.5
    assert set(found.traces) == {f"{n:032x}" for n in range(50)}


def test_only_first_retries_count() -> None:
    spread = [retry(n * 1.0, n) for n in range(100)]
    later = [retry(500.0, n, attempt=3) for n in range(100)]
    firsts = [retry(600.0, n, attempt=1) for n in range(100)]
    assert herd(spread + later + firsts).share == 0.01


def test_too_few_retries_tell_nothing() -> None:
    found = herd([retry(8.0, n) for n in range(99)])
    assert found.share is None
    assert found.first_retries == 99


def test_full_jitter_over_a_second_is_no_herd() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        share = herd([retry(8.0 + rng.random(), n) for n in range(400)]).share
        assert share is not None
        assert share <= 0.2


@given(st.lists(st.integers(0, 2000), min_size=100, max_size=150))
def test_it_is_the_worst_over_all_offsets_of_a_bin(times_ms: list[int]) -> None:
    # A little less than a ms each, so that 100 of them are inside the window whatever the rounding.
    share = herd([retry(time * 0.000999, n) for n, time in enumerate(times_ms)]).share
    assert share == max(sum(begin <= time <= begin + 100 for time in times_ms) for begin in times_ms) / len(
        times_ms
    )
