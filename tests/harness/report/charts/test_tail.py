"""The picture of where the time went, and the sentence beside it."""

from harness.records.outcome import ArmSummary
from harness.report import words
from harness.report.charts.tail import parts_seen, tail

SLOW = ArmSummary(
    control=True,
    requests=700,
    errors=0,
    tail={"waiting": 3.0, "model": 1.0, "agent": 0.001},
    body={"waiting": 0.1, "model": 0.9, "agent": 0.001},
)
SILENT = ArmSummary(control=False, requests=0, errors=0)


def test_an_arm_has_a_bar_of_its_tail_and_one_of_all() -> None:
    drawn = tail({"blind": SLOW})
    assert drawn is not None
    assert "waiting: 3,000 ms" in drawn
    assert "waiting: 100 ms" in drawn


def test_without_spans_nothing_is_drawn_or_said() -> None:
    assert tail({"silent": SILENT}) is None
    assert words.tail("silent", SILENT) == ""


def test_a_part_that_cannot_be_seen_is_not_in_the_key() -> None:
    assert parts_seen({"blind": SLOW}) == ((0, "waiting"), (1, "model"))


def test_names_from_outside_stay_text() -> None:
    assert "<script>" not in str(tail({"<script>": SLOW}))


def test_the_sentence_names_the_biggest_part_and_what_grew() -> None:
    assert words.tail("blind", SLOW) == (
        "blind: of 700 successes, those above p99 (about 7) took 4,001 ms on average, 75 % of it waiting; "
        "that is 2,900 ms more than an average request has."
    )


def test_the_sentence_tells_the_biggest_part_from_what_grew_most() -> None:
    arm = ArmSummary(
        control=False, requests=200, errors=0, tail={"model": 2.0, "backoff": 1.0}, body={"model": 1.9}
    )
    assert "66.7 % of it model; backoff is 1,000 ms more" in words.tail("reference", arm)
