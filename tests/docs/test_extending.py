"""docs/extending.md shows a package that is there, and each of its entry points is taken."""

import re
import tomllib
from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.fleet import installed as policies
from harness.fleet.policies import Setting
from harness.judge import installed as checks
from harness.judge.invariants import REGISTRY
from harness.observe.dialects import DIALECTS
from harness.observe.dialects import installed as dialects
from harness.observe.sources import Wanted
from harness.observe.sources import installed as sources
from harness.observe.sources.source import Time
from harness.outside.plugins import Extended
from harness.records.observed import ModelCall
from harness.records.spec import Policy
from harness.simulator import faults, installed
from tests.harness.plugged import installed_in, lay

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "extending"
GROUPS = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay(tmp_path, "acme-rig", GROUPS)
    monkeypatch.syspath_prepend(FOLDER)
    return tmp_path


def test_the_page_shows_each_of_its_files_word_for_word() -> None:
    page = (DOCS / "extending.md").read_text("utf-8")
    shown = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    files = [*FOLDER.glob("*.toml"), *(file for file in FOLDER.rglob("*.py") if file.name != "__init__.py")]
    assert sorted(shown) == sorted(file.read_text("utf-8") for file in files)
    assert all(f"`{group}`" in page for group in GROUPS)


def test_its_check_and_its_fault_and_its_protocol_are_taken(site: Path) -> None:
    found = Extended("agentrig.checks", REGISTRY, checks.taken, installed_in(site))
    assert found["acme-failed-share"].cases_needed == 10
    served = Extended("agentrig.faults", faults.REGISTRY, installed.fault, installed_in(site))
    assert served["acme_brownout"].fault_class == "transient"
    spoken = Extended("agentrig.protocols", {}, installed.protocol, installed_in(site))
    assert spoken["acme"]().serves("/acme/v2/chat")


def test_its_policy_is_taken_and_picks_in_place_of_the_one_that_it_is_like(site: Path) -> None:
    ours = {each.value: None for each in Policy}
    policy = Extended("agentrig.policies", ours, policies.taken, installed_in(site))["acme-sticky"]
    assert policy is not None
    assert policy.like is Policy.BUSY_503
    made = policy.picks(Setting(agents=2, concurrency_limit=1, balancers=1))
    assert policies._wrong(made) is None
    assert made["name"].endswith(".maglev")


def test_its_source_gives_spans_and_its_dialect_reads_them(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "spans.csv"
    file.write_text(
        "trace,span,parent,name,kind,start_ns,end_ns,service,host,status,model\n"
        f"{'1' * 32},{'2' * 16},,ask,client,1,2,agent,a,429,acme-large\n"
    )
    opener = Extended("agentrig.sources", {}, sources.taken, installed_in(site))["acme-csv"]
    wanted = Wanted(services=(), since_s=None, every_s=None, clock=FakeClock(), tell=print)
    source = opener(str(file), wanted)
    (span,) = source.spans(Time(from_s=None, to_s=0.0))
    source.close()
    read = Extended("agentrig.dialects", dict(DIALECTS), dialects.taken, installed_in(site))["acme"]
    assert read(span) == ModelCall(model="acme-large", status=429)
