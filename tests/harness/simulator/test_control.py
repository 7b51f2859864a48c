import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from harness.errors import StartError
from harness.simulator import control, journal
from harness.simulator.installed import known_faults
from tests.harness.simulator.asgi import Api

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BEARER = {"authorization": "Bearer t0ken"}


def test_the_configuration_is_told_and_changed_in_parts() -> None:
    api = Api()
    api.ask("PATCH", "/sim/config", json={"seed": 9, "quota": {"rpm": 60}})
    told = api.ask("PATCH", "/sim/config", json={"tool_turns": 2}).json()
    assert (told["seed"], told["quota"]["rpm"], told["tool_turns"]) == (9, 60, 2)
    assert api.ask("GET", "/sim/config").json() == told
    assert api.ask("PATCH", "/sim/config", json={"quota": None}).json()["quota"] is None


def test_the_journal_is_in_its_file_once_that_was_asked_for_and_no_look_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    api = Api(journal=file)
    assert [api.chat(text).status_code for text in "ab"] == [200, 200]
    assert api.ask("GET", "/sim/stats").json()["requests"] == 2
    assert file.read_text() == ""
    assert api.ask("POST", "/sim/journal/flush", json={}).json()["requests"] == 2
    assert len(file.read_text().splitlines()) == 2


def test_a_journal_that_cannot_be_written_is_told_to_who_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api()

    def fail() -> None:
        raise StartError("journal.jsonl: the journal cannot be written: no space left")

    monkeypatch.setattr(api.simulator.journal, "flush", fail)
    answer = api.ask("POST", "/sim/journal/flush", json={})
    assert (answer.status_code, "no space left" in answer.json()["detail"]) == (507, True)
    assert api.ask("GET", "/sim/stats").status_code == 200


def test_a_table_that_is_named_is_replaced_whole() -> None:
    api = Api()
    api.ask("PATCH", "/sim/config", json={"latency": {"ttft": {"median_s": 1.0}, "tokens": 40}})
    told = api.ask("PATCH", "/sim/config", json={"latency": {"itl": {"median_s": 0.5}}}).json()["latency"]
    assert (told["ttft"]["median_s"], told["itl"]["median_s"], told["tokens"]) == (0.0, 0.5, 8)


def test_what_it_tells_it_takes_back() -> None:
    api = Api()
    told = api.ask("GET", "/sim/config").json()
    assert api.ask("PATCH", "/sim/config", json=told).json() == told


def test_faults_are_added_listed_and_cleared() -> None:
    api = Api()
    api.ask("POST", "/sim/faults", json={"kind": "auth", "times": 1})
    listed = api.ask("POST", "/sim/faults", json={"kind": "overloaded"}).json()
    assert [rule["kind"] for rule in listed] == ["auth", "overloaded"]
    assert api.ask("GET", "/sim/faults").json() == listed
    assert [api.chat(text).status_code for text in "ab"] == [401, 503]
    assert api.ask("DELETE", "/sim/faults").json() == []
    assert api.chat().status_code == 200


def test_what_is_leased_is_gone_when_nobody_renews_it_and_the_own_configuration_holds_again() -> None:
    api = Api()
    own = api.ask("PATCH", "/sim/config", json={"quota": {"rpm": 600}, "seed": 4}).json()
    lease = {"name": "a", "seconds": 10, "faults": [{"kind": "auth"}]}
    held = api.ask("PUT", "/sim/lease", json=lease).json()
    assert (held["quota"], [rule["kind"] for rule in held["faults"]]) == (own["quota"], ["auth"])
    assert api.chat("a").status_code == 401
    api.clock.advance(8)
    assert api.ask("POST", "/sim/lease", json={"name": "a", "seconds": 10}).status_code == 200
    api.clock.advance(8)
    assert api.chat("b").status_code == 401
    api.clock.advance(2)
    assert api.chat("c").status_code == 200
    assert api.ask("GET", "/sim/config").json() == own
    assert api.ask("POST", "/sim/lease", json={"name": "a"}).status_code == 409
    assert api.ask("DELETE", "/sim/lease", params={"name": "a"}).status_code == 409


