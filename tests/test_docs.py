"""What the documentation shows is what there is.

`python -m tests.test_docs` writes what is made of the code.
"""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from harness.experiment.load import catalogue, load, parse
from harness.judge.invariants import REGISTRY
from harness.report import words
from harness.run import pipeline
from harness.simulator import faults
from harness.simulator.wire import Wires
from harness.weather import kinds
from tests import agent_page, commands_page, telemetry_page, toml_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OWN = DOCS / "own-experiment.md"
CHECKS = DOCS / "checks.md"
TELEMETRY = DOCS / "telemetry.md"
AGENT = DOCS / "agent.md"
SIMULATOR = DOCS / "simulator.md"
WEATHER = DOCS / "weather.md"
COMMANDS = DOCS / "commands.md"
TOML = DOCS / "toml.md"
KINDS_HEAD = "## The kinds\n\n"
FAULTS_HEAD = "| kind | class | what the caller meets |\n|---|---|---|\n"
FAULTS_TAIL = """
A retry of a `permanent` one is wrong, of all others right; `stream` and `slow` ones befall streamed answers
only. What each client makes of them is held in `tests/e2e/test_simulator_matrix.py`; a fault is added by
[one file](../harness/simulator/faults/README.md).
"""
CHECKS_HEAD = """# The checks

Each is one small file in `harness/judge/invariants/`, tested on histories written by hand: nothing
there is *unknown*, a good one holds, a bad one is found. An experiment names the arms in which a check
must hold and the control arms in which it must be found failing, and may set another limit. A check that
a slow machine could make fail (*timing*) is *unknown* when the harness itself was the bottleneck, and so is
one of errors where nothing failed but requests whose time was over (504, or nobody waited for longer); one
that *compares* needs another arm. One that holds the *clocks* of processes against each other is unknown
where these contradict what must have come before what by more than 10 ms. One of *calls* is unknown where
requests said the same, so that their calls can't be told apart, and where it can't be said of 95 % of the
calls whose they are (of your own agent it is not made then).

**Tested cases.** A rule is tested where it could have been broken, and by nothing else: a limit by the
requests that come while a container is full, a retry by the calls that met a fault. Each check counts these
cases, shows them beside its figure, and is *unknown* with fewer than it needs, however many requests there
were. Why so many, the file says: most often by the rule of three, as a fault in one case of ten is missed
by 30 cases in 4 of 100 runs. One thing needs no number: where nothing at all may be wrong, one thing that
is wrong shows it. A control arm needs as many cases as any other. Where cases are missing that must have been
there (answers of which no span tells when they were saved, a container that nobody looked at), what holds in
the others is unknown; what is wrong in them is wrong.

**What makes every check of an arm unknown.** A planned request that did not end as a row, whether it was
not sent or its row was lost: one is enough. Weather that lasted for less than half of its plan, as the run
was late. Records that can't be: times out of order, a request that took
less time than the balancer was at work on it, or was due when its phase did not last, a trace or a request id
of two requests, a model call that has its span and is not in the journal. (What is there twice, span by span
the same, counts once.) And requests that failed though nothing explains it: in an arm
under test more of them than `no-errors` (or `errors-explained`) allows there, none without such a check; in
a control arm one in ten. What holds, or is caught, may then be so for that very reason. What explains a
failure: a model call that got no whole answer in any attempt, as the model API served faults; a container
that was killed meanwhile; that there was none when it came; a refusal while all containers were full, or
while one was, where the balancer offers a refused request to no other; weather between its container and what
that calls; a conflict (409) with another request of its session at the same time, for who asks on before the
answer may be told so.

**A claim** is about the arms under test. It holds when in each of them checks were made and held; controls
that are caught show that the checks work, and no more. That requests are answered (`no-errors`,
`errors-explained`) makes no claim where more was asked.

"""


def blocks(file: Path) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", file.read_text("utf-8"), re.DOTALL)


def checks_page() -> str:
    return CHECKS_HEAD + "\n".join(sections())


def simulator_page() -> str:
    """The page as it is, with its table of faults made anew."""
    by_hand, _, _ = SIMULATOR.read_text("utf-8").partition(FAULTS_HEAD)
    return by_hand + FAULTS_HEAD + "".join(fault_rows()) + FAULTS_TAIL


def weather_page() -> str:
    """The page as it is, with its kinds of weather made anew."""
    by_hand, _, _ = WEATHER.read_text("utf-8").partition(KINDS_HEAD)
    return by_hand + KINDS_HEAD + "\n".join(kind_sections())


def kind_sections() -> Iterator[str]:
    for name in sorted(kinds.REGISTRY):
        said = inspect.getdoc(sys.modules[f"{kinds.__name__}.{name}"]) or ""
        kind = kinds.REGISTRY[name]
        facts = [
            f'`target = "{kind.only}"` alone' if kind.only else "",
            "the store itself, for all containers at once" if kind.begin else "",
            "several `tool_servers`" if kind.spreads else "",
            "the reference agent alone" if kind.ours else "",
            f"takes {', '.join(f'`{key}`' for key in kind.takes)}" if kind.takes else "",
        ]
        about = "; ".join(fact for fact in facts if fact)
        yield f"### {name}\n\n{said}\n" + (f"\nIn an experiment: {about}.\n" if about else "")


def fault_rows() -> Iterator[str]:
    for kind, fault in sorted(faults.REGISTRY.items()):
        said = inspect.getdoc(sys.modules[f"{faults.__name__}.{kind}"]) or ""
        yield f"| `{kind}` | {fault.fault_class} | {said.partition(chr(10))[0]} |\n"


