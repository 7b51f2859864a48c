"""Which commit made it worse."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import ExitCode, InputError
from harness.gate.bisect import Found, bisect, commits_between, failed, is_worse, write_found
from harness.gate.blocks import CPU, P99, Block
from harness.gate.decide import decide
from harness.gate.ending import SUMMARY, read_ending
from harness.gate.source import ProgramError
from tests.harness.gate.test_decide import blocks

COMMITS = [f"c{number}" for number in range(1, 17)]


@pytest.mark.parametrize("first", range(16))
def test_the_first_that_is_worse_is_found_in_few_steps(first: int) -> None:
    found = bisect(COMMITS, lambda commit: COMMITS.index(commit) >= first)
    assert found.commits == (COMMITS[first],)
    assert found.asked <= 4


def test_a_commit_that_cannot_be_told_is_gone_around() -> None:
    asked = list[str]()

    def worse(commit: str) -> bool | None:
        asked.append(commit)
        return None if commit in {"c8", "c9"} else COMMITS.index(commit) >= 11

    assert bisect(COMMITS, worse).commits == ("c12",)
    assert len(asked) == len(set(asked))


def test_where_it_is_one_of_those_that_cannot_be_told_all_are_named() -> None:
    found = bisect(COMMITS, lambda commit: None if commit in {"c8", "c9"} else COMMITS.index(commit) >= 8)
    assert found.commits == ("c8", "c9", "c10")


def test_a_single_commit_needs_no_question() -> None:
    assert bisect(["c1"], lambda _: pytest.fail("asked")).asked == 0


def test_only_the_figures_that_are_looked_for_count() -> None:
    cpu, p99 = decide(blocks(16, head=1.4, measure=CPU.name)), decide(blocks(16, head=1.4))
    looked_for = failed(p99)
    assert looked_for == {("steady", P99.name)}
    assert is_worse(p99, looked_for) is True
    assert is_worse(cpu, looked_for) is False
    assert is_worse(decide(blocks(24, head=1.12, noise=0.3)), looked_for) is None
    assert is_worse(decide(blocks(8, requests=200)), looked_for) is None


def test_commits_are_those_along_first_parents() -> None:
    ran = list[Sequence[str]]()

    def run(argv: Sequence[str], _: Path) -> str:
        ran.append(argv)
        return "a\n" if "rev-parse" in argv else "b a\nc b side\n"

    assert commits_between("a", "c", run) == ["b", "c"]
    assert ran[0][1:4] == ("rev-list", "--first-parent", "--reverse")
    assert "a..c" in ran[0]


@pytest.mark.parametrize("listed", ["b other\nc b\n", "b\nc b\n"])
def test_a_good_one_that_the_others_do_not_come_after_is_told(listed: str) -> None:
    with pytest.raises(InputError, match="does not come from a: b is the first on it that a has not"):
        commits_between("a", "c", lambda argv, _: "a\n" if "rev-parse" in argv else listed)


def test_what_is_no_pair_of_commits_is_told() -> None:
    def broken(_: Sequence[str], __: Path) -> str:
        raise ProgramError("fatal")

    def shallow(argv: Sequence[str], folder: Path) -> str:
        return "true\n" if "--is-shallow-repository" in argv else broken(argv, folder)

    with pytest.raises(InputError, match=r"no two commits .* this clone is shallow.*`fetch-depth: 0`"):
        commits_between("a", "b", shallow)
    with pytest.raises(InputError, match="no two commits"):
        commits_between("a", "b", broken)
    with pytest.raises(InputError, match="there is no commit from b to a"):
        commits_between("b", "a", lambda *_: "\n")
    with pytest.raises(InputError, match="names no commit"):
        commits_between("--output=x", "b", broken)


def test_what_came_of_it_is_written(tmp_path: Path) -> None:
    whole = decide(blocks(16, head=1.4))
    steps = (("c" * 40, "head is worse"), ("a" * 40, "not worse"), ("b" * 40, "worse"))
    ending = write_found(Found(whole=whole, steps=steps, suspects=("b" * 40,)), tmp_path, "agentrig gate")
    assert ending == read_ending(tmp_path)
    assert ending.exit_code == ExitCode.FELL_SHORT
    assert ending.title.startswith("bbbbbbbbbb made it worse: head is worse: p99 is 1.39")
    assert "| aaaaaaaaaa | not worse |" in (tmp_path / SUMMARY).read_text("utf-8")
    several = Found(whole=whole, steps=steps, suspects=("b" * 40, "c" * 40))
    assert several.ending.title.startswith("one of bbbbbbbbbb, cccccccccc made it worse")


@pytest.mark.parametrize(
    ("made", "code"), [(blocks(), ExitCode.HELD), (blocks(24, head=1.12, noise=0.3), ExitCode.UNKNOWN)]
)
def test_where_the_bad_one_is_not_proved_to_be_there_is_nothing_to_look_for(
    made: list[Block], code: ExitCode
) -> None:
    ending = Found(whole=decide(made), steps=(), suspects=()).ending
    assert ending.exit_code == code
    assert ending.title.startswith("no commit to look for: ")
