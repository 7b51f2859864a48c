import dataclasses
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

import configargparse
import pytest

from harness.load.job import DEFAULT_SHAPE
from harness.load.kit import settings
from harness.load.kit.limits import LoadLimits
from harness.load.kit.settings import LoadSettings, add_options
from harness.records.up_state import UpState
from harness.under_test import HttpRequest, RequestShape

ROOT = Path(__file__).parents[4]
UP = UpState(
    pid=1, url="http://a", simulator_url="http://sim", jaeger_url="http://jaeger", otlp_url="http://otlp"
)


NOWHERE = Path("/nowhere")


def read_options(
    found: Namespace, up: UpState | None, folder: Path = NOWHERE, *, of_fleet: bool = True
) -> LoadSettings:
    return settings.read_options(found, up, folder, of_fleet=of_fleet)


def options(**changed: object) -> Namespace:
    about: dict[str, object] = {
        "p99_ms": None,
        "ttft_ms": None,
        "max_error_ratio": 0.01,
        "max_late_ratio": 0.2,
        "max_amplification": None,
        "min_requests": None,
        "rate_factor": 1.0,
        "seed": 1,
        "call_timeout_s": 60.0,
        "max_in_flight": 1000,
        "simulator_url": None,
        "jaeger_url": None,
        "otlp_url": None,
        "results_dir": None,
        "agent": None,
    }
    return Namespace(**(about | changed))


def test_what_is_not_given_is_no_limit() -> None:
    assert read_options(options(), None).limits == LoadLimits()


def test_texts_and_empty_fields_of_the_web_page_are_understood() -> None:
    read = read_options(options(p99_ms="250", min_requests="", results_dir=""), None)
    assert read.limits == LoadLimits(p99_ms=250.0)
    assert read.results is None


def test_the_fleet_that_is_up_gives_the_addresses_that_were_left_out() -> None:
    read = read_options(options(), UP)
    assert (read.simulator_url, read.traces_url) == ("http://sim", "http://jaeger")
    assert read.otlp_url == "http://otlp"


def test_without_a_jaeger_traces_are_seen_on_the_fleets_own_page() -> None:
    up = dataclasses.replace(UP, jaeger_url=None, traces_url="http://own")
    assert read_options(options(), up).traces_url == "http://own"
    assert read_options(options(jaeger_url="http://mine"), up).traces_url == "http://mine"


def test_an_address_that_was_given_is_taken_before_the_fleets() -> None:
    assert read_options(options(simulator_url="http://mine"), UP).simulator_url == "http://mine"


def test_the_token_of_the_fleets_simulator_goes_to_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTRIG_SIMULATOR_TOKEN", raising=False)
    up = dataclasses.replace(UP, simulator_token="of-the-fleet")
    assert read_options(options(), up).simulator_token == "of-the-fleet"
    assert read_options(options(simulator_url="http://mine"), up).simulator_token is None
    monkeypatch.setenv("AGENTRIG_SIMULATOR_TOKEN", "given")
    assert read_options(options(simulator_url="http://mine"), up).simulator_token == "given"


def test_a_folder_for_results_is_a_path() -> None:
    assert read_options(options(results_dir="out"), None).results == Path("out")


DESCRIBED = """
[request]
path = "/chat"
body = {message = "{prompt}"}
answer = "reply.text"
"""


def test_how_the_service_is_asked_is_read_from_the_file_that_is_named_or_in_this_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "agentrig.toml").write_text(DESCRIBED)
    here = read_options(options(), None, tmp_path).request
    assert (here.request.path, here.request.body, here.answer) == (
        "/chat",
        {"message": "{prompt}"},
        "reply.text",
    )
    assert read_options(options(agent=str(tmp_path / "agentrig.toml")), None).request == here
    assert read_options(options(), None).request == DEFAULT_SHAPE


def test_a_fleet_that_is_up_tells_itself_how_it_is_asked_and_no_other_service_is_asked_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "agentrig.toml").write_text(DESCRIBED)
    own = RequestShape(request=HttpRequest(path="/own"))
    up = dataclasses.replace(UP, request=own)
    assert read_options(options(), up, tmp_path).request == own
    assert read_options(options(), UP, tmp_path).request == DEFAULT_SHAPE
    assert read_options(options(), up, tmp_path, of_fleet=False).request.request.path == "/chat"


def test_what_is_wrong_in_that_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "agentrig.toml").write_text('[request]\npth = "/chat"\n')
    with pytest.raises(
        ValueError, match=r"agentrig\.toml:2: request\.pth: there is no such key; did you mean 'path'"
    ):
        read_options(options(), None, tmp_path)


def test_a_word_in_place_of_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        read_options(options(p99_ms="fast"), None)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"rate_factor": value} for value in ("0", "-1", "nan", "inf")),
        *({"call_timeout_s": value} for value in ("0", "-1", "nan", "inf")),
        {"max_in_flight": "0"},
        {"p99_ms": "nan"},
        {"min_requests": "0"},
        {"max_error_ratio": "1"},
    ],
)
def test_what_nothing_can_be_sent_with_or_held_against_is_refused_by_name(wrong: dict[str, object]) -> None:
    (option,) = wrong
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} must be a number"):
        read_options(options(**wrong), None)


def parsed(*words: str) -> Namespace:
    parser: Any = configargparse.ArgumentParser()  # as Locust's is, which can't be had without its patches
    parser.add_argument("--class-picker", action="store_true")
    parser.add_argument("--web-host", default="")
    parser.add_argument("--master-bind-host", default="*")
    add_options(parser)
    found: Namespace = parser.parse_args(words)
    return found


def test_scenarios_are_picked_on_a_page_of_this_machine_wherever_locust_is_started() -> None:
    unsaid = parsed()
    assert (unsaid.class_picker, unsaid.web_host, unsaid.master_bind_host) == (True, "127.0.0.1", "127.0.0.1")
    said = parsed("--web-host", "0.0.0.0", "--master-bind-host", "0.0.0.0")
    assert (said.web_host, said.master_bind_host) == ("0.0.0.0", "0.0.0.0")


def test_no_setting_of_locusts_is_in_the_checkout_alone() -> None:
    """A container, and whoever has installed the package, would be without it."""
    assert "locust" not in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert [*ROOT.glob("*locust.conf")] == []
