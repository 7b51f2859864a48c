"""The examples with an environment of their own, from its installation on: init, doctor, a short run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_examples import EXAMPLES, NODE, OF_THEIR_OWN, project
from tests.e2e.command import finish, start
from tests.e2e.short_run import short_run

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]
DEADLINE_S = 900.0
FOUND = {
    "adk": {"errors-explained"},  # its sessions are in a file of one container: 404 at the other
    "node-openai": {"permanent-once", "turns-kept"},
    "langgraph": {"permanent-once", "turns-kept"},
    "openai-agents": {"permanent-once", "turns-kept"},
    "strands-bedrock": {"turns-kept"},
}
"""What falls short in the usual way; Gemini's and botocore's clients don't retry a used-up quota."""
of_their_own = [*(folder for folder in EXAMPLES if folder.name in OF_THEIR_OWN), NODE]


def environment(folder: Path, example: Path) -> str:
    """Make the project's own environment, as its README says; return its folder's name."""
    if example == NODE:
        return node_modules(folder, example)
    subprocess.run([sys.executable, "-m", "venv", ".venv"], cwd=folder, check=True)
    pip = [".venv/bin/python", "-m", "pip", "install", "--quiet", "--requirement"]
    subprocess.run([*pip, str(example / "requirements.txt")], cwd=folder, check=True)
    return ".venv"


def node_modules(folder: Path, example: Path) -> str:
    """The same of npm; skipped where that can't be had, but not in CI."""
    shutil.copy(example / "package.json", folder)
    lacking = "" if shutil.which("npm") else "npm is not installed"
    if not lacking:
        npm = ["npm", "install", "--no-audit", "--no-fund"]
        made = subprocess.run(npm, cwd=folder, check=False, capture_output=True, text=True)
        lacking = f"npm install: {made.stderr[-500:]}" if made.returncode else ""
    if lacking:
        assert "CI" not in os.environ, lacking
        pytest.skip(lacking)
    return "node_modules"


def command(*words: str, cwd: Path) -> tuple[int, str]:
    code, out, err = finish(start(*words, cwd=cwd), DEADLINE_S)
    return code, f"{out}\n{err}"


@pytest.mark.parametrize("example", of_their_own, ids=lambda folder: folder.name)
def test_init_doctor_and_a_run_need_no_edit_and_tell_the_usual_form_from_the_mended(
    example: Path, tmp_path: Path
) -> None:
    made = environment(tmp_path, example)
    for form, exit_code, found in (("usual", 1, FOUND[example.name]), ("mended", 0, set[str]())):
        folder = tmp_path / form
        project(folder, example, form)
        (folder / made).symlink_to(tmp_path / made)
        (folder / "short.toml").write_text(short_run(rate_rps=6.0, turn_gap_s=2.0))
        for words in (["init"], ["doctor"]):
            code, told = command(*words, cwd=folder)
            assert code == 0, told
        code, told = command("run", "short.toml", "--agent", "agentrig.toml", "--out", "out", cwd=folder)
        assert code == exit_code, told
        checks = json.loads((folder / "out" / "verdict.json").read_text("utf-8"))["experiments"][0]["checks"]
        failed = {check["id"] for check in checks if check["verdict"] == "fail"}
        assert found <= failed if found else not failed, told
