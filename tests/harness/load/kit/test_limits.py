import pytest

from harness.errors import ExitCode
from harness.load.kit.limits import LoadLimits, exit_code, judge
from harness.load.kit.tally import Tally
from tests.harness.load.rows import row

HELD, FELL_SHORT, UNKNOWN = ExitCode.HELD, ExitCode.FELL_SHORT, ExitCode.UNKNOWN


def tally(successes: int, errors: int = 0, dropped: int = 0) -> Tally:
    it = Tally()
    for number in range(successes):
        it.add(row(number, 0.1))
    for number in range(errors):
        it.add(row(number, 0.1, status=500, error="e", error_type="Boom"))
    it.counts.due, it.counts.dropped = successes + errors + dropped, dropped
    return it


def code(limits: LoadLimits, it: Tally, **seen: float) -> ExitCode:
    return exit_code(judge(limits, it, **seen))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "it", "expected"),
    [
        (LoadLimits(), tally(1), HELD),
        (LoadLimits(), tally(0), UNKNOWN),
        (LoadLimits(min_requests=50), tally(49), UNKNOWN),
        (LoadLimits(min_requests=50), tally(50), HELD),
        (LoadLimits(p99_ms=200), tally(298), UNKNOWN),
        (LoadLimits(p99_ms=200), tally(299), HELD),
        (LoadLimits(p99_ms=50), tally(299), FELL_SHORT),
        (LoadLimits(p99_ms=50), tally(10), FELL_SHORT),
        (LoadLimits(p99_ms=200), tally(0, errors=300), FELL_SHORT),
        (LoadLimits(max_error_ratio=0.1), tally(90, errors=10), HELD),
        (LoadLimits(max_error_ratio=0.1), tally(89, errors=11), FELL_SHORT),
        (LoadLimits(), tally(500, dropped=1), UNKNOWN),
    ],
)
def test_a_test_holds_only_on_proof(limits: LoadLimits, it: Tally, expected: ExitCode) -> None:
    assert code(limits, it) is expected


def test_a_worker_that_never_reported_leaves_it_unknown() -> None:
    assert code(LoadLimits(), tally(500), missing=1) is UNKNOWN


@pytest.mark.parametrize(("seen", "expected"), [(1.2, HELD), (1.6, FELL_SHORT), (None, UNKNOWN)])
def test_amplification_is_held_against_its_limit(seen: float | None, expected: ExitCode) -> None:
    assert code(LoadLimits(max_amplification=1.5), tally(10), amplification=seen) is expected


def test_no_findings_prove_nothing() -> None:
    assert exit_code(()) is UNKNOWN


def test_what_fell_short_says_by_how_much_and_why() -> None:
    texts = [
        f.text for f in judge(LoadLimits(max_error_ratio=0.0), tally(8, errors=2)) if f.code is FELL_SHORT
    ]
    assert texts == ["error ratio 0.2000, at most 0 (Boom 2)"]


def test_too_few_calls_say_what_to_do() -> None:
    (finding,) = judge(LoadLimits(), tally(0))
    assert finding.text == "0 calls ended, at least 1 needed: run longer, or send more"
