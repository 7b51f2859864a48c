"""Plans whose answer is known by other means."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from harness.commands.schema import SCHEMAS
from harness.errors import InputError
from harness.plan import forecast, page, theory, words
from harness.plan.asked import Answer, Asked, Binds, Promise
from harness.plan.estimate import Draws, estimate, of_size
from harness.plan.prices import Prices, per_thousand
from harness.plan.records import Fleet, Routing, Scaling
from harness.plan.search import FEW_SEEDS, _cliff, _sure, answer, least_containers, up_s, with_zones
from harness.records.workload import ContainerFacts, Workload
from harness.simulator_config import Quota
from tests.harness.plan.workloads import plain, sessions, workload

FEW = 1500
"""Requests of a replication: enough for what is asked here."""


def asked(told: Workload, p99_s: float = 2.6, **changed: object) -> Asked:
    made = Asked(
        workload=told,
        promise=Promise(p99_s=p99_s),
        rate_rps=told.arrivals.rate_rps,
        fleet=Fleet(containers=1),
    )
    return replace(made, **changed)  # type: ignore[arg-type] # words of a test


def planned(question: Asked) -> Answer:
    return answer(question, requests=FEW)


def test_the_smallest_fleet_holds_and_one_container_less_does_not() -> None:
    found = planned(asked(plain()))
    assert found.best is not None
    assert found.best.fleet is not None
    containers = found.best.containers
    assert containers is not None
    load = 10 * plain().service.mean_s
    assert load < containers < 2 * load
    assert found.best.point.p99.high <= 2.6
    draws = Draws(plain(), FEW)
    less = estimate(draws, of_size(found.best.fleet, containers - 1), 10, range(1, 11))
    assert not asked(plain()).promise.held(less)
    assert found.binds in {Binds.CONTAINERS, Binds.MODEL}
    assert found.cliff_rps is not None
    assert 9.5 <= found.cliff_rps < 1.3 * 10


def test_a_limit_of_four_takes_a_quarter_of_the_containers() -> None:
    found = planned(asked(plain(rate_rps=40), limits=(1, 4)))
    one, four = (each.containers for each in found.candidates)
    assert one is not None
    assert four is not None
    assert four == pytest.approx(one / 4, abs=1.5)
    assert found.best is not None
    assert found.best.limit == 4


def test_a_quota_that_binds_is_named_and_no_container_helps() -> None:
    told = plain(quota=Quota(rpm=300, burst=5))
    found = planned(asked(told))
    assert found.best is None
    assert found.binds is Binds.QUOTA
    assert found.quota_needed_rpm is not None
    assert 600 <= found.quota_needed_rpm < 1200  # 10/s are 600 a minute
    assert "no number of containers helps" in found.first
    assert "quota" in found.first
    assert "No number of containers" in words.headline(found)


def test_a_quota_of_tokens_that_binds_is_told_in_tokens() -> None:
    service = plain().service.model_copy(update={"tokens": 1000})
    told = plain(quota=Quota(rpm=100_000, tpm=300_000)).model_copy(update={"service": service})
    found = planned(asked(told))
    assert found.binds is Binds.QUOTA
    assert found.quota_needed_tpm is not None
    assert 570_000 <= found.quota_needed_tpm < 1_200_000  # 10/s of 1,000 each are 600,000
    assert "from 300000 to" in found.first
    assert "tokens a minute" in found.first
    assert "requests a minute" not in found.first


def test_a_p99_below_the_services_own_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="waits for nothing"):
        planned(asked(plain(), p99_s=0.5))


def test_a_fleet_that_is_too_small_is_told() -> None:
    found = planned(asked(plain(), containers=5))
    assert found.best is None
    assert "too few" in found.first
    assert "5 containers do not hold" in words.headline(found)


def test_what_lies_on_both_sides_of_the_limit_is_undecided() -> None:
    question = asked(plain(), containers=7)
    point = estimate(Draws(plain(), FEW), Fleet(containers=7), 10, range(1, 11))
    found = planned(replace(question, promise=Promise(p99_s=point.p99.mean)))
    assert found.best is None
    assert found.undecided
    assert "can't be told" in words.headline(found)
    assert not planned(asked(plain(), containers=5)).undecided


def test_no_fleet_is_planned_that_is_in_use_all_the_time() -> None:
    load = 1000 * plain().service.mean_s
    assert least_containers(plain(rate_rps=1000), 1000, Fleet(containers=1)) == pytest.approx(
        load + 0.25 * load**0.5, abs=1
    )


def test_one_zone_may_be_gone() -> None:
    assert with_zones(6, 1) == 6
    assert with_zones(6, 3) == 9
    assert with_zones(7, 3) == 11  # 11 in three zones: the largest has 4
    assert with_zones(1, 2) == 2


def test_round_robin_takes_more_and_is_told_to_change_first() -> None:
    found = planned(asked(plain(), fleet=Fleet(containers=1, routing=Routing.BLIND)))
    assert found.best is not None
    assert found.best.containers is not None
    assert found.instead["busy-aware"] < found.best.containers
    assert "Change the routing first" in found.first


def test_a_plain_service_is_told_what_it_takes_for_hardly_any_to_be_refused() -> None:
    """With a probe a second and answers of half a second, it knows next to nothing of who is full."""
    fleet = Fleet(containers=1, routing=Routing.READINESS)
    found = planned(asked(plain(), fleet=fleet, limits=(1, 8)))
    by_limit = {each.limit: each.containers for each in found.candidates}
    assert by_limit[1] is not None
    assert by_limit[8] is not None
    assert by_limit[1] > 20 * by_limit[8], "of eight slots there is one free all but always"
    assert found.headroom is not None
    assert found.headroom > 0.05
    assert all(
        curve[0].rate_rps < found.knees[size] < curve[-1].rate_rps for size, curve in found.curves.items()
    )
    assert all(curve[-1].rate_rps < 2 * found.knees[size] for size, curve in found.curves.items())
    assert found.instead["busy-aware"] < by_limit[8]
    assert "Change the routing first: with busy-aware" in found.first


def test_a_plain_service_that_takes_hundreds_of_containers_holds_at_what_was_asked() -> None:
    """Its slots could do a hundred times as much: a search in steps of those ended below what it holds."""
    fleet = Fleet(containers=1, routing=Routing.READINESS)
    question = asked(plain(), fleet=fleet)
    draws = Draws(plain(), FEW)
    cliffs = [_cliff(draws, question, of_size(fleet, size), FEW_SEEDS) for size in (400, 800)]
    assert 9.5 < cliffs[0] < 20
    assert cliffs[1] == pytest.approx(2 * cliffs[0], rel=0.35)


@pytest.mark.parametrize(
    ("error_ratio", "headline", "first"),
    [
        (0.0, "No number of containers holds", "no number of containers helps"),
        (1e-5, "Up to 2500 containers do not hold", "it takes more than 2500 containers"),
    ],
)
def test_a_plain_service_refuses_some_however_many_there_are(
    error_ratio: float, headline: str, first: str
) -> None:
    fleet = Fleet(containers=1, routing=Routing.READINESS)
    wanted = replace(asked(plain(), fleet=fleet), promise=Promise(p99_s=4, error_ratio=error_ratio))
    none = planned(wanted)
    assert none.best is None
    assert words.headline(none).startswith(headline)
    assert f"The routing binds, and {first}: with busy-aware" in none.first


def test_sessions_with_containers_of_their_own_cost_what_they_idle() -> None:
    told = plain(sessions=sessions(3, 4.0))
    fleet = Fleet(containers=1, routing=Routing.SESSION, idle_s=30, cold_start_s=0.5)
    found = planned(asked(told, p99_s=4, fleet=fleet))
    assert found.best is not None
    assert found.best.containers is not None
    # Little: sessions a second, times what each is there: two thinks, the idle time and its work
    assert found.best.containers == pytest.approx(10 / 3 * (8 + 30 + 2), rel=0.25)
    assert found.best.point.figures.container_s > 10


def test_an_autoscaler_is_planned_by_its_most() -> None:
    fleet = Fleet(containers=1, scaling=Scaling(least=1, target=0.7, sync_s=5), cold_start_s=1)
    draws = Draws(plain(), FEW)
    point = estimate(draws, of_size(fleet, 20), 10, (1, 2))
    assert point.figures.container_s > 0
    assert point.figures.utilisation < 1


def test_what_it_costs() -> None:
    told = plain().model_copy(
        update={"service": plain().service.model_copy(update={"tokens": 3000, "tokens_out": 1000})}
    )
    found = estimate(Draws(told, FEW), Fleet(containers=10), 10, (1, 2))
    prices = Prices(container_hour=0.36, million_tokens_in=1, million_tokens_out=5, request=0.0001)
    # 10 containers for 10 requests/s: a container-second each
    assert found.figures.container_s == pytest.approx(1.0, rel=0.1)
    assert per_thousand(found, told, prices) == pytest.approx(0.1 + 0.1 + 2 + 5, rel=0.02)
    assert per_thousand(found, told, prices, spare=1.5) > per_thousand(found, told, prices)


def test_the_interval_narrows_with_more_replications() -> None:
    draws = Draws(plain(), FEW)
    few, many = (estimate(draws, Fleet(containers=8), 10, range(1, count + 1)) for count in (3, 12))
    assert few.p99.low < many.p99.mean < few.p99.high
    assert many.p99.high - many.p99.low < few.p99.high - few.p99.low


def test_the_page_and_the_record_say_the_same() -> None:
    found = planned(asked(plain()))
    html = page.to_html(found, Prices(container_hour=1.0), "agentrig plan <workload>")
    assert "<svg" in html
    assert "<script" not in html
    assert "http://www.w3.org/2000/svg" in html
    assert html.count("http") == html.count("http://www.w3.org/2000/svg")  # nothing is loaded
    assert "agentrig plan &lt;workload&gt;" in html
    assert words.headline(found) in html
    for prices in (None, Prices(container_hour=1.0)):
        told = json.loads(forecast.to_json(found, prices))
        assert told["containers"] == (found.best and found.best.containers)
        assert not list(Draft202012Validator(SCHEMAS[forecast.FORECAST]()).iter_errors(told))
    assert len(found.curves) == len(found.knees) >= 2


def test_a_thousand_containers_meet_square_root_staffing() -> None:
    """Exponential service: the share that waits is what the rule was asked for, within its error."""
    servers = theory.square_root_staffing(100.0, 0.2)
    assert theory.erlang_c(servers, 100.0) == pytest.approx(0.2, abs=0.03)


# --- what binds beside containers, quota and answers -------------------------------------
def test_faults_of_the_model_that_no_retry_mends_are_named() -> None:
    found = planned(asked(plain(fault_ratio=0.5), p99_s=30))
    assert found.best is None
    assert found.binds is Binds.FAULTS
    assert "50.0% of its attempts fail" in found.first
    assert "tried 3 times" in found.first
    assert "hort" not in found.first  # shorter answers would fail as often


def test_cold_starts_that_take_longer_than_the_limit_are_named() -> None:
    fleet = Fleet(containers=1, routing=Routing.SESSION, idle_s=5, cold_start_s=4)
    found = planned(asked(plain(rate_rps=5), fleet=fleet))
    assert found.best is None
    assert found.binds is Binds.COLD_STARTS
    assert "takes 4 s to start" in found.first
    assert "--idle" in found.first


def test_a_routing_that_no_number_of_containers_makes_good_is_named() -> None:
    """Two blind balancers meet in containers that each takes for free, however many there are."""
    fleet = Fleet(containers=1, routing=Routing.LEAST_REQUEST, balancers=2)
    found = planned(asked(plain(median_s=0.5, p99_s=None), p99_s=0.8, fleet=fleet))
    assert found.best is None
    assert not found.undecided
    assert found.binds is Binds.ROUTING
    assert f"with busy-aware, {found.instead['busy-aware']} hold" in found.first


def test_what_is_undecided_is_not_told_to_shorten_its_answers() -> None:
    question = asked(plain(), containers=7)
    point = estimate(Draws(plain(), FEW), Fleet(containers=7), 10, range(1, 11))
    found = planned(replace(question, promise=Promise(p99_s=point.p99.mean)))
    assert found.undecided
    assert "Nothing to change yet" in found.first


def test_a_fleet_of_sessions_is_drawn_and_pushed_at_rates_that_it_knows() -> None:
    """Its containers idle most of the time: by its slots it would be asked for hundreds of times its rate."""
    fleet = Fleet(containers=1, routing=Routing.SESSION, idle_s=60, cold_start_s=0.5)
    told = plain(rate_rps=2, sessions=sessions(3, 5.0))
    found = planned(asked(told, p99_s=4.0, fleet=fleet))
    assert found.best is not None
    assert found.best.containers is not None
    least = 2 * found.best.point.figures.container_s
    assert least < found.best.containers < 1.6 * least
    assert found.cliff_rps is not None
    assert 1.9 < found.cliff_rps < 2 * 2
    rates = [point.rate_rps for curve in found.curves.values() for point in curve]
    assert max(rates) < 5
    assert up_s(told, fleet) == pytest.approx(found.best.point.figures.container_s, rel=0.2)


def test_the_fewest_are_found_from_a_guess_on_either_side() -> None:
    """What few replications guess, all decide: more where it does not hold, fewer where fewer do as well."""

    def point(containers: int) -> object:
        asked_for.append(containers)
        return containers

    for guess in (1, 12, 20, 21, 22, 40):
        asked_for: list[int] = []
        found = _sure(guess, 1, (100, 100), point, lambda each: each >= 21)  # type: ignore[arg-type, operator] # a number for a point
        assert found == ((21, 21) if guess <= 24 else (37, 37))  # no further down than a few
        assert len(set(asked_for)) == len(asked_for) <= 12


# --- what is told beside ------------------------------------------------------------------
def test_tokens_that_nobody_counted_have_no_price() -> None:
    point = estimate(Draws(plain(), FEW), Fleet(containers=9), 10, (1, 2))
    told = plain()
    assert told.service.tokens is None
    assert per_thousand(point, told, Prices(million_tokens_in=3.0)) is None
    assert per_thousand(point, told, Prices(container_hour=1.0)) is not None
    known = workload()
    assert known.service.tokens is not None
    assert per_thousand(point, known, Prices(million_tokens_in=3.0, million_tokens_out=15.0)) is not None
    out = known.model_copy(update={"service": known.service.model_copy(update={"tokens": None})})
    assert per_thousand(point, out, Prices(million_tokens_out=15.0)) == pytest.approx(
        1000 * 1.5 * 100 * 15e-6
    )
    assert per_thousand(point, out, Prices(million_tokens_in=1.0)) is None
    found = planned(asked(told))
    assert words.UNPRICED in next(iter(words.rows(found, Prices(million_tokens_in=3.0))))
    assert '"cost_per_1000": null' in forecast.to_json(found, Prices(million_tokens_in=3.0))


def test_a_limit_that_takes_more_cpu_than_a_process_has_is_told() -> None:
    container = ContainerFacts(cpu_s=0.1)
    found = planned(asked(plain(container=container), limits=(100,)))
    assert found.best is not None
    assert found.best.containers == 1
    assert any("would use 1 cores (100 ms of CPU a request)" in each for each in words.sentences(found))
    one = planned(asked(plain(container=container)))
    assert not any("cores" in each for each in words.sentences(one))
