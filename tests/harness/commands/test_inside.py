"""What is typed here is what runs there, with its files; what comes back is told as if it had run here."""

import dataclasses
from pathlib import Path

import pytest

from harness import __version__
from harness.commands import inside
from harness.commands.inside import Asked, task_of
from harness.commands.main import call
from harness.errors import ExitCode, InputError
from harness.fleet.kubernetes.inside.errand import BEGUN, ENDED, GIVEN, sign
from harness.fleet.kubernetes.inside.parcel import pack
from harness.own.config import read
from harness.records.outcome import Outcome, RunResult
from harness.report.verdict_json import to_json
from tests.harness.fleet.kubernetes.inside.fake_bench import FakeBench

RESULT = RunResult(
    run_id="20260101-000000-ab12",
    verdict=Outcome.UNKNOWN,
    started_s=1.0,
    duration_s=2.0,
    quick=True,
    experiments=(),
    version=__version__,
)
BOT = """
[agent]
image = "my-bot"
[request]
prompts = "asked/prompts.txt"
headers = {authorization = "Bearer ${BOT_KEY}"}
"""


def asked(**given: object) -> Asked:
    bare = Asked(experiments=(), options={}, agent=None, workload=None)
    return dataclasses.replace(bare, **given)  # type: ignore[arg-type]  # its fields


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOT_KEY", "k-0123456789abcdef")
    folder = tmp_path / "bot"
    (folder / "asked").mkdir(parents=True)
    (folder / "asked" / "prompts.txt").write_text("What is asked?\n")
    (folder / "agentrig.toml").write_text(BOT)
    return folder / "agentrig.toml"


def test_the_words_are_those_that_were_typed_and_the_progress_leaves_room_for_no_verdict() -> None:
    options = {
        "--quick": True,
        "--seed": 3,
        "--hours": None,
        "--quiet": False,
        "--salt": "s",
        "--rate-scale": 0.5,
    }
    task = task_of(asked(experiments=("cold-start", "scale-out"), options=options), Path("runs/r1"), {})
    words = ["run", "cold-start", "scale-out", "--quick", "--seed", "3", "--salt", "s", "--rate-scale", "0.5"]
    assert list(task.words) == [*words, "--on", "kubernetes", "--out", "runs/r1", "--json"]
    assert task.folder == "runs/r1", "what an error names there is found here"
    assert (task.files, task.env) == ({}, {})


@pytest.mark.parametrize("folder", ["/elsewhere/run", "../run", ".", "./", ".packed", "runs/.local"])
def test_a_folder_that_means_nothing_there_has_another_name(folder: str) -> None:
    task = task_of(asked(), Path(folder), {})
    assert task.folder == "run"
    assert task.words[task.words.index("--out") + 1] == "run"


def test_the_files_go_there_as_they_lie_to_each_other(bot: Path, tmp_path: Path) -> None:
    experiment, workload = tmp_path / "mine.toml", tmp_path / "workload.toml"
    experiment.write_text("name = 'mine'")
    workload.write_text("# w")
    environ = {"BOT_KEY": "k-0123456789abcdef", "OTHER": "o", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}
    task = task_of(
        asked(experiments=(str(experiment), "cold-start"), agent=(bot, read(bot)), workload=workload),
        Path("run"),
        environ,
    )
    assert task.files == {
        "experiment-1/mine.toml": b"name = 'mine'",
        "agent/bot/agentrig.toml": BOT.encode(),
        "agent/bot/asked/prompts.txt": b"What is asked?\n",
        "workload/workload.toml": b"# w",
    }, "the folder of an agent is its name"
    words = list(task.words)
    assert words[1:3] == [f"{GIVEN}/experiment-1/mine.toml", "cold-start"]
    assert words[words.index("--agent") + 1] == f"{GIVEN}/agent/bot/agentrig.toml"
    assert words[words.index("--workload") + 1] == f"{GIVEN}/workload/workload.toml"
    assert task.env == {"BOT_KEY": "k-0123456789abcdef", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}


