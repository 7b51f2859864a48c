import re

from harness.records.outcome import ArmSeries
from harness.report.charts import attempts, frame
from harness.report.charts.attempts import Grid
from tests.harness.report import sample

RESULT, SERIES = sample.run()
DRAWN = sample.series_of(SERIES, "throttling")
STYLES = frame.arm_styles(RESULT.experiments[2].arms)


def test_first_attempts_and_retries_are_counted_apart() -> None:
    series = ArmSeries(attempts=((0.05, 1, "ok"), (0.06, 2, "ok"), (0.31, 3, "overloaded"), (0.31, 1, "ok")))
    assert attempts.binned(series, Grid(0.1, 0.4)) == [(1, 1), (0, 0), (0, 0), (1, 1)]


def test_every_attempt_is_in_a_bin() -> None:
    for drawn in DRAWN.values():
        bins = attempts.grid(DRAWN.values())
        assert sum(map(sum, attempts.binned(drawn, bins))) == len(drawn.attempts)


def test_bins_are_100_ms_until_the_run_is_too_long_for_it() -> None:
    assert attempts.grid([ArmSeries(attempts=((20.0, 1, "ok"),))]).width_s == 0.1
    assert attempts.grid([ArmSeries(attempts=((90.0, 1, "ok"),))]).width_s == 0.5
    assert attempts.grid([ArmSeries(attempts=((3600.0, 1, "ok"),))]).width_s == 10
    assert attempts.grid([]).top == 1


def test_the_herd_is_as_high_as_the_picture_and_the_scale_is_shared() -> None:
    bins = attempts.grid(DRAWN.values())
    herd = max(first + again for first, again in attempts.binned(DRAWN["no-jitter"], bins))
    assert bins.top == herd > 100


def test_retries_have_the_arms_colour_and_n_is_said() -> None:
    drawn = attempts.attempts(DRAWN["no-jitter"], STYLES["no-jitter"], attempts.grid(DRAWN.values()))
    assert drawn is not None
    assert 'class="fill hue-b"' in drawn
    assert 'class="fill first"' in drawn
    assert f"{len(DRAWN['no-jitter'].attempts)} attempts" in drawn
    assert attempts.attempts(ArmSeries(), STYLES["no-jitter"], Grid(0.1, 1)) is None


def test_attempts_before_the_load_began_are_in_the_first_bin() -> None:
    early = ArmSeries(attempts=((-0.3, 1, "ok"),))
    assert attempts.binned(early, attempts.grid([early])) == [(1, 0)]


def test_failed_attempts_and_the_quota_have_strips_of_their_own() -> None:
    bins = attempts.grid(DRAWN.values())
    drawn = attempts.attempts(DRAWN["reference"], STYLES["reference"], bins) or ""
    assert 'class="fill failed"' in drawn
    assert ">quota<" in drawn
    bare = ArmSeries(attempts=((0.5, 1, "ok"),))
    without = attempts.attempts(bare, STYLES["reference"], bins) or "quota failed"
    assert "quota" not in without
    assert "failed" not in without


def test_the_quota_s_line_keeps_the_least_of_each_pixel() -> None:
    thousand = tuple((n / 1000, 5.0 + n % 7) for n in range(1000))
    drawn = ArmSeries(attempts=((0.5, 1, "ok"),), quota=(*thousand, (0.5004, 0.0)), quota_burst=24.0)
    picture = attempts.attempts(drawn, STYLES["reference"], Grid(0.1, 10)) or ""
    line = re.search(r'd="M([^"]*)" class="line quota"', picture)
    assert line is not None
    heights = [float(point.split()[1]) for point in line[1].split("L")]
    assert len(heights) == 43  # 42 pixels a second
    assert max(heights) == 24.0
    assert min(heights) == 19.0
    assert "at the least 0 of 24 left in the quota" in picture


def test_the_fault_and_the_phases_are_in_the_picture() -> None:
    bins = attempts.grid(DRAWN.values())
    drawn = attempts.attempts(DRAWN["reference"], STYLES["reference"], bins) or ""
    assert 'class="shade"' in drawn
    for name in ("steady", "calm", "overloaded"):
        assert f">{name}<" in drawn
