import os
import stat
from pathlib import Path

import pytest

from harness.errors import InputError, StartError
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, Container, ProcessUsage
from harness.run import folder as run_folder
from harness.run.folder import Plan, RunFolder

ROW = RequestRow(
    experiment="e",
    arm="a",
    index=0,
    phase="steady",
    session_id="s",
    request_id="r",
    trace_id="t",
    span_id="p",
    due_s=1.0,
    sent_s=1.001,
    end_s=1.5,
    status=200,
)
FACTS = ArmFacts(
    experiment="e",
    arm="a",
    control=False,
    containers=(Container(name="agent-1", address="127.0.0.1:1"),),
    concurrency_limit=1,
    policy="blind",
    start_s=1.0,
    end_s=2.0,
    usage=(ProcessUsage(name="envoy", cpu_s=0.5, wall_s=1.0, rss_mb=65.0),),
)
PLAN = Plan(run_id="x", started_s=1.0, quick=True, version="0", machine={"cores": 2}, experiments=())


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x")
    folder.append_rows(run_folder.REQUESTS, [ROW])
    folder.append_rows(run_folder.REQUESTS, [ROW])
    folder.append_rows(run_folder.ARMS, [FACTS])
    assert folder.rows(run_folder.REQUESTS, RequestRow) == (ROW, ROW)
    assert folder.rows(run_folder.ARMS, ArmFacts) == (FACTS,)


def test_the_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x")
    folder.write_plan(PLAN)
    assert RunFolder.open(tmp_path / "run").plan() == PLAN


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "x").write_plan(PLAN)  # the object is gone, and its hold with it
    with pytest.raises(InputError, match="holds a run already"):
        RunFolder.create(tmp_path, "y")


def test_of_two_runs_that_begin_at_once_in_a_folder_one_goes_on(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path, "x")
    with pytest.raises(InputError, match="another run is at work in it"):
        RunFolder.create(tmp_path, "y")
    first.write_plan(PLAN)
    del first
    with pytest.raises(InputError, match="holds a run already"):
        RunFolder.create(tmp_path, "y")


def test_a_folder_that_cannot_be_made_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"cannot be written to: .*--out"):
        RunFolder.create(tmp_path / "file" / "run", "x")


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it has no plan\.json"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("damage", ["{", "[]", '{"index": "many"}', "\x00"])
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, damage: str) -> None:
    folder = RunFolder.create(tmp_path, "x")
    folder.append_rows(run_folder.REQUESTS, [ROW])
    folder.append(run_folder.REQUESTS, [damage])
    with pytest.raises(InputError, match=r"requests\.jsonl:2: "):
        folder.rows(run_folder.REQUESTS, RequestRow)


@pytest.mark.parametrize("cut", [b'{"experiment": "e', b"\xff", b"{", b'{"a": ' + b"[" * 100_000])
def test_a_last_line_that_was_cut_off_is_told_and_the_rest_is_read(tmp_path: Path, cut: bytes) -> None:
    folder = RunFolder.create(tmp_path, "x")
    folder.append_rows(run_folder.REQUESTS, [ROW])
    folder.append(run_folder.SPANS, ["{}"])
    for name in (run_folder.REQUESTS, run_folder.SPANS):
        with (tmp_path / name).open("ab") as file:
            file.write(cut)
    assert folder.rows(run_folder.REQUESTS, RequestRow) == (ROW,)
    assert list(folder.lines(run_folder.SPANS)) == ["{}\n"]
    assert len(folder.left_out) == 2
    assert "requests.jsonl:2: is cut off, and left out" in folder.left_out[0]


def test_a_last_line_that_is_whole_needs_no_end(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "x")
    (tmp_path / run_folder.SPANS).write_text("{}")
    assert list(folder.lines(run_folder.SPANS)) == ["{}"]
    assert not folder.left_out


