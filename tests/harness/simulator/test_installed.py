"""Faults and protocols of installed packages: served as ours are; where they fail, the simulator ends."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from harness.outside.plugins import Origin
from harness.simulator import installed, serve
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply
from harness.simulator.wire import PROTOCOLS
from harness.simulator.wire.openai_chat import OpenAIChat
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import body

FAULT = Origin(group="agentrig.faults", name="theirs", value="them:FAULT", package="them 1.0")
WIRE = replace(FAULT, group="agentrig.protocols", value="them:Wire")


class Theirs(OpenAIChat):
    name = "theirs"

    def serves(self, path: str) -> bool:
        return path == "/theirs"


def spoiled(change: Any) -> Spoiled:
    return Spoiled(kind="theirs", fault_class="transient", change=change)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (7, "is no fault: what is of type int has no serve"),
        (Spoiled, "is no fault: class Spoiled has no serve"),
        (replace(spoiled(None), fault_class="bad"), "is no fault: its fault_class is none of transient, "),
        (REGISTRY["auth"], "is the fault 'auth': name its entry point so"),
    ],
)
def test_a_fault_that_would_not_do_is_refused(fault: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        installed.fault(fault, FAULT)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        (7, "is no protocol: what is of type int can't be called"),
        (dict, "is no protocol: it has no serves, key, parse, "),
        (OpenAIChat, "is the protocol 'openai': name its entry point so"),
        (type("Other", (Theirs,), {"provider": "acme"}), "is no protocol: its provider, "),
        (
            type("Other", (Theirs,), {"stream_type": "text"}),
            "is no protocol: its stream_type is not of type ",
        ),
    ],
)
def test_a_protocol_that_would_not_do_is_refused(protocol: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        installed.protocol(protocol, WIRE)
    assert str(caught.value).startswith(said)


def test_ours_would_be_taken() -> None:
    for kind, fault in REGISTRY.items():
        assert installed.fault(fault, replace(FAULT, name=kind)).kind == kind
    for protocol in PROTOCOLS:
        name = protocol().name
        assert installed.protocol(protocol, replace(WIRE, name=name))().name == name


def with_theirs(monkeypatch: pytest.MonkeyPatch, protocol: Any = Theirs, change: Any = None) -> None:
    wires = {**installed.WIRES, "theirs": installed.protocol(protocol, WIRE)}
    monkeypatch.setattr(serve, "WIRES", wires)
    monkeypatch.setattr(installed, "WIRES", wires)
    faults = {**REGISTRY, "theirs": installed.fault(spoiled(change), FAULT)}
    for module in ("harness.simulator.installed", "harness.simulator.fault_choice"):
        monkeypatch.setattr(f"{module}.FAULTS", faults)
    monkeypatch.setattr("harness.simulator.control.FAULTS", faults)


def test_a_protocol_that_is_named_is_spoken_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with_theirs(monkeypatch)
    api = Api()
    assert api.ask("POST", "/theirs", content=body("openai")).status_code == 404
    assert api.ask("PATCH", "/sim/config", json={"protocols": ["theirs"]}).json()["protocols"] == ["theirs"]
    assert api.ask("POST", "/theirs", content=body("openai")).json()["object"] == "chat.completion"
    assert api.ask("POST", "/sim/reset", json={}).status_code == 200
    assert api.ask("POST", "/theirs", content=b"{").status_code == 400
    assert api.ask("PATCH", "/sim/config", json={"protocols": ["nobodys"]}).status_code == 422
    assert api.chat().status_code == 200


def test_a_fault_that_is_named_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    with_theirs(monkeypatch, change=lambda scene: replace(scene.good(), status=418))
    api = Api()
    api.ask("POST", "/sim/faults", json={"kind": "theirs", "times": 1})
    assert [api.chat(text).status_code for text in "ab"] == [418, 200]
    kinds = api.ask("GET", "/sim/faults/kinds").json()
    assert {"kind": "theirs", "fault_class": "transient"} in kinds


def broken(_: Scene) -> Reply:
    raise RuntimeError("out of order")


def not_a_reply(_: Scene) -> Any:
    return SimpleNamespace(status=200)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken, "(them:FAULT) failed at serve(): RuntimeError: out of order."),
        (not_a_reply, "(them:FAULT) served SimpleNamespace, not a Reply."),
    ],
)
def test_a_fault_that_fails_ends_the_simulator(
    monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    with_theirs(monkeypatch, change=change)
    api = Api()
    api.ask("POST", "/sim/faults", json={"kind": "theirs"})
    with suppress(AssertionError):  # of httpx: there is no answer
        api.chat()
    (trouble,) = api.troubles
    assert str(trouble).startswith("them 1.0: its entry point theirs of agentrig.faults ")
    assert said in str(trouble)


def test_a_protocol_that_fails_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_theirs(monkeypatch, protocol=type("Broken", (Theirs,), {"serves": lambda _self, _path: 1 / 0}))
    api = Api(SimulatorConfig(protocols=("theirs",)))
    assert api.chat().status_code == 404
    (trouble,) = api.troubles
    assert "failed at serves(): ZeroDivisionError: division by zero" in str(trouble)
