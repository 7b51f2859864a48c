import json
import random

import numpy as np
import pytest

from harness.load.kit.tally import KEPT, Tally, merge
from harness.load.open_loop import ArrivalCounts
from tests.harness.load.rows import row

HDR_RESOLUTION = 1e-3
DRAW = random.Random(5)
LATENCIES_S = [DRAW.lognormvariate(-2, 1) for _ in range(4001)]


def tally_of(latencies_s: list[float], first: int = 0) -> Tally:
    tally = Tally()
    for number, latency_s in enumerate(latencies_s, start=first):
        tally.add(row(number, latency_s))
    return tally


@pytest.mark.parametrize("percent", [50, 95, 99, 99.9])
def test_percentiles_are_those_of_the_rows_to_the_histograms_resolution(percent: float) -> None:
    exact_ms = np.percentile(np.array(LATENCIES_S) * 1000, percent, method="inverted_cdf")
    assert tally_of(LATENCIES_S).quantile_ms(percent) == pytest.approx(exact_ms, rel=HDR_RESOLUTION)


@pytest.mark.parametrize("percent", [50, 95, 99, 99.9])
def test_percentiles_of_all_calls_have_the_failed_ones_in_them(percent: float) -> None:
    parts = [tally_of(LATENCIES_S[:3000]), Tally()]
    for number, latency_s in enumerate(LATENCIES_S[3000:]):
        parts[1].add(row(number, latency_s, status=0, error="no answer", error_type="timeout"))
    exact_ms = np.percentile(np.array(LATENCIES_S) * 1000, percent, method="inverted_cdf")
    assert merge(parts).quantile_of_all_ms(percent) == pytest.approx(exact_ms, rel=HDR_RESOLUTION)
    assert merge(parts).quantile_ms(percent) == parts[0].quantile_ms(percent)


def test_what_the_load_was_late_by_is_told_apart_from_what_the_service_took() -> None:
    tally = Tally()
    for number in range(100):
        tally.add(row(number, 3.5, sent_s=row(number).due_s + 3.0))
    assert tally.lateness_ms(99) == pytest.approx(3000, rel=HDR_RESOLUTION)
    assert tally.quantile_from_sent_ms(99) == pytest.approx(500, rel=HDR_RESOLUTION)


def test_successes_are_counted_by_scenario() -> None:
    tally = Tally()
    for number, (name, status) in enumerate((("A", 200), ("A", 200), ("B", 500))):
        tally.add(row(number, 0.1, experiment=name, status=status, error=None if status == 200 else "e"))
    assert merge([tally, tally]).succeeded == {"A": 4}


@pytest.mark.parametrize("percent", [50, 95, 99, 99.9])
def test_merged_percentiles_are_those_of_the_pooled_rows(percent: float) -> None:
    parts = [tally_of(LATENCIES_S[:700]), tally_of(LATENCIES_S[700:], first=700)]
    assert merge(parts).quantile_ms(percent) == tally_of(LATENCIES_S).quantile_ms(percent)


def test_a_tally_comes_through_the_wire_as_it_was() -> None:
    tally = tally_of(LATENCIES_S[:50])
    tally.counts = ArrivalCounts(due=60, sent=55, late=2, dropped=5, in_flight=4)
    tally.add(row(99, 0.1, status=429, error="slow down", error_type="Throttled"))
    back = Tally.from_wire(json.loads(json.dumps(tally.to_wire())))
    assert back.to_wire() == tally.to_wire()
    assert back.quantile_ms(99) == tally.quantile_ms(99)


def test_merging_adds_every_count() -> None:
    one, other = tally_of([0.1]), tally_of([0.2, 0.3], first=1)
    one.counts, other.counts = (
        ArrivalCounts(due=2, sent=1, dropped=1),
        ArrivalCounts(due=3, sent=2, late=1, in_flight=1),
    )
    one.add(row(9, 0.1, status=500, error="e", error_type="X", upstream="b:1"))
    whole = merge([one, other])
    assert whole.counts == ArrivalCounts(due=5, sent=3, late=1, dropped=1, in_flight=1)
    assert (whole.successes, whole.errors, whole.done) == (3, 1, 4)
    assert whole.upstreams == {"127.0.0.1:9001": 3, "b:1": 1}
    assert whole.failures == {"X": 1}


def test_merging_leaves_the_parts_as_they_were() -> None:
    part = tally_of([0.1])
    merge([part])
    merge([part, part])
    assert (part.successes, len(part.slowest)) == (1, 1)


def test_merging_nothing_is_an_empty_tally() -> None:
    whole = merge([])
    assert whole.done == 0
    figures = (whole.quantile_ms, whole.quantile_of_all_ms, whole.quantile_from_sent_ms, whole.lateness_ms)
    assert [figure(99) for figure in figures] == [None] * 4


def test_failures_count_by_type_and_stay_out_of_the_latency() -> None:
    tally = tally_of([0.1] * 10)
    tally.add(row(50, 30.0, status=0, error="no answer", error_type="timeout", upstream=None))
    assert tally.failures == {"timeout": 1}
    assert tally.quantile_ms(100) == pytest.approx(100, rel=HDR_RESOLUTION)
    assert max(tally.slowest).latency_ms == pytest.approx(30_000)


def test_the_slowest_are_kept_of_all_parts() -> None:
    whole = merge([tally_of(LATENCIES_S[:700]), tally_of(LATENCIES_S[700:], first=700)])
    expected = sorted(LATENCIES_S, reverse=True)[:KEPT]
    assert [slow.latency_ms for slow in sorted(whole.slowest, reverse=True)] == pytest.approx(
        [latency_s * 1000 for latency_s in expected]
    )


@pytest.mark.parametrize("latency_s", [-0.001, 0.0, 7200.0])
def test_a_latency_out_of_range_is_kept_at_its_edge_not_lost(latency_s: float) -> None:
    assert tally_of([latency_s]).successes == 1


def test_first_bytes_and_first_tokens_have_percentiles_of_their_own() -> None:
    parts = [Tally(), Tally()]
    for number in range(100):
        due_s = row(number).due_s
        parts[number % 2].add(row(number, 0.9, first_byte_s=due_s + 0.1, first_token_s=due_s + 0.2))
    parts[0].add(row(100, 0.9, status=500, error="e", first_byte_s=row(100).due_s + 9.0))
    parts[0].add(row(101, 0.9))
    whole = merge([Tally.from_wire(json.loads(json.dumps(part.to_wire()))) for part in parts])
    assert whole.ttfb_ms(99) == pytest.approx(100, rel=HDR_RESOLUTION)
    assert whole.ttft_ms(50) == pytest.approx(200, rel=HDR_RESOLUTION)
    assert Tally().ttft_ms(99) is None