def test_a_lease_that_takes_over_another_puts_back_what_was_there_before_both() -> None:
    api = Api()
    own = api.ask("GET", "/sim/config").json()
    api.ask("PUT", "/sim/lease", json={"name": "killed", "faults": [{"kind": "auth"}]})
    api.ask("PUT", "/sim/lease", json={"name": "next", "faults": [{"kind": "overloaded"}]})
    assert api.ask("POST", "/sim/lease", json={"name": "killed"}).status_code == 409
    assert api.chat().status_code == 503
    assert api.ask("DELETE", "/sim/lease", params={"name": "next"}).json() == own


def test_who_changes_the_configuration_ends_the_lease() -> None:
    api = Api()
    api.ask("PUT", "/sim/lease", json={"name": "a", "seconds": 10, "faults": [{"kind": "auth"}]})
    api.ask("DELETE", "/sim/faults")
    api.ask("PATCH", "/sim/config", json={"seed": 7})
    api.clock.advance(60)
    assert api.ask("GET", "/sim/config").json()["seed"] == 7
    assert api.ask("POST", "/sim/lease", json={"name": "a"}).status_code == 409


def test_the_kinds_that_there_are_can_be_asked_for() -> None:
    kinds = Api().ask("GET", "/sim/faults/kinds").json()
    assert sorted(kind["kind"] for kind in kinds) == list(known_faults())


@pytest.mark.parametrize(
    ("method", "path", "sent", "words"),
    [
        ("POST", "/sim/faults", {"kind": "nope"}, "there is no fault 'nope'. Known: auth"),
        ("POST", "/sim/faults", {"kind": "auth", "probability": 2}, "probability"),
        ("PATCH", "/sim/config", {"seeds": 1}, "seeds"),
        ("PATCH", "/sim/config", {"quota": {"rpm": 0}}, "quota.rpm"),
        ("POST", "/sim/reset", {"start_s": "soon"}, "start_s"),
        ("PUT", "/sim/lease", {"name": "a", "faults": [{"kind": "nope"}]}, "there is no fault 'nope'"),
        ("PUT", "/sim/lease", {"name": "a", "seconds": 0}, "seconds"),
        ("POST", "/sim/lease", {"name": ""}, "name"),
    ],
)
def test_what_is_wrong_is_named(method: str, path: str, sent: dict[str, object], words: str) -> None:
    answer = Api().ask(method, path, json=sent)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("sent", ['{"start_s": Infinity}', '{"start_s": NaN}', '{"start_s": "\\ud800"}', "{"])
