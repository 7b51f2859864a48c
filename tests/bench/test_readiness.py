"""What the page of readiness computes from rows, and what its Service is."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest

from harness.fleet.where import Where
from harness.records.sent import RequestRow
from tests.bench import readiness
from tests.bench.readiness import (
    GATE,
    OPTIMUM,
    SERVICE,
    Load,
    Measured,
    at_best,
    page,
    row_of,
    seen,
    service,
    ways,
)
from tests.harness.load.rows import row

LOAD = Load(utilisation=0.5, seed=1, seconds=20.0)


def rows(*took_s: float, due_every_s: float = 0.1) -> list[RequestRow]:
    """Return a row for each time, a negative one for a refusal."""
    return [
        replace(
            row(number),
            index=number,
            trace_id=f"trace-{number}",
            due_s=number * due_every_s,
            sent_s=number * due_every_s,
            end_s=number * due_every_s + abs(each),
            status=200 if each > 0 else 503,
            error=None if each > 0 else "busy",
            error_type=None if each > 0 else "http_503",
        )
        for number, each in enumerate(took_s)
    ]


def measured(*took_s: float, way: str = SERVICE, seed: int = 1, **more: Any) -> Measured:
    found = seen(rows(*took_s), replace(LOAD, seed=seed), on="local", way=way, others=0.0)
    return replace(found, **more)


def test_a_refusal_is_no_answer_and_its_time_is_none() -> None:
    found = measured(*([0.2] * 198), *([-0.001] * 2))
    assert (found.requests, found.answered, found.refused, found.failed) == (200, 198, 2, 0)
    assert "| 200 ms | 200 ms | 200 ms |" in row_of(0.5, SERVICE, [found]), "one in a hundred may be lost"
    assert "| 200 ms | 200 ms | none |" in row_of(0.5, SERVICE, [measured(*([0.2] * 197), *([-0.001] * 3))])


def test_no_connection_is_a_refusal_and_any_other_failure_is_not() -> None:
    lost = rows(0.2, -0.001, -0.001)
    lost[1] = replace(lost[1], status=0, error_type="ConnectionRefusedError")
    lost[2] = replace(lost[2], status=0, error_type="timeout")
    found = seen(lost, LOAD, on="local", way=SERVICE, others=0.0)
    assert (found.refused, found.failed) == (1, 1)


def test_the_optimum_is_one_queue_over_the_same_arrivals_and_the_times_that_were_worked() -> None:
    found = rows(*([9.0] * 200), due_every_s=0.0)  # all at once, on four servers of a tenth each
    of = measured(*([9.0] * 200), way=GATE)
    best = at_best(found, {each.trace_id: 0.1 for each in found}, of)
    assert best is not None
    assert (best.way, best.answered, best.refused) == (OPTIMUM, 200, 0)
    assert best.took_ms == pytest.approx([100 * (1 + number // 4) for number in range(200)])
    assert best.rps == pytest.approx(200 / 5.0)
    assert at_best(found, {found[0].trace_id: 0.1}, of) is None, "of the others nobody knows"


def test_a_row_has_the_median_and_the_ends_of_its_seeds_and_says_where_there_is_no_p99() -> None:
    runs = [measured(*([took] * 200), seed=seed) for seed, took in enumerate((0.1, 0.3, 0.2), start=1)]
    told = row_of(0.5, SERVICE, runs)
    assert "| 50% | Service | 100.0% | 0.0% | 200 ms (100 ms to 300 ms) | 300 ms (100 ms to 300 ms) |" in told
    assert "| none |" in row_of(0.5, SERVICE, [*runs, measured(*([0.2] * 100), *([-0.1] * 100))])


def test_the_page_begins_with_its_tables_and_tells_where_the_machine_was_in_the_way() -> None:
    good, late = measured(*([0.1] * 200)), measured(*([0.1] * 200), seed=2, late_ms=40.0)
    told = page([good, late, replace(good, on="kubernetes")], "What follows.\n")
    first, second = told.index("On a cluster, with a real Service"), told.index("On this machine alone")
    assert first < second < told.index("What follows.")
    assert "Service at 50%, seed 2: the load sent 40 ms late at p99" in told


def test_each_way_of_the_page_is_measured_once_and_the_real_service_where_there_is_one() -> None:
    assert [way.name for way in ways(Where.KUBERNETES) if way.service] == [SERVICE, readiness.INSIDE]
    assert not [way for way in ways(Where.LOCAL) if way.service]
    for on in (Where.LOCAL, Where.KUBERNETES):
        names = [way.name for way in ways(on)]
        assert len(set(names)) == len(names)


def test_all_ways_get_the_same_arrivals() -> None:
    assert LOAD.arrivals() == replace(LOAD).arrivals()
    assert LOAD.arrivals() != replace(LOAD, seed=3).arrivals()


def test_the_service_sends_to_the_agents_alone_and_is_asked_at_the_node() -> None:
    made: list[dict[str, Any]] = []

    def call(method: str, path: str, *, json: dict[str, Any]) -> dict[str, Any]:
        assert (method, path) == ("POST", "/api/v1/namespaces/agentrig-f1/services")
        made.append(json)
        return {"spec": {"ports": [{"nodePort": 30123}]}}

    place: Any = SimpleNamespace(
        cluster=SimpleNamespace(call=call),
        namespace="agentrig-f1",
        name="f1",
        state=lambda _: SimpleNamespace(host="198.18.0.1"),
    )
    assert service(place) == "http://198.18.0.1:30123"
    kubernetes_validate.validate(json.loads(json.dumps(made[0])), "1.34", strict=True)
    assert made[0]["spec"]["selector"] == {"agentrig.fleet": "f1", "agentrig.part": "agent"}
