from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from harness.load.kit.metrics import exposition
from harness.load.kit.tally import Tally
from harness.load.open_loop import ArrivalCounts
from tests.harness.load.rows import row


def samples(tally: Tally) -> list[Sample]:
    text = exposition(tally).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(tally: Tally, name: str, **labels: str) -> float:
    return next(s.value for s in samples(tally) if s.name == name and dict(s.labels) == labels)


def busy_tally() -> Tally:
    tally = Tally(counts=ArrivalCounts(due=9, sent=7, late=2, dropped=1, in_flight=3))
    for number, latency_s in enumerate((0.04, 0.25, 0.4, 200.0)):
        tally.add(row(number, latency_s, upstream="10.0.0.1:80"))
    tally.add(row(4, 0.45, status=503, error="http_503", upstream=None))
    return tally


def test_every_arrival_is_told_by_what_became_of_it() -> None:
    tally = busy_tally()
    told = {
        name: value(tally, f"agentrig_load_{name}")
        for name in ("due_total", "sent_total", "late_total", "dropped_total", "inflight")
    }
    assert told == {"due_total": 9, "sent_total": 7, "late_total": 2, "dropped_total": 1, "inflight": 3}
    assert value(tally, "agentrig_load_failed_total", error_type="http_503") == 1
    assert value(tally, "agentrig_load_answers_total", container="10.0.0.1:80") == 4


def test_durations_are_cumulative_and_leave_out_what_failed() -> None:
    buckets = {s.labels["le"]: s.value for s in samples(busy_tally()) if s.name.endswith("_bucket")}
    assert (buckets["0.025"], buckets["0.05"], buckets["0.3"], buckets["0.5"]) == (0, 1, 2, 3)
    assert (buckets["120.0"], buckets["+Inf"]) == (3, 4)
    total_s = value(busy_tally(), "agentrig_load_duration_seconds_sum")
    assert abs(total_s - 200.69) < 0.2


def test_the_slowest_call_of_a_bucket_is_its_exemplar_and_names_its_trace() -> None:
    exemplars = {s.labels["le"]: s.exemplar for s in samples(busy_tally()) if s.exemplar}
    assert {le: round(e.value, 3) for le, e in exemplars.items()} == {
        "0.05": 0.04, "0.3": 0.25, "0.5": 0.4, "+Inf": 200.0,
    }  # fmt: skip
    assert exemplars["0.5"].labels == {"trace_id": row(2).trace_id}


def test_before_the_first_test_all_is_zero() -> None:
    assert value(Tally(), "agentrig_load_due_total") == 0
    assert value(Tally(), "agentrig_load_duration_seconds_count") == 0