def sections() -> Iterator[str]:
    specs = [load(name, pipeline.known()) for name in catalogue()]
    for name, invariant in sorted(REGISTRY.items()):
        module = sys.modules[invariant.examine.__module__]
        about = {
            "timing": invariant.timing,
            "compares": invariant.compares,
            "clocks": invariant.clocks,
            "calls": invariant.of_calls,
        }
        kinds = [word for word, is_so in about.items() if is_so]
        used = [spec.name for spec in specs if any(check.id == name for check in spec.checks)]
        facts = [
            f"Limit {words.quantity(invariant.limit, invariant.unit)} unless the experiment says otherwise",
            *([", ".join(kinds)] if kinds else []),
            f"used by {', '.join(used)}" if used else "for experiments of your own",
        ]
        yield (
            f"## {name}\n\n{inspect.getdoc(module)}\n\n{'; '.join(facts)}.\n\n"
            f"Tested cases: at least {invariant.cases_needed} {invariant.case}. "
            f"**With fewer:** {invariant.more_cases}\n\n"
            f"**When it falls short:** {invariant.remedy}\n"
        )


def test_the_page_of_checks_is_what_the_code_says() -> None:
    assert CHECKS.read_text("utf-8") == checks_page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_telemetry_is_what_the_code_sends() -> None:
    assert TELEMETRY.read_text("utf-8") == telemetry_page.page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_commands_is_what_the_program_takes() -> None:
    assert COMMANDS.read_text("utf-8") == commands_page.page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_toml_is_what_the_models_read() -> None:
    assert TOML.read_text("utf-8") == toml_page.page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_the_agent_is_what_the_code_says() -> None:
    page = AGENT.read_text("utf-8")
    assert page == agent_page.made_anew(page), "write it anew: python -m tests.test_docs"
    assert not [figure for figure in agent_page.FIGURES if figure not in " ".join(page.split())]


def test_the_experiment_that_is_built_from_nothing_is_one() -> None:
    spec = parse(blocks(OWN)[0], OWN.name, pipeline.known())
    assert spec.name == "outage-drill"
    assert [name for name, arm in spec.arms.items() if arm.control] == ["none"]


@pytest.mark.parametrize("number", range(1, len(blocks(OWN))))
def test_every_further_part_fits_into_it(number: int) -> None:
    whole, part = blocks(OWN)[0], blocks(OWN)[number]
    spec = parse(f"{whole}\n{part}", OWN.name, pipeline.known())
    assert spec.fleet.events or spec.fleet.autoscale or len(spec.cells()) == 18


def pages() -> list[Path]:
    """Return every page of Markdown that is ours."""
    folders = ("docs", "harness", "reference_agent", "locustfiles", "dashboards", "tests")
    found = chain(ROOT.glob("*.md"), *((ROOT / folder).rglob("*.md") for folder in folders))
    return sorted(found)


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are called in links to them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", without_code(page), re.MULTILINE):
        said = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", said).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def without_code(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead to no file, or to no heading of one."""
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", without_code(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n# A `b`: c\n[1](no.md) [2](#a-b-c) [3](page.md#a-b-c-1) [4](page.md#no)\n")
    assert list(broken_links(page)) == ["no.md", "page.md#no"]


def twice(text: str, words: int = 8) -> set[str]:
    """Return what is said more than once: two versions of a text were put together wrongly."""
    said = text.split()
    counted = Counter(" ".join(said[at : at + words]) for at in range(len(said) - words + 1))
    return {each for each, number in counted.items() if number > 1}


def test_the_changelog_says_nothing_twice() -> None:
    """It is what a release says of itself."""
    assert twice("a b c d e f g h i a b c d e f g h") == {"a b c d e f g h"}
    assert twice((ROOT / "CHANGELOG.md").read_text("utf-8")) == set()


def test_the_map_of_the_documentation_has_every_page() -> None:
    map_of_it = (DOCS / "README.md").read_text("utf-8")
    assert not [
        page.name
        for page in DOCS.glob("*.md")
        if f"]({page.name})" not in map_of_it and page.name != "README.md"
    ]


def test_the_page_of_the_simulator_tells_of_every_fault() -> None:
    assert SIMULATOR.read_text("utf-8") == simulator_page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_the_weather_tells_of_every_kind_and_each_says_what_mends_it() -> None:
    assert WEATHER.read_text("utf-8") == weather_page(), "write it anew: python -m tests.test_docs"
    for section in (" ".join(each.split()) for each in kind_sections()):
        assert "In production: " in section, section
        assert "In traces: " in section, section
        assert "mend" in section, section


def test_the_page_of_the_simulator_tells_of_every_protocol_and_path() -> None:
    wires, told = Wires(), {}
    for line in SIMULATOR.read_text("utf-8").splitlines():
        if line.startswith("| `POST"):
            paths, name, *_ = re.findall(r"`([^`]+)`", line.replace("`, `", " "))
            told[name] = {
                getattr(wires.of(re.sub(r"{\w+}", "m", path)), "name", None)
                for path in re.findall(r"POST (\S+)", paths)
            }
    assert told == {wire.name: {wire.name} for wire in wires.all}


if __name__ == "__main__":
    SIMULATOR.write_text(simulator_page(), "utf-8")
    WEATHER.write_text(weather_page(), "utf-8")
    CHECKS.write_text(checks_page(), "utf-8")
    COMMANDS.write_text(commands_page.page(), "utf-8")
    TOML.write_text(toml_page.page(), "utf-8")
    TELEMETRY.write_text(telemetry_page.page(), "utf-8")
    AGENT.write_text(agent_page.made_anew(AGENT.read_text("utf-8")), "utf-8")