def test_the_reference_agents_image_is_named_there_as_here() -> None:
    task = task_of(asked(), Path("run"), {"AGENTRIG_AGENT_IMAGE": "registry.example/agentrig-agent"})
    assert task.env == {"AGENTRIG_AGENT_IMAGE": "registry.example/agentrig-agent"}


def test_prompts_beside_the_folder_are_refused(bot: Path) -> None:
    (bot.parent.parent / "prompts.txt").write_text("a?\n")
    bot.write_text(BOT.replace("asked/", "../"))
    with pytest.raises(InputError, match=r"has to lie in the folder of that file"):
        task_of(asked(agent=(bot, read(bot))), Path("run"))


@pytest.mark.parametrize(
    ("options", "environ"),
    [({"--salt": "a\udcff"}, {}), ({}, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=\udcff"})],
)
def test_what_is_no_text_is_a_sentence(options: dict[str, str], environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"holds bytes that are no UTF-8") as caught:
        task_of(asked(options=options), Path("run"), environ)
    assert "authorization" not in str(caught.value), "a value may be a secret"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        task_of(asked(workload=tmp_path / "none.toml"), Path("run"))


def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, *lines: str) -> FakeBench:
    there = tmp_path / "there"
    there.mkdir()
    (there / "verdict.json").write_text(to_json(RESULT))
    parcel = dataclasses.asdict(pack(there, tmp_path / "packed"))
    fake = FakeBench(
        brings=(tmp_path / "packed").read_bytes(),
        printed=lambda mark: [
            sign(mark, BEGUN, version=__version__),
            *lines,
            sign(mark, ENDED, status=status, asked=False, parcel=parcel),
        ],
    )
    monkeypatch.setattr(inside, "connect", lambda context, clock: fake.cluster())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return fake


RUN = ["run", "cold-start", "--quick", "--on", "kubernetes", "--inside"]


def test_the_verdict_of_there_is_told_here_and_its_folder_is_called_as_its_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = cluster(monkeypatch, tmp_path, 2, "1/2 cold-start · right: the load gets ready")
    assert call(RUN) == ExitCode.UNKNOWN
    shown = capsys.readouterr().out
    assert "1/2 cold-start · right: the load gets ready" in shown
    assert "Unknown: no experiment was run" in shown
    assert f"runs/{RESULT.run_id}/report.html" in "".join(shown.split())
    assert [each.name for each in Path("runs").iterdir()] == [RESULT.run_id]
    assert (Path("runs") / RESULT.run_id / "verdict.json").read_text() == to_json(RESULT)
    assert not fake.namespaces


def test_json_is_the_verdict_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(monkeypatch, tmp_path, 2, "how far it is")
    assert call([*RUN, "--json", "--out", "mine"]) == ExitCode.UNKNOWN
    told = capsys.readouterr()
    assert told.out == to_json(RESULT)
    assert "how far it is" in told.err
    assert (tmp_path / "here" / "mine" / "verdict.json").is_file()


@pytest.mark.parametrize("quiet", [True, False])
def test_a_run_that_fails_there_fails_here_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, quiet: bool
) -> None:
    cluster(monkeypatch, tmp_path, 4, "agentrig: agent-1 can't start")
    assert call([*RUN, *(["--quiet"] if quiet else [])]) == ExitCode.NOT_STARTED
    told = capsys.readouterr()
    assert "agent-1 can't start" in (told.err if quiet else told.out)
    assert "exit code 4; what it left is in runs/" in " ".join(told.err.split())


def test_one_that_the_kernel_killed_there_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(monkeypatch, tmp_path, -9)
    assert call(RUN) == ExitCode.NOT_STARTED
    assert "killed by signal 9" in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_holds_a_run_is_refused_before_the_cluster_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = cluster(monkeypatch, tmp_path, 0)
    (tmp_path / "here" / "old").mkdir()
    (tmp_path / "here" / "old" / "plan.json").write_text("{}")
    assert call([*RUN, "--out", "old"]) == ExitCode.BAD_INPUT
    assert not fake.asked
