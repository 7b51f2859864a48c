"""How an engine is found and asked, and what is said where it does not do what it should."""

from pathlib import Path

import httpx
import pytest

from harness.errors import ExitCode, InputError
from harness.fleet.docker.engine import Engine, EngineError, engine_socket, unframed
from tests.harness.fleet.docker.fake_engine import SOCKET, FakeEngine


def test_the_engine_is_where_the_variable_says() -> None:
    assert engine_socket({"DOCKER_HOST": "unix:///run/user/1000/podman/podman.sock"}) == Path(
        "/run/user/1000/podman/podman.sock"
    )


@pytest.mark.parametrize(
    "host", ["tcp://10.0.0.7:2375", "ssh://somebody@there", "/run/docker.sock", "unix://"]
)
def test_an_engine_elsewhere_is_a_wrong_value(host: str) -> None:
    with pytest.raises(InputError, match="of this machine") as caught:
        engine_socket({"DOCKER_HOST": host})
    assert caught.value.exit_code == ExitCode.BAD_INPUT


def test_where_nobody_answers_it_is_said_what_to_do() -> None:
    with pytest.raises(EngineError, match=r"/run/an-engine\.sock: no container engine answers") as caught:
        FakeEngine(lost=True).client().call("GET", "/version")
    assert caught.value.exit_code == ExitCode.NOT_STARTED
    assert "DOCKER_HOST" in str(caught.value)
    assert "Without --on" in str(caught.value)


def test_who_may_not_ask_is_told_of_the_group() -> None:
    with pytest.raises(EngineError, match="be of its group"):
        FakeEngine(forbidden=True).client().call("GET", "/version")


def test_a_full_disk_is_said_to_be_one() -> None:
    engine = FakeEngine(full=True)
    with pytest.raises(EngineError, match=r"no space left on device\. Its disk is full: `docker system df`"):
        engine.client().call("POST", "/containers/create", json={}, params={"name": "x"})


def test_what_is_no_engine_is_said_to_be_none() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>welcome</html>"))
    with pytest.raises(EngineError, match="is no container engine"):
        Engine(SOCKET, transport=page).call("GET", "/version")


def test_a_refusal_that_is_no_json_is_shown_as_it_is() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(502, text="bad gateway"))
    with pytest.raises(EngineError, match="bad gateway") as caught:
        Engine(SOCKET, transport=page).call("GET", "/version")
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("stream", "output"),
    [
        (b"", b""),
        (b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x03two", b"onetwo"),
        (b"\x01\0\0\0\0\0\0\x09cut", b"cut"),
        (b"as a terminal prints it", b"as a terminal prints it"),
    ],
)
def test_output_comes_without_its_frames(stream: bytes, output: bytes) -> None:
    assert unframed(stream) == output
