from dataclasses import replace
from pathlib import Path

import pytest

from harness.load.arrivals import plan
from harness.load.job import BEGIN, READY, RESULT, LoadJob, read_job, write_job, write_whole
from harness.outside.secrets import forget, hidden, remember, remember_prompts
from harness.ramp import RampLimits
from harness.records.spec import LoadSpec
from harness.under_test import HttpRequest, Opening, RequestShape


def job(folder: Path, ramp: RampLimits | None = None) -> LoadJob:
    return LoadJob(
        hosts=("http://127.0.0.1:1",),
        experiment="x",
        arm="a",
        run_id="r",
        arrivals=plan(LoadSpec(burst=3, rate_rps=5, duration_s=4), 1, "x"),
        timeout_s=30.0,
        max_in_flight=10,
        work_dir=folder,
        log=folder / "locust.log",
        ramp=ramp,
    )


@pytest.mark.parametrize("ramp", [None, RampLimits(p99_ms=400.0, error_ratio=0.01)])
def test_a_job_is_read_as_it_was_written(tmp_path: Path, ramp: RampLimits | None) -> None:
    write_job(job(tmp_path, ramp))
    assert read_job(tmp_path) == job(tmp_path, ramp)


def test_a_request_of_any_shape_is_handed_on(tmp_path: Path) -> None:
    shape = RequestShape(
        request=HttpRequest(method="PUT", path="/a/{session}", query={"q": "1"}, body={"a": ["{prompt}", 1]}),
        opening=Opening(request=HttpRequest(path="/open", form={"x": "{session}"}), session="id"),
        answer="a[0]",
        error_when=("b = 1",),
        prompts=("one", "two"),
        stream=True,
    )
    asked = replace(job(tmp_path), request=shape)
    write_job(asked)
    assert read_job(tmp_path) == asked


def test_writing_a_job_removes_what_an_earlier_one_left(tmp_path: Path) -> None:
    for name in (READY, BEGIN, RESULT):
        (tmp_path / name).write_text("old")
    job(tmp_path).rows.write_text("old")
    write_job(job(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["load.json"]


def test_a_job_lasts_no_longer_than_its_last_arrival_and_the_deadline_of_that_call(tmp_path: Path) -> None:
    it = job(tmp_path)
    assert it.longest_s == it.arrivals[-1].due_s + 30.0


def test_a_file_written_whole_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", "one")
    write_whole(tmp_path / "f", "two")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("f", "two")]


def test_the_loads_own_process_knows_what_is_hidden(tmp_path: Path) -> None:
    """What it shortens would else hold the beginning of a secret, which nobody finds any more."""
    remember(["marked-key-7f3a"])
    remember_prompts(["marked-prompt-5d1e: what is it?"])
    write_job(job(tmp_path))
    forget()
    read_job(tmp_path)
    assert hidden("marked-key-7f3a, marked-prompt-5d1e: what is it?") == "[secret], [prompt]"
