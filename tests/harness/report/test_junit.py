from dataclasses import replace
from xml.etree import ElementTree as ET

from harness.records.outcome import Outcome
from harness.report.junit import to_junit
from tests.harness.report import sample

RESULT, _ = sample.run()
FALLEN, _ = sample.fallen()


def parse(text: str | bytes) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own file


def test_a_suite_per_experiment_holds_a_case_per_check_and_arm() -> None:
    root = parse(to_junit(RESULT))
    assert [suite.get("name") for suite in root] == ["cold-start", "busy-routing", "throttling"]
    cases = [(case.get("classname"), case.get("name")) for case in root[0].iter("testcase")]
    assert ("agentrig.cold-start.per-request", "init-once") in cases
    assert len(cases) == len(RESULT.experiments[0].checks)
    assert {case.get("assertions") for case in root[0].iter("testcase")} == {"1240"}
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("23", "0", "0")


def test_a_check_that_fell_short_is_a_failure_with_its_figure_and_traces() -> None:
    root = parse(to_junit(FALLEN))
    (failure,) = root.iter("failure")
    assert "1.23 times" in failure.get("message", "")
    assert "observed 1.23" in (failure.text or "")
    assert "tested cases 1,240: requests that could have broken it" in (failure.text or "")
    assert "trace 20202020202020202020202020202020" in (failure.text or "")
    assert root[1].get("failures") == root.get("failures") == "1"


def test_an_unknown_is_an_error_and_never_green() -> None:
    root = parse(to_junit(FALLEN))
    (error,) = root.iter("error")
    assert error.get("type") == "unknown"
    assert root[2].get("errors") == root.get("errors") == "1"


def test_a_verdict_that_no_check_explains_is_a_case_of_its_own() -> None:
    silent = replace(RESULT.experiments[0], verdict=Outcome.UNKNOWN, checks=())
    root = parse(to_junit(replace(RESULT, verdict=Outcome.UNKNOWN, experiments=(silent,))))
    (case,) = root.iter("testcase")
    assert case.get("name") == "verdict"
    assert case.find("error") is not None


def test_a_run_of_nothing_is_an_error() -> None:
    root = parse(to_junit(replace(RESULT, verdict=Outcome.UNKNOWN, experiments=())))
    assert root.get("errors") == "1"


def test_text_that_xml_cannot_hold_does_not_break_the_file() -> None:
    check = replace(
        RESULT.experiments[0].checks[0],
        verdict=Outcome.FAIL,
        message='<b> "x" & \x00\x1b \ud800 ]]>',
        arm="<arm>",
    )
    bad = replace(RESULT.experiments[0], name="a\x00b", verdict=Outcome.FAIL, checks=(check,))
    root = parse(to_junit(replace(RESULT, experiments=(bad,))).encode())
    (failure,) = root.iter("failure")
    assert failure.get("message") == '<b> "x" & \ufffd\ufffd \ufffd ]]>'
    assert root[0].get("name") == "a\ufffdb"
