from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.simulator.server import read_config
from harness.simulator.tool_server_config import read_tools

TOLD = {
    "sim.toml": 'tool_turns = 1\n[[faults]]\nkind = "auth"\ntimes = 2\n',
    "sim.json": '{"tool_turns": 1, "faults": [{"kind": "auth", "times": 2}]}',
}


@pytest.mark.parametrize("name", TOLD)
def test_a_configuration_says_the_same_in_toml_and_in_json(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(TOLD[name])
    config = read_config(file)
    assert (config.tool_turns, config.faults[0].kind, config.faults[0].times) == (1, "auth", 2)


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("sim.toml", '{"tool_turns": 1}', "is not valid TOML"),
        ("sim.toml", "\x00", "is not valid TOML"),
        ("sim.toml", "tool_turns = 99", "tool_turns"),
        ("sim.toml", '[[faults]]\nkind = "ath"', "there is no fault 'ath'"),
        ("sim.json", "tool_turns = 1", "Invalid JSON"),
        ("sim.toml", f"a = {'[' * 100_000}", "nested too deeply"),
    ],
)
def test_one_that_is_wrong_is_told_by_its_file(name: str, told: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(told)
    with pytest.raises(InputError, match=f"{name}: .*{said}"):
        read_config(file)


@pytest.mark.parametrize("read", [read_config, read_tools])
def test_what_has_no_end_is_not_read(read: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match="no regular file"):
        read(Path("/dev/zero"))
