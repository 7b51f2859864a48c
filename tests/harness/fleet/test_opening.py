"""What is looked at before anything is started."""

from pathlib import Path

import pytest

from harness.errors import StartError
from harness.fleet.opening import require
from harness.fleet.where import Where
from harness.records.spec import FleetSpec
from harness.under_test import AgentUnderTest

TOLD = AgentUnderTest(name="bot", argv=("./run",), env={"SESSIONS": "{store}"})


@pytest.mark.parametrize(
    ("fleet", "own", "needed"),
    [
        (FleetSpec(store="redis"), None, True),
        (FleetSpec(), TOLD, True),
        (None, TOLD, True),
        (FleetSpec(), None, False),
        (FleetSpec(), AgentUnderTest(name="bot", argv=("./run",)), False),
    ],
)
def test_a_redis_that_is_not_there_is_told_before_anything_is_measured(
    fleet: FleetSpec | None,
    own: AgentUnderTest | None,
    needed: bool,  # noqa: FBT001 - of the table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if not needed:
        require(Where.LOCAL, "mine, arm one", fleet, own)
        return
    with pytest.raises(StartError, match=r"redis-server is not installed.*apt-get install"):
        require(Where.LOCAL, "mine, arm one", fleet, own)
    (tmp_path / "redis-server").touch(mode=0o755)
    require(Where.LOCAL, "mine, arm one", fleet, own)
