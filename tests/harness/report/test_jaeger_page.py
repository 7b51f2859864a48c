import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.judge.verdict import known_checks
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome
from harness.report.jaeger_page import COLD, KINDS, SLOW, JaegerPage, page_of
from tests.harness.report import sample

PAGE = JaegerPage(url="http://localhost:16686", from_s=1_000.0, until_s=1_010.0)
ARM = ArmSummary(
    control=False, requests=3, errors=0, p99_ms=512.7, slowest_trace="a" * 32, median_trace="b" * 32
)
CHECK = CheckResult(
    id="init-once", arm="cached", control=False, verdict=Outcome.FAIL, observed=2, limit=1, unit="{init}",
    message="twice", traces=("c" * 32, "d" * 32),
)  # fmt: skip


def experiment(arm: ArmSummary = ARM) -> ExperimentResult:
    return ExperimentResult(
        name="cold-start", title="", claim="", verdict=Outcome.FAIL, arms={"cached": arm}, checks=(CHECK,)
    )


def asked(address: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}


def test_a_search_asks_for_a_kind_in_one_arm_around_the_time_of_the_run() -> None:
    address = PAGE.search(COLD, "cold-start", "cached", 512.7)
    assert address.startswith("http://localhost:16686/search?")
    query = asked(address)
    assert (query["service"], query["start"], query["end"]) == ("agent", "940000000", "1070000000")
    assert json.loads(query["tags"]) == {
        "agentrig.client.state": "cold", "agentrig.experiment": "cold-start", "agentrig.arm": "cached",
    }  # fmt: skip
    assert "minDuration" not in query


def test_a_search_for_slow_requests_asks_for_those_above_p99() -> None:
    assert asked(PAGE.search(SLOW, "busy", "blind", 512.7))["minDuration"] == "512ms"
    assert "minDuration" not in asked(PAGE.search(SLOW, "busy", "blind", None))


def test_a_trace_is_compared_with_the_median_one() -> None:
    beside = f"http://localhost:16686/trace/{'b' * 32}...{'a' * 32}"
    assert PAGE.comparison(ARM, ARM.slowest_trace) == beside


@pytest.mark.parametrize("trace_id", [None, "b" * 32])
def test_nothing_is_compared_with_itself_or_with_nothing(trace_id: str | None) -> None:
    assert PAGE.comparison(ARM, trace_id) is None
    assert PAGE.comparison(replace(ARM, median_trace=None), "a" * 32) is None


def test_a_check_leads_to_its_evidence_its_like_and_a_comparison() -> None:
    found = PAGE.of_check(experiment(), CHECK, 1)
    assert [what for what, _ in found] == ["trace", "cold requests", "the slowest beside a median one"]


def test_a_check_about_no_kind_of_trace_leads_to_its_evidence_alone() -> None:
    odd = replace(CHECK, id="ping-truthful")
    bare = experiment(replace(ARM, median_trace=None))
    assert [address for _, address in PAGE.of_check(bare, odd, 9)] == [
        f"http://localhost:16686/trace/{'c' * 32}",
        f"http://localhost:16686/trace/{'d' * 32}",
    ]


def test_every_kind_belongs_to_a_check_that_there_is() -> None:
    assert set(KINDS) <= set(known_checks())


def test_there_is_no_page_without_a_web_address() -> None:
    result = sample.run()[0]
    assert page_of(replace(result, jaeger_url=None)) is None
    assert page_of(replace(result, jaeger_url="javascript:alert(1)")) is None


@pytest.mark.parametrize("sign", [*")(<>\"'`| \n\\@", "\u202e"])
def test_no_sign_of_an_address_ends_its_link(sign: str) -> None:
    result, _ = sample.run()
    assert page_of(replace(result, jaeger_url=f"http://localhost:16686/a{sign}b")) is None
    assert page_of(replace(result, jaeger_url=f"http://local{sign}host:16686")) is None


def test_a_path_in_front_of_the_page_is_kept() -> None:
    page = page_of(replace(sample.run()[0], jaeger_url="https://traces.example/jaeger/"))
    assert page is not None
    assert page.trace("ab") == "https://traces.example/jaeger/trace/ab"
