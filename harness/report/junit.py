"""`junit.xml`: a suite per experiment, a case per check and arm. Unknown is an error, never green."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from harness.records.outcome import CheckResult, ExperimentResult, Outcome, RunResult
from harness.report import words

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, escaped or not."""


def to_junit(result: RunResult) -> str:
    """Write a verdict as JUnit XML, for CI systems."""
    root = ET.Element("testsuites", name="agentrig")
    for experiment in result.experiments:
        root.append(_suite(experiment, result))
    if not result.experiments:
        suite = ET.SubElement(root, "testsuite", name="agentrig")
        _case(suite, "verdict", result.verdict, suite_class="agentrig", message=words.headline(result))
    for node in [*root, root]:
        node.set("tests", str(len(node.findall(".//testcase"))))
        node.set("failures", str(len(node.findall(".//failure"))))
        node.set("errors", str(len(node.findall(".//error"))))
        node.set("skipped", str(len(node.findall(".//skipped"))))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(experiment: ExperimentResult, result: RunResult) -> ET.Element:
    started = datetime.fromtimestamp(result.started_s, tz=UTC).isoformat(timespec="seconds")
    suite = ET.Element("testsuite", name=_clean(experiment.name), timestamp=started)
    properties = ET.SubElement(suite, "properties")
    for figure, texts in words.figures(experiment):
        for arm, text in zip(experiment.arms, texts, strict=True):
            ET.SubElement(properties, "property", name=_clean(f"{arm}: {figure.label}"), value=_clean(text))
    for check in experiment.checks:
        suite_class = f"agentrig.{experiment.name}.{check.arm}"
        _case(
            suite,
            check.id,
            check.verdict,
            suite_class=suite_class,
            message=check.message,
            detail=_detail(check),
            cases=check.cases,
        )
    if not any(check.verdict is experiment.verdict for check in experiment.checks):
        # The verdict has a reason beside its checks, such as that there are none.
        suite_class = f"agentrig.{experiment.name}"
        _case(
            suite, "verdict", experiment.verdict, suite_class=suite_class, message=words.sentence(experiment)
        )
    return suite


def _case(
    suite: ET.Element,
    name: str,
    verdict: Outcome,
    *,
    suite_class: str,
    message: str,
    detail: str = "",
    cases: int | None = None,
) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(suite_class), name=_clean(name))
    if cases is not None:
        case.set("assertions", str(cases))
    if verdict is Outcome.PASS:
        return
    if verdict is Outcome.NOT_MADE:
        ET.SubElement(case, "skipped", message=_clean(message))
        return
    tag = "failure" if verdict is Outcome.FAIL else "error"
    trouble = ET.SubElement(case, tag, type=words.WORDS[verdict])
    trouble.set("message", _clean(message))
    trouble.text = _clean(detail or message)


def _detail(check: CheckResult) -> str:
    lines = [
        check.message,
        f"observed {words.quantity(check.observed, check.unit)}",
        f"limit {words.quantity(check.limit, check.unit)}",
        f"tested cases {words.tested(check)}: {check.case}",
        *(f"trace {trace}" for trace in check.traces),
    ]
    return "\n".join(lines)


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
