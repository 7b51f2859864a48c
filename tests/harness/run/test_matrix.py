"""The matrix: its cells, what is run again, and its table."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from rich.console import Console

from harness.clock import FakeClock
from harness.errors import InputError
from harness.experiment.load import parse
from harness.fleet.where import Where
from harness.records.calibration import Calibration
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome, RunResult
from harness.records.spec import Cell, ExperimentSpec
from harness.report.verdict_json import to_json
from harness.run import code, matrix, pipeline
from harness.run.folder import SPANS, Plan, RunFolder, held
from harness.run.matrix import overview, picture, run_matrix, table
from harness.run.pipeline import RunSettings
from tests.harness.calibrations import calibration

TEXT = """
name = "routing"
title = "Routing"
claim = "It routes."
[simulator]
latency = { ttft = { median_s = 0.19 }, tokens = 1 }
[load]
utilisation = 0.5
duration_s = 10
[arms.good]
title = "good"
[arms.bad]
title = "bad"
control = true
[[checks]]
id = "no-errors"
holds_in = ["good"]
caught_in = ["bad"]
[[matrix]]
"fleet.agents" = [2, 4]
"load.utilisation" = [0.75]
seed = [1, 2, 3]
[[matrix]]
"simulator.latency.ttft.p99_s" = [1.33]
"""


def spec() -> ExperimentSpec:
    return parse(TEXT, "routing.toml", pipeline.known())


def result(name: str, verdict: Outcome, ratio: float | None = 1.02) -> RunResult:
    arm = ArmSummary(control=False, requests=100, errors=1, p99_ms=500.0, p99_over_optimum=ratio)
    check = CheckResult(
        id="no-errors",
        arm="good",
        control=False,
        verdict=verdict,
        observed=0.0,
        limit=0.0,
        unit="1",
        message="",
    )
    experiment = ExperimentResult(
        name=name, title="", claim="", verdict=verdict, arms={"good": arm}, checks=(check,)
    )
    return RunResult(
        run_id="r", verdict=verdict, started_s=0.0, duration_s=1.0, quick=False, experiments=(experiment,)
    )


def plan(asked: ExperimentSpec) -> Plan:
    return Plan(
        run_id="r",
        started_s=0.0,
        quick=False,
        version="",
        code=code.running(),
        machine={},
        experiments=(asked,),
    )


@dataclass
class Silent:
    """A progress that remembers the cells."""

    cells: list[tuple[str, int, int, bool]] = field(default_factory=list)

    def cell(self, name: str, number: int, of: int, *, kept: bool) -> None:
        self.cells.append((name, number, of, kept))


def test_each_combination_of_each_table_is_a_cell() -> None:
    cells = spec().cells()
    assert [cell.spec.name for cell in cells][:2] == [
        "routing.agents=2.utilisation=0.75.seed=1",
        "routing.agents=2.utilisation=0.75.seed=2",
    ]
    assert len(cells) == 2 * 1 * 3 + 1
    assert cells[-1].set == {"simulator.latency.ttft.p99_s": 1.33}
    assert cells[-1].spec.simulator.latency.ttft.p99_s == 1.33


def test_a_cells_seed_is_that_of_its_faults_too() -> None:
    cell = spec().cells()[2].spec
    assert (cell.seed, cell.simulator.seed) == (3, 3)


def test_the_rate_follows_from_the_utilisation_and_the_containers_of_the_cell() -> None:
    two, four = spec().cells()[0].spec, spec().cells()[3].spec
    assert two.load_of("good").rate_rps == pytest.approx(0.75 * 2 * 8 / 0.2)
    assert four.load_of("good").rate_rps == pytest.approx(2 * two.load_of("good").rate_rps)


def test_what_a_later_cell_cannot_have_is_told_before_the_first_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "measure", lambda *_: pytest.fail("something was started"))
    stores = parse(
        TEXT.replace("seed = [1, 2, 3]", '"fleet.store" = ["sqlite", "redis"]'),
        "routing.toml",
        pipeline.known(),
    )
    with pytest.raises(InputError, match="can't run --on docker: weather, snapshots, a real Redis"):
        run_matrix(stores, RunSettings(out=tmp_path / "out", on=Where.DOCKER), Silent(), FakeClock())
    assert not (tmp_path / "out").exists()


def test_an_experiment_without_a_matrix_is_its_only_cell() -> None:
    plain = spec().model_copy(update={"matrix": ()})
    assert [cell.spec for cell in plain.cells()] == [plain]


def test_a_key_that_names_nothing_is_told() -> None:
    wrong = spec().model_copy(update={"matrix": ({"fleet.agent": (2,)},)})
    with pytest.raises(ValueError, match=r"fleet\.agent is not a key"):
        wrong.cells()


def test_a_check_is_left_out_of_an_arm_where_a_table_says_so() -> None:
    table = {"fleet.agents": (2,), "checks.no-errors.good": (False,)}
    cell = spec().model_copy(update={"matrix": (table,)}).cells()[0]
    whole, left = spec().checks[0], cell.spec.checks[0]
    assert (whole.holds_in, whole.caught_in) == (("good",), ("bad",))
    assert (left.holds_in, left.caught_in) == ((), ("bad",))
    assert cell.spec.name == "routing.agents=2"
    assert cell.set == {"fleet.agents": 2}


def test_a_table_gives_a_check_another_limit_in_one_arm_only() -> None:
    tables = (
        {"fleet.agents": (2,), "checks.no-errors.good": (0.5,)},
        {"fleet.agents": (4,), "checks.no-errors.good": (0.1,)},
    )
    cells = spec().model_copy(update={"matrix": tables}).cells()
    at_good, elsewhere = cells[0].spec.checks[:2]
    assert (at_good.limit, at_good.holds_in, at_good.caught_in) == (0.5, ("good",), ())
    assert (elsewhere.limit, elsewhere.holds_in, elsewhere.caught_in) == (None, (), ("bad",))
    assert cells[0].spec.checks[2:] == spec().checks[1:]
    assert cells[1].spec.checks[0].limit == 0.1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"checks.no-errors.good": (True,)}, r"checks\.no-errors\.good can be a limit, or false"),
        ({"checks.no-errors.good": ("high",)}, r"checks\.no-errors\.good can be a limit, or false"),
        ({"checks.no-error.good": (False,)}, "no check of that name looks at that arm"),
        (
            {"fleet.agents": (2,), "checks.no-errors.bad": (False,)},
            "no check has to catch the control arm bad",
        ),
    ],
)
def test_a_check_that_cannot_be_so_is_told(table: dict[str, tuple[float | bool | str]], message: str) -> None:
    wrong = spec().model_copy(update={"matrix": (table,)})
    with pytest.raises(ValueError, match=message):
        wrong.cells()


def test_a_value_that_does_not_fit_is_told() -> None:
    wrong = spec().model_copy(update={"matrix": ({"fleet.agents": (0,)},)})
    with pytest.raises(ValueError, match=r"matrix: agents=0: fleet\.agents: .*greater than or equal to 1"):
        wrong.cells()


def test_two_cells_of_one_name_would_have_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = spec().model_copy(update={"matrix": ({"fleet.agents": (2,)}, {"fleet.agents": (2,)})})
    with pytest.raises(ValueError, match=r"2 of its cells would be called routing\.agents=2"):
        wrong.cells()


def test_cells_that_have_their_verdict_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(
        specs: Sequence[ExperimentSpec], settings: RunSettings, *_: object
    ) -> tuple[RunResult, RunFolder]:
        assert settings.out is not None
        settings.out.mkdir(parents=True)
        verdict = Outcome.FAIL if specs[0].name.endswith("seed=2") else Outcome.PASS
        made = result(specs[0].name, verdict)
        folder = RunFolder(settings.out)
        folder.write("verdict.json", to_json(made))
        folder.write_plan(plan(pipeline.as_run(specs[0], settings)))
        (settings.out / SPANS).write_text("{}\n")
        ran.append(specs[0].name)
        return made, folder

    measured: list[Calibration] = []

    def measure(*_: object) -> Calibration:
        measured.append(calibration(agent_s=0.2 + 0.1 * len(measured)))
        return measured[-1]

    monkeypatch.setattr(matrix, "run", run)
    monkeypatch.setattr(matrix, "measure", measure)
    half_done = tmp_path / "routing.agents=2.utilisation=0.75.seed=3"
    half_done.mkdir()
    (half_done / "requests.jsonl").write_text("half a line")
    first, again = Silent(), Silent()
    run_matrix(spec(), RunSettings(out=tmp_path), first, FakeClock())
    assert len(ran) == 7
    assert not (half_done / "requests.jsonl").exists()
    done = run_matrix(spec(), RunSettings(out=tmp_path), again, FakeClock())
    assert len(ran) == 7
    assert [kept for *_, kept in again.cells] == [True] * 7
    assert len(measured) == 1, "a matrix that goes on asks what its first cells were asked"
    assert {cell.spec.rate_scale for cell, _ in done} == {0.25}
    assert [r.verdict for _, r in done].count(Outcome.FAIL) == 2
    assert "agents 2, utilisation 0.75 | good | 3 | 300 | 3 |" in (tmp_path / "matrix.md").read_text()


def test_a_cell_that_was_asked_something_else_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_cells_that_have_their_verdict_are_not_run_again(tmp_path, monkeypatch)
    longer = spec().load.model_copy(update={"duration_s": 20.0})
    with pytest.raises(InputError, match=r"seed=1: was run with other settings .* another --out"):
        run_matrix(
            spec().model_copy(update={"load": longer}), RunSettings(out=tmp_path), Silent(), FakeClock()
        )
    assert len(list(tmp_path.glob("*/verdict.json"))) == 7


def test_a_cell_that_another_version_made_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_cells_that_have_their_verdict_are_not_run_again(tmp_path, monkeypatch)
    before = code.running()
    monkeypatch.setattr(code, "running", lambda: "0.2.0+abc")
    with pytest.raises(InputError) as told:
        run_matrix(spec(), RunSettings(out=tmp_path), Silent(), FakeClock())
    assert f"was run by another version, {before}; this one is 0.2.0+abc. Give another --out" in str(
        told.value
    )
    assert len(list(tmp_path.glob("*/verdict.json"))) == 7


def test_two_runs_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(InputError, match="another run is at work in it"):
        run_matrix(spec(), RunSettings(out=tmp_path), Silent(), FakeClock())


def test_the_evidence_is_kept_where_something_fell_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_cells_that_have_their_verdict_are_not_run_again(tmp_path, monkeypatch)
    left = {folder.name for folder in tmp_path.iterdir() if (folder / SPANS).exists()}
    assert {name[-6:] for name in left} == {"seed=2"}


def test_the_table_gives_the_median_and_the_range_of_the_seeds() -> None:
    cells = spec().cells()[:3]
    ratios = (1.01, 1.30, 1.05)
    rows = table(
        [
            (cell, result("x", Outcome.PASS, ratio).experiments[0])
            for cell, ratio in zip(cells, ratios, strict=True)
        ]
    )
    assert "1.05 (1.01 to 1.30)" in rows
    assert "held 3" in rows


def test_a_figure_that_nobody_has_is_a_dash() -> None:
    row = table([(spec().cells()[0], result("x", Outcome.UNKNOWN, None).experiments[0])])
    assert "| 500 | - | - | unknown 1 |" in row


# --- with a ramp -----------------------------------------------------------------------
RAMPED = TEXT.replace(
    "duration_s = 10", "duration_s = 3\nramp = { utilisations = [0.5, 0.9], p99_ms = 400 }"
).replace("utilisation = 0.5\n", "")
RAMPED = RAMPED[: RAMPED.index("[[matrix]]")] + '[[matrix]]\n"fleet.agents" = [2, 4]\nseed = [1, 2]\n'


def ramped(sustained_rps: float | None) -> ExperimentResult:
    whole = result("x", Outcome.PASS).experiments[0]
    arm = replace(whole.arms["good"], sustained_rps=sustained_rps)
    return replace(whole, arms={"good": arm})


def test_the_steps_of_a_ramp_follow_from_the_containers_of_the_cell() -> None:
    two, _, four, _ = (cell.spec for cell in parse(RAMPED, "routing.toml", pipeline.known()).cells())
    assert two.load.ramp is not None
    assert two.load.ramp.utilisations == (0.5, 0.9)
    steps = [each.load_of("good").ramp for each in (two, four)]
    assert [ramp.rates_rps for ramp in steps if ramp] == [(40, 72), (80, 144)]


def test_of_a_ramp_the_table_gives_the_rate_that_was_sustained() -> None:
    cells = parse(RAMPED, "routing.toml", pipeline.known()).cells()
    rows = table([(cell, ramped(rate)) for cell, rate in zip(cells, (40, 72, 80, 144), strict=True)])
    assert "| sustained, requests/s | checks |" in rows
    assert "p99" not in rows
    assert "| agents 4 | good | 2 | 200 | 2 | 112.0 (80.0 to 144.0) | held 2 |" in rows


def test_the_picture_has_a_line_an_arm_over_the_number_of_containers() -> None:
    cells = parse(RAMPED, "routing.toml", pipeline.known()).cells()
    drawn = picture([(cell, ramped(rate)) for cell, rate in zip(cells, (40, 72, 80, 144), strict=True)])
    assert drawn is not None
    assert fromstring(drawn).get("aria-label") == (  # noqa: S314 - our own file
        "Sustained requests/s by number of containers: good 2: 56.0, 4: 112.0"
    )


def test_without_a_ramp_the_picture_has_the_ratio_to_the_optimum_by_setting() -> None:
    cells = [
        (cell, result("x", Outcome.PASS, ratio).experiments[0])
        for cell, ratio in zip(spec().cells(), (1.01, 1.3, 1.05, 1.02, 1.4, 1.04, 3.0), strict=True)
    ]
    drawn = picture(cells)
    assert drawn is not None
    assert fromstring(drawn).get("aria-label") == (  # noqa: S314 - our own file
        "p99 over the optimum by setting: agents 2, utilisation 0.75: good 1.05; "
        "agents 4, utilisation 0.75: good 1.04; p99_s 1.33: good 3.00"
    )
    assert ">good: 1.05 (1.01 to 1.30)<" in drawn


def test_where_no_figure_is_known_there_is_no_picture() -> None:
    assert picture([(spec().cells()[0], result("x", Outcome.UNKNOWN, None).experiments[0])]) is None


# --- on the terminal ------------------------------------------------------------------
def shown(cells: Sequence[tuple[Cell, ExperimentResult]], out: Path) -> list[str]:
    console = Console(width=80, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(overview(cells, out))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_the_cells_are_told_on_one_screen(tmp_path: Path) -> None:
    (tmp_path / "matrix.md").write_text("a table")
    cells = [
        (cell, replace(result("x", verdict, ratio).experiments[0], name=cell.spec.name))
        for cell, ratio, verdict in zip(
            spec().cells()[:4],
            (1.01, 1.3, 1.05, 1.02),
            (Outcome.PASS, Outcome.FAIL, Outcome.PASS, Outcome.PASS),
            strict=True,
        )
    ]
    lines = shown(cells, tmp_path)
    assert lines[:4] == [
        "p99 / optimum, the median of the seeds",
        "setting good",
        "agents 2, utilisation 0.75 1.05",
        "agents 4, utilisation 0.75 1.02",
    ]
    assert "routing.agents=2.utilisation=0.75.seed=2:" in lines
    assert any("no-errors fell short in good" in line for line in lines)
    assert "3 of 4 cells held: 3 of 4 checks held." in lines
    told = "".join(lines)  # a long path is folded
    assert "matrix.md" in told
    assert "matrix.svg" not in told


def test_of_a_ramp_the_rates_are_told_and_a_figure_that_nobody_has_is_a_dash(tmp_path: Path) -> None:
    cells = parse(RAMPED, "routing.toml", pipeline.known()).cells()
    lines = shown([(c, ramped(rate)) for c, rate in zip(cells, (40, 72, None, None), strict=True)], tmp_path)
    assert lines[0].startswith("sustained, requests/s")
    assert [line.split()[-1] for line in lines[2:4]] == ["56.0", "\N{EN DASH}"]
