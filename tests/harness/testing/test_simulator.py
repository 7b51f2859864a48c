import importlib.util
import os
import re
from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.errors import InputError
from harness.fence import SDKS
from harness.testing.simulator import Simulator, environment

URL = "http://127.0.0.1:4711"


def test_every_sdk_is_led_to_the_simulator_and_finds_no_credentials() -> None:
    led = environment(URL, Path("/no/home"), {})
    assert led.keys() >= SDKS.keys()
    assert led["OPENAI_BASE_URL"] == f"{URL}/v1"
    assert led["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == URL
    assert led["AWS_CONFIG_FILE"] == "/no/home/.aws/config"
    assert led["AWS_PROFILE"] is None
    assert not [value for value in led.values() if value and "{" in value]


ADDRESS = re.compile(r"""["']([A-Z][A-Z0-9_]*(?:BASE_URL|API_URL|API_BASE|ENDPOINT))["']""")
CLIENTS = {
    "openai": ("*.py", "lib/**/*.py", "providers/**/*.py"),
    "anthropic": ("*.py", "lib/**/*.py"),
    "google.genai": ("*.py",),
}


@pytest.mark.parametrize("package", CLIENTS)
def test_each_variable_by_which_an_official_client_is_told_an_address_leads_to_the_simulator(
    package: str,
) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    files = [file for pattern in CLIENTS[package] for file in folder.glob(pattern)]
    read = {name for file in files for name in ADDRESS.findall(file.read_text("utf-8"))}
    assert read
    led = environment(URL, Path("/no/home"), {})
    assert {name for name in read if not (led.get(name) or "").startswith(URL)} == set()


def test_a_client_of_a_cloud_asks_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    from anthropic import AnthropicFoundry  # noqa: PLC0415 - of 3,000 modules

    monkeypatch.setenv("ANTHROPIC_FOUNDRY_RESOURCE", "real")
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_API_KEY", "real")
    for name, value in environment(URL, Path("/no/home"), {}).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with AnthropicFoundry() as client:
        assert str(client.base_url).startswith(URL)
        assert client.api_key != "real"


def test_what_else_a_test_needs_stays() -> None:
    led = environment(URL, Path("/no/home"), os.environ)
    assert not {"HOME", "HTTP_PROXY", "HTTPS_PROXY", "PATH"} & led.keys()


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "127.0.0.1,localhost"), ("a.example", "127.0.0.1,localhost,a.example"), ("*", None)],
)
def test_no_proxy_is_asked_for_the_simulator(before: str | None, after: str | None) -> None:
    led = environment(URL, Path("/no/home"), {} if before is None else {"NO_PROXY": before})
    assert led.get("NO_PROXY") == after


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("[quota]\nrpm = 0", "quota.rpm"),
        ("[[faults]]\nkind = 'auth'\nretry_after = 1", "did you mean 'retry_after_s'"),
        ("quota", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said_before_anything_is_asked(told: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Simulator("http://127.0.0.1:9", FakeClock()).configure(told)


def test_a_fault_with_a_key_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'times'"):
        Simulator("http://127.0.0.1:9", FakeClock()).fault("auth", time=1)