def test_what_json_cannot_say_is_refused_and_not_sent_back(sent: str) -> None:
    answer = Api().ask("POST", "/sim/reset", content=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert json.loads(answer.content)["detail"]


def test_faults_without_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_RULES", 2)
    api = Api()
    codes = [api.ask("POST", "/sim/faults", json={"kind": "auth"}).status_code for _ in range(3)]
    assert codes == [200, 200, 422]


def test_the_journal_is_read_since_a_row() -> None:
    api = Api()
    for text in "abc":
        api.chat(text)
    told = api.ask("GET", "/sim/requests", params={"since": 2}).json()
    assert [entry["number"] for entry in told] == [3]
    told = api.ask("GET", "/sim/stats").json()
    assert (told["requests"], told["decisions"], told["in_work"]) == (3, {"ok": 3}, 0)


def test_the_journal_is_read_a_page_at_a_time() -> None:
    api = Api()
    for text in "abcd":
        api.chat(text)
    told = api.ask("GET", "/sim/requests", params={"since": 1, "limit": 2}).json()
    assert [entry["number"] for entry in told] == [2, 3]
    assert api.ask("GET", "/sim/requests", params={"limit": 5000}).status_code == 422


def test_what_was_tried_and_thrown_is_counted_from_the_reset_on() -> None:
    api = Api()
    api.chat("before")
    rules = [{"kind": "overloaded", "times": 2}, {"kind": "auth", "times": 1, "window_s": [90, 91]}]
    api.ask("PATCH", "/sim/config", json={"faults": rules})
    assert api.ask("POST", "/sim/reset", json={}).json()["attempts"] == 0
    codes = [api.chat(text).status_code for text in ("a", "a", "a", "b")]
    told = api.ask("GET", "/sim/stats").json()
    assert codes == [503, 503, 200, 200]
    assert (told["attempts"], told["calls"], told["bodies"], told["fired"]) == (4, 2, 2, [2, 0])
    assert (told["sources"], told["resets"], told["forgotten_after_s"]) == ({"fault": 2}, 1, None)


def test_what_the_quota_refuses_is_told_apart_from_what_faults_throw() -> None:
    api = Api()
    api.ask("PATCH", "/sim/config", json={"quota": {"rpm": 1, "burst": 1}})
    assert [api.chat(text).status_code for text in "ab"] == [200, 429]
    assert api.ask("GET", "/sim/stats").json()["sources"] == {"quota": 1}


WRONG = ("Bearer t0kem", "Bearer t0kenn", "Bearer t0ke", "Bearer ", "Basic t0ken", "t0ken")


def test_with_a_token_nothing_is_told_without_it() -> None:
    api = Api(token="t0ken")
    told = api.ask("GET", "/sim/openapi.json").json()["paths"]
    paths = [(method.upper(), path) for path, methods in told.items() for method in methods]
    assert len(paths) == 13
    for method, path in paths:
        for wrong in ({}, *({"authorization": each} for each in WRONG)):
            assert api.ask(method, path, headers=wrong).status_code == 401, (method, path, wrong)
        assert api.ask(method, path, headers=BEARER).status_code in {200, 422}, (method, path)
    assert "Bearer" in api.ask("GET", "/sim/config").json()["detail"]
    assert api.chat().status_code == 200


def test_it_has_a_page_that_tells_of_every_path() -> None:
    api = Api()
    told = api.ask("GET", "/sim/openapi.json").json()
    assert set(told["paths"]) == {
        "/sim/config",
        "/sim/faults",
        "/sim/faults/kinds",
        "/sim/requests",
        "/sim/stats",
        "/sim/journal/flush",
        "/sim/reset",
        "/sim/lease",
    }
    page = api.ask("GET", "/sim/docs").text
    assert all(path in page for path in ("/sim/openapi.json", *told["paths"]))
    assert all(f">{model}</h3>" in page for model in told["components"]["schemas"])
    assert "://" not in page  # nothing is fetched from elsewhere


fuzzed = Api()
schema = schemathesis.openapi.from_dict(fuzzed.ask("GET", "/sim/openapi.json").json())


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_it_answers_as_its_page_says(case: schemathesis.Case) -> None:
    content: Any = None if isinstance(case.body, NotSet) else case.body
    answer = fuzzed.ask(
        case.method,
        case.formatted_path,
        params=case.query or None,
        headers={"content-type": "application/json"} | dict(case.headers or {}),
        content=content if isinstance(content, bytes | None) else json.dumps(content, default=repr).encode(),
    )
    assert answer.status_code < 500
    case.validate_response(answer, checks=CHECKS)


def test_what_is_asked_for_and_not_served_is_told_with_its_model() -> None:
    api = Api()
    for _ in range(3):
        assert api.ask("POST", "/v9/answers", json={"model": "gpt-x", "input": "hi"}).status_code == 404
    api.ask("GET", "/v1/nothing")
    api.ask("POST", "/v1/nothing", json=[1])
    assert api.ask("GET", "/sim/stats").json()["unserved"] == {
        "POST /v9/answers for gpt-x": 3,
        "GET /v1/nothing": 1,
        "POST /v1/nothing": 1,
    }
    api.ask("POST", "/sim/reset", json={})
    assert api.ask("GET", "/sim/stats").json()["unserved"] == {}


def test_kinds_of_what_is_not_served_are_bounded() -> None:
    api = Api()
    for number in range(journal.PATHS_KEPT + 5):
        api.ask("GET", f"/nothing/{number}")
    told = api.ask("GET", "/sim/stats").json()["unserved"]
    assert (len(told), told["others"]) == (journal.PATHS_KEPT + 1, 5)