@pytest.mark.parametrize("name", [run_folder.REQUESTS, run_folder.SPANS, run_folder.PLAN])
def test_a_file_that_is_a_folder_is_named(tmp_path: Path, name: str) -> None:
    folder = RunFolder.create(tmp_path, "x")
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name}: cannot be read"):
        folder.plan() if name == run_folder.PLAN else (
            list(folder.lines(name)),
            folder.rows(name, RequestRow),
        )


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "x")
    (tmp_path / run_folder.SPANS).write_bytes(b"{}\n\xff\n{}\n")
    with pytest.raises(InputError, match=r"spans\.jsonl:2: is not UTF-8 text"):
        list(folder.lines(run_folder.SPANS))


@pytest.mark.parametrize("name", ["n" * 5000, "nul\0"])
def test_a_name_that_no_file_can_have_is_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"Give a .*folder"):
        RunFolder.open(tmp_path / name)


def test_no_link_of_a_folder_is_followed_where_something_is_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("verdict.json", ".verdict.json.part", run_folder.SPANS):
        (tmp_path / "run" / name).symlink_to(precious)
    folder.write("verdict.json", "{}")
    with pytest.raises(StartError, match=r"spans\.jsonl: cannot be written to"):
        folder.append(run_folder.SPANS, ["{}"])
    assert precious.read_text() == "precious"
    assert (tmp_path / "run" / "verdict.json").read_text() == "{}"
    assert not (tmp_path / "run" / "verdict.json").is_symlink()


@pytest.mark.parametrize("name", [run_folder.REQUESTS, run_folder.PLAN])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = RunFolder.create(tmp_path, "x")
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="it is no regular file"):
        folder.plan() if name == run_folder.PLAN else folder.rows(name, RequestRow)


@pytest.mark.parametrize("name", ["logs", "work"])
def test_a_run_writes_into_no_folder_that_a_link_leads_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "beside")
    with pytest.raises(InputError, match=f"{name}: is a link"):
        RunFolder.create(tmp_path / "run", "r")
    assert not list((tmp_path / "beside").iterdir())


def test_what_cannot_be_written_is_named_and_nothing_is_left_aside(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "x")
    (tmp_path / "verdict.json").mkdir()
    with pytest.raises(StartError, match=r"verdict\.json: cannot be written to"):
        folder.write("verdict.json", "x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["logs", "verdict.json"]


def test_a_damaged_plan_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"run_id": 3}')
    with pytest.raises(InputError, match=r"plan\.json: run_id: "):
        RunFolder.open(tmp_path).plan()


def test_a_file_is_replaced_whole_and_nothing_is_left_aside(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "x")
    folder.write("verdict.json", "old")
    folder.write("verdict.json", "new")
    assert (tmp_path / "verdict.json").read_text() == "new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["logs", "verdict.json"]


def test_scratch_folders_go_and_the_rest_stays(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "x")
    (folder.work("e", "a") / "raw").touch()
    folder.clear_work()
    assert [entry.name for entry in tmp_path.iterdir()] == ["logs"]


def test_a_run_is_named_by_its_time() -> None:
    assert run_folder.new_run_id(0.0, "ab12") == "19700101-000000-ab12"


def test_a_run_is_for_who_made_it_alone(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x")
    folder.write_plan(PLAN)
    folder.append_rows(run_folder.REQUESTS, [ROW])
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.path.iterdir()}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert modes == {"logs": 0o700, "plan.json": 0o600, "requests.jsonl": 0o600}


def test_what_an_arm_appended_is_taken_off_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x")
    folder.append_rows(run_folder.REQUESTS, [ROW])
    before = folder.sizes()
    folder.append_rows(run_folder.REQUESTS, [ROW, ROW])
    folder.append_rows(run_folder.ARMS, [FACTS])
    folder.shorten(before)
    assert folder.rows(run_folder.REQUESTS, RequestRow) == (ROW,)
    assert folder.rows(run_folder.ARMS, ArmFacts) == ()
