import asyncio
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.errors import InputError
from harness.simulator.tool_faults import MESSAGE, ToolFaults
from harness.simulator.tool_server_config import ToolServerConfig, read_tools
from harness.simulator_config import SimulatorConfig

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
LIST = {"jsonrpc": "2.0", "id": 8, "method": "tools/list"}
SESSION = [(b"mcp-session-id", b"s")]


class Rig:
    """The layer in front of an application that answers 204, on a clock that moves when it waits."""

    def __init__(self, *, leaves: bool = False, **config: Any) -> None:
        self.clock = FakeClock()
        self.leaves = leaves
        self.faults = ToolFaults(self._app, ToolServerConfig.model_validate(config), self._sleep)

    async def _sleep(self, seconds: float) -> None:
        if self.leaves:
            await asyncio.Event().wait()
        self.clock.sleep(seconds)

    async def _app(self, _: Any, receive: Any, send: Any) -> None:
        self.got = await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})

    def ask(self, message: dict[str, Any], headers: Any = ()) -> tuple[int, Any]:
        incoming = [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(part: Any) -> None:
            sent.append(part)

        scope: Any = {"type": "http", "headers": list(headers), MESSAGE: message}
        asyncio.run(self.faults(scope, receive, send))
        if not sent:
            return 0, None
        return sent[0]["status"], json.loads(sent[1]["body"]) if len(sent) > 1 else None


def test_without_faults_the_server_gets_all_of_it() -> None:
    rig = Rig()
    assert rig.ask(CALL) == (204, None)
    assert rig.got["type"] == "http.request"


def test_a_slow_tool_is_slow_and_answers() -> None:
    rig = Rig(faults=[{"kind": "slow", "tool": "search", "delay_s": 3}])
    assert rig.ask(CALL)[0] == 204
    assert rig.ask(LIST)[0] == 204
    assert rig.clock.slept == [3]


def test_a_tool_that_fails_says_so_in_a_result() -> None:
    _, told = Rig(faults=[{"kind": "error_result"}]).ask(CALL)
    assert (told["id"], told["result"]["isError"]) == (7, True)


@pytest.mark.parametrize(("headers", "status"), [(SESSION, 404), ([], 400)])
def test_a_session_that_is_another_replicas_is_not_found(headers: Any, status: int) -> None:
    rig = Rig(faults=[{"kind": "session_forgotten", "method": "tools/list"}])
    code, told = rig.ask(LIST, headers)
    assert (code, "error" in told) == (status, True)
    assert rig.ask(CALL, headers)[0] == 204


@pytest.mark.parametrize("leaves", [True, False])
def test_what_hangs_ends_with_its_time_or_when_the_caller_leaves(*, leaves: bool) -> None:
    rig = Rig(leaves=leaves, faults=[{"kind": "hang", "method": "tools/list", "delay_s": 9}])
    assert rig.ask(LIST) == (0, None)


def test_a_server_error_is_one_of_http() -> None:
    assert Rig(faults=[{"kind": "server_error"}]).ask(CALL)[0] == 500


def test_a_rule_fires_so_often_each_nth_time_or_by_its_draw() -> None:
    def codes(**rule: Any) -> list[int]:
        rig = Rig(faults=[{"kind": "server_error"} | rule])
        return [rig.ask(CALL)[0] for _ in range(40)]

    assert codes(times=2) == [500, 500] + [204] * 38
    assert codes(every_n=4) == [204, 204, 204, 500] * 10
    assert 5 < codes(probability=0.4).count(500) < 30
    assert codes(probability=0.4) == codes(probability=0.4)


@pytest.mark.parametrize(
    ("spoken", "method", "status"),
    [
        ("2025-11-25", "server/discover", 400),
        ("2025-11-25", "initialize", 204),
        ("2026-07-28", "initialize", 400),
        ("2026-07-28", "server/discover", 204),
        (None, "initialize", 204),
    ],
)
def test_only_one_version_may_be_spoken(spoken: str | None, method: str, status: int) -> None:
    assert Rig(protocol=spoken).ask({"id": 1, "method": method, "params": {}})[0] == status


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"method": ["a"]},
        {"method": "tools/call", "params": 5},
        {"method": "tools/call", "params": {"name": ["search"]}},
    ],
)
def test_what_is_no_message_is_passed_on(message: Any) -> None:
    rule = {"kind": "server_error", "tool": "search"}
    assert Rig(protocol="2026-07-28", faults=[rule]).ask(message)[0] == 204


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[tools]]\nname = 'a b'", r"tools\[0\]\.name"),
        ("tools = []", "tools"),
        ("[[faults]]\nkind = 'slwo'", r"faults\[0\]\.kind"),
        ("[[faults]]\nkind = 'slow'\ntmies = 1", "did you mean 'times'"),
        ("[[faults]]\nkind = 'error_result'\nmethod = 'tools/list'", "tools/call only"),
        ("[[faults]]\nkind = 'slow'\ntimes = 2\nprobability = 0.5", "who comes first"),
        ("x = ", "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_key(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "tools.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=what):
        read_tools(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_tools(tmp_path / "nowhere.toml")


def test_the_files_that_the_page_shows_are_such() -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text("utf-8")
    simulator, shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert SimulatorConfig.model_validate(tomllib.loads(simulator)).faults[0].kind == "overloaded"
    config = ToolServerConfig.model_validate(tomllib.loads(shown))
    assert (config.protocol, len(config.tools), len(config.faults)) == ("2025-11-25", 1, 2)
