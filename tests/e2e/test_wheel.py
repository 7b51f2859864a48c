"""What is installed from the wheel: all that the program needs, wherever it is started."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.asking import HTTP
from tests.e2e.serving import contract_server, free_port, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def shipped(folder: str, *patterns: str) -> set[str]:
    """Return the files of the checkout that match, by the names that they have in the wheel."""
    found = {file for pattern in patterns for file in (ROOT / folder).glob(pattern) if file.is_file()}
    assert found
    place = "harness/shipped/" if folder in {"locustfiles", "dashboards"} else ""
    return {f"{place}{file.relative_to(ROOT)}" for file in found}


def test_it_has_scenarios_dashboards_schemas_and_templates_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= shipped("locustfiles", "*.py", "README.md")
    assert names >= shipped("dashboards", "grafana/json/*.json", "grafana/provisioning/*/*.yml")
    assert names >= shipped(
        "dashboards", "jaeger/config.yaml", "prometheus/[!a]*.yml", "prometheus/alerts.yml"
    )
    assert names >= shipped("harness", "**/*.py", "**/*.j2", "**/*.css", "**/*.toml")
    assert names >= shipped("harness", "**/*.html", "**/*.md", "**/*.schema.json")
    assert names >= shipped("reference_agent", "**/*.py")
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "harness",
        "reference_agent",
        "agentrig",
    }
    assert not [name for name in names if re.search(r"(^|/)tests?(/|_)|/alerts_test|\.pyc$", name)]


@contextmanager
def page(python: Path, env: dict[str, str], host: str) -> Iterator[tuple[psutil.Process, str]]:
    """Locust's page with the scenarios that an installed program names, started in an empty folder."""
    files = subprocess.run(
        [python, "-m", "harness", "locustfiles"], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert not Path(files).is_relative_to(ROOT)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [*(str(python), "-m", "locust", "-f", files), "--web-port", str(port), "--host", host]
    with running(argv, url, env) as process:
        yield psutil.Process(process.pid), url


def look(process: psutil.Process, url: str) -> None:
    listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
    told = HTTP.get(url, timeout=60).text
    (args,) = re.findall(r"window\.templateArgs = (\{.*\})", told)
    about = json.loads(args)
    assert about["show_userclass_picker"] is True
    assert {"Steady", "ThrottlingStorm"} < set(about["available_user_classes"])


def test_the_scenarios_bring_their_settings_along(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    zipfile.ZipFile(wheel).extractall(site)
    env = {"PYTHONPATH": str(site), "PATH": str(BIN), "HOME": str(empty)}
    with contract_server() as host, page(Path(sys.executable), env, host) as (process, url):
        look(process, url)


def test_an_empty_environment_gets_all_that_it_needs(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    python = venv / "bin" / "python"
    subprocess.run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, venv], check=True)
    pins = ROOT / "constraints.txt"
    install = [BIN / "uv", "pip", "install", "--quiet", "--python", python, "--constraint", pins]
    subprocess.run([*install, wheel, "pytest"], check=True)
    with contract_server() as host, page(python, {}, host) as (process, url):
        look(process, url)
    Path("test_it.py").write_text(
        "def test_it(agentrig_simulator):\n    assert not agentrig_simulator.journal\n"
    )
    subprocess.run([python, "-m", "pytest", "-q", "-p", "no:locust"], check=True)
    listed = subprocess.run([venv / "bin" / "agentrig", "list"], capture_output=True, text=True, check=True)
    assert "cold-start" in listed.stdout
