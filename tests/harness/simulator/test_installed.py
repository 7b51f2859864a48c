"""Faults and protocols of installed packages: served as ours are; where they fail, the simulator ends."""

from asyncio import CancelledError
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import StartError
from harness.outside.plugins import Origin, PluginError
from harness.simulator import installed, serve
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.render import reply_to
from harness.simulator.reply import Reply
from harness.simulator.wire import PROTOCOLS
from harness.simulator.wire.openai_chat import OpenAIChat
from harness.simulator.wire.protocol import ModelRequest
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import PATHS, answered, body, call, decider, path

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


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_ours_serve_could_be_sent_if_it_were_anothers(protocol: str, *, stream: bool) -> None:
    for kind, fault in REGISTRY.items():
        rule = {"kind": kind, "after_chunks": 1}
        asked = call(protocol=protocol, stream=stream)
        decision = decider(SimulatorConfig.model_validate({"faults": [rule]})).decide(asked, answered(asked))
        if decision.fault is not None:
            theirs = installed.fault(fault, replace(FAULT, name=kind))
            reply_to(asked, answered(asked), replace(decision, fault=theirs), 0.0)


@pytest.mark.parametrize("protocol", PATHS)
def test_what_our_protocols_return_could_be_used_if_they_were_anothers(protocol: str) -> None:
    for stream in (False, True):
        asked = call(protocol=protocol, stream=stream)
        foreign = installed.protocol(partial(deepcopy, asked.wire), replace(WIRE, name=asked.wire.name))()
        answer = answered(asked)
        assert foreign.parse(path(protocol, stream=stream), body(protocol, stream=stream)) is not None
        for kind in (None, "overloaded", "bad_event"):
            rules = {"faults": [{"kind": kind}] if kind in REGISTRY else []}
            decision = decider(SimulatorConfig.model_validate(rules)).decide(asked, answer)
            theirs = reply_to(replace(asked, wire=foreign), answered(asked), decision, 0.0)
            if asked.wire.provider != "gemini":  # which tells its two ways of streaming apart by the class
                assert theirs == reply_to(asked, answered(asked), decision, 0.0)


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


def cant_start(_: Scene) -> Reply:
    raise StartError("of ours")


def cancelled(_: Scene) -> Reply:
    raise CancelledError


def reply(**fields: Any) -> Any:
    told: dict[str, Any] = {"status": 503, "headers": [], "steps": [(0.0, b"no")], "length": 2, **fields}
    return lambda _: Reply(**told)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken, "(them:FAULT) failed at serve(): RuntimeError: out of order."),
        (cant_start, "failed at serve(): StartError: of ours."),
        (cancelled, "failed at serve(): CancelledError."),
        (not_a_reply, "(them:FAULT) served SimpleNamespace, not a Reply."),
        (reply(status="503"), "a Reply that can't be sent: status: Input should be a valid integer"),
        (reply(status=99), "status: 99 is none of HTTP"),
        (reply(status=0), "status: 0 is for what ends without a byte"),
        (reply(headers=[("retry-after", "1")]), "headers.0.0: Input should be a valid bytes"),
        (reply(headers={b"retry-after": b"1"}), "headers: Input should be a valid list"),
        (reply(headers=[(b"a", b"b\r\nc: d")]), "headers: one has a line break"),
        (reply(headers=[(b"Content-Length", b"2")]), "headers: the length is told by `length`"),
        (reply(steps=[(0.0, "no")]), "steps.0.1: Input should be a valid bytes"),
        (reply(steps=[(2.0, b"n"), (1.0, b"o")]), "steps: not in the order of their time"),
        (reply(head_s=1.0), "steps: not in the order of their time, from head_s on"),
        (reply(steps=[(float("nan"), b"no")]), "a time that is below 0, or none"),
        (reply(hang_s=float("inf")), "a time that is below 0, or none"),
        (reply(length=3), "length: 3, where the steps have 2 bytes"),
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


class Slow:
    """A clock on which each call takes what is next."""

    def __init__(self, *took_s: float) -> None:
        self.times = [each for passed_s in took_s for each in (0.0, passed_s)]

    def __call__(self) -> float:
        return self.times.pop(0)


@pytest.mark.parametrize(
    ("took_s", "ends"),
    [
        ((0.06, 0.06, 0.06), True),  # it waits in each
        ((0.06, 0.06, 0.01, 0.06, 0.06), False),  # the machine stood still
        ((0.01, 2.5), True),
        ((1.9, 0.01), False),
    ],
)
def test_what_keeps_everybody_waiting_ends_it(took_s: tuple[float, ...], *, ends: bool) -> None:
    asked = installed.Prompt(FAULT, Slow(*took_s)).timed(lambda: 1, "serve()")
    for _ in took_s[:-1]:
        assert asked() == 1
    with (
        pytest.raises(PluginError, match=r"took .* s at serve\(\), and meanwhile nobody is answered")
        if ends
        else (nullcontext())
    ):
        asked()


@pytest.mark.parametrize(
    ("method", "returned", "said"),
    [
        ("serves", 1, "returned what can't be used from serves(): serves(): Input should be a valid boolean"),
        ("key", None, "key(): Input should be a valid string"),
        ("parse", {}, "parse(): Input should be "),
        (
            "parse",
            ModelRequest(model=7, stream=False, call_id="", texts=()),
            "model: Input should be a valid",
        ),  # type: ignore[arg-type]
        ("whole", "text", "whole(): Input should be a valid bytes"),
        ("id_headers", [("x", "y")], "id_headers().0.0: Input should be a valid bytes"),
    ],
)
def test_a_protocol_that_returns_what_can_not_be_used_ends_it(
    monkeypatch: pytest.MonkeyPatch, method: str, returned: Any, said: str
) -> None:
    with_theirs(monkeypatch, protocol=type("Wrong", (Theirs,), {method: lambda *_: returned}))
    api = Api(SimulatorConfig(protocols=("theirs",)))
    with suppress(AssertionError):
        api.ask("POST", "/theirs", content=body("openai"))
    assert said in str(api.troubles[0])


def test_a_stream_without_a_chunk_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_theirs(monkeypatch, protocol=type("Empty", (Theirs,), {"chunks": lambda *_: []}))
    api = Api(SimulatorConfig(protocols=("theirs",)))
    with suppress(AssertionError):
        api.ask("POST", "/theirs", content=body("openai", stream=True))
    assert "chunks(): no chunk at all" in str(api.troubles[0])


def test_a_protocol_that_fails_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_theirs(monkeypatch, protocol=type("Broken", (Theirs,), {"serves": lambda _self, _path: 1 / 0}))
    api = Api(SimulatorConfig(protocols=("theirs",)))
    assert api.chat().status_code == 404
    (trouble,) = api.troubles
    assert "failed at serves(): ZeroDivisionError: division by zero" in str(trouble)
