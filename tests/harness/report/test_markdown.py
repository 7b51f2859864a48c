from dataclasses import replace

from harness.records.outcome import Outcome
from harness.report.markdown import escape, to_markdown
from tests.harness.report import sample

RESULT, _ = sample.run()
FALLEN, _ = sample.fallen()


def test_it_begins_with_the_verdict_and_a_line_per_claim() -> None:
    lines = to_markdown(FALLEN).splitlines()
    assert lines[0] == "## ❌ agentrig: 1 of 3 claims fell short, 1 unknown"
    assert [line[:3] for line in lines[2:5]] == ["- ✅", "- ❌", "- ❔"]


def test_what_fell_short_is_outside_the_fold_with_its_trace() -> None:
    text = to_markdown(FALLEN)
    before = text.split("<details>")[1].split("### Busy signal")[1]
    assert "- ❌ **p99-over-optimum** in busy-aware (1,240 tested cases): " in before
    assert "| limit | tested cases | message |" in text
    assert "(traces: [20202020](http://localhost:16686/trace/20202020202020202020202020202020)" in before
    assert "⚠️ blind: the load was late" in before


def test_its_traces_are_plain_ids_where_no_jaeger_has_them() -> None:
    assert "(traces: 20202020202020202020202020202020" in to_markdown(replace(FALLEN, jaeger_url=None))


def test_a_run_tells_the_command_that_makes_it_again() -> None:
    assert "Run again: `agentrig gate --base main`" in to_markdown(
        replace(RESULT, again="agentrig gate --base main")
    )


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    check = replace(RESULT.experiments[0].checks[0], message="a | b\nc || d")
    text = to_markdown(replace(RESULT, experiments=(replace(RESULT.experiments[0], checks=(check,)),)))
    tables, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line.replace("\\|", "").count("|"))
        elif rows:
            tables.append(rows)
            rows = []
    assert len(tables) == 2
    assert all(len(set(table)) == 1 for table in tables)


def test_text_from_outside_is_no_markup_no_html_and_mentions_nobody() -> None:
    assert escape("<script>a</script> & [x](http://y) `z` *b* @team\nnext|cell") == (
        "&lt;script&gt;a&lt;/script&gt; &amp; \\[x\\](http://y) \\`z\\` \\*b\\* @&#8203;team next\\|cell"
    )


def test_a_sign_that_github_looks_for_in_what_is_shown_is_parted_from_its_name() -> None:
    """It looks for them after escapes and entities are gone: `\\#12` and `&#64;team` would be links."""
    assert escape("o/r#12 fixes #7, by @a and b@c.de; # of it") == (
        "o/r\\#&#8203;12 fixes \\#&#8203;7, by @&#8203;a and b@&#8203;c.de; \\# of it"
    )


def test_a_hostile_name_stays_text_everywhere() -> None:
    name = "<img src=x onerror=alert(1)>`|"
    bad = replace(
        FALLEN.experiments[1], name=name, title=name, arms={name: FALLEN.experiments[1].arms["blind"]}
    )
    assert (
        "<img"
        not in to_markdown(replace(FALLEN, experiments=(bad,), verdict=Outcome.FAIL)).split("Run again")[0]
    )
