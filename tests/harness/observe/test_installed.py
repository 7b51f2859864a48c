"""Sources and dialects of installed packages: read as ours are, and named where they fail."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.errors import InputError, StartError
from harness.observe import dialects, sources
from harness.observe.dialects import installed as dialects_installed
from harness.observe.sources import Wanted, open_source
from harness.observe.sources.files import Files
from harness.observe.sources.installed import Opener
from harness.observe.sources.source import Time
from harness.outside.plugins import Origin, PluginError
from harness.records.observed import ModelCall
from harness.records.seen import Span

SOURCE = Origin(group="agentrig.sources", name="theirs", value="them:open", package="them 1.0")
DIALECT = Origin(group="agentrig.dialects", name="theirs", value="them:read", package="them 1.0")
NOW = Time(from_s=None, to_s=0.0)


def wanted() -> Wanted:
    return Wanted(services=(), since_s=None, every_s=None, clock=FakeClock(), tell=lambda _: None)


def span(**fields: Any) -> Span:
    names = {
        "trace_id": "1" * 32,
        "span_id": "2" * 16,
        "parent_span_id": None,
        "name": "ask",
        "kind": "client",
    }
    return Span(**{**names, "start_ns": 1, "end_ns": 2, "service": "agent", "instance": None, **fields})


@dataclass
class Theirs:
    given: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    live: bool = False
    listens_since_s: float | None = None

    def spans(self, _time: Time) -> Iterator[Any]:
        for each in self.given:
            if isinstance(each, BaseException):
                raise each
            yield each

    def close(self) -> None:
        self.notes.append("closed")


def test_a_source_is_opened_by_the_word_before_the_colon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []

    def theirs(rest: str, _wanted: Wanted) -> Theirs:
        opened.append(rest)
        return Theirs([span()], notes=["one is missing"])

    monkeypatch.setattr(sources, "SOURCES", {"theirs": Opener(theirs, SOURCE), "jaeger": None})
    source = open_source("theirs:a:b", wanted())
    assert (list(source.spans(NOW)), opened) == ([span()], ["a:b"])
    assert (source.notes, source.live, source.listens_since_s) == (["one is missing"], False, None)
    source.close()
    assert source.notes[-1] == "closed"
    for word in ("nobodys:a", "theirs"):
        with pytest.raises(InputError, match=f"{word}: there is no such file"):
            open_source(word, wanted())
    (tmp_path / "theirs:a").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source("theirs:a", wanted()), Files)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ValueError("bad row"), "failed at spans(): ValueError: bad row"),
        (asyncio.CancelledError(), "failed at spans(): CancelledError"),
        ({"name": "ask"}, "gave dict from spans(), not a Span"),
        (None, "gave NoneType from spans(), not a Span"),
        (span(start_ns="1"), "gave a Span from spans() whose start_ns is of type str, not int"),
        (span(trace_id=None), "gave a Span from spans() whose trace_id is of type NoneType, not str"),
        (span(kind="CLIENT"), "gave a Span from spans() whose kind is none of internal, server, "),
        (span(instance=7), "gave a Span from spans() whose instance is of type int, neither str nor None"),
        (span(attributes=[("a", 1)]), "gave a Span from spans() whose attributes is no mapping of names"),
        (span(resource={1: "a"}), "gave a Span from spans() whose resource is no mapping of names"),
        (span(events=[{"name": "a"}]), "gave a Span from spans() whose events is no tuple of SpanEvent"),
    ],
)
def test_a_source_that_fails_half_way_is_named(given: Any, said: str) -> None:
    source = Opener(lambda *_: Theirs([span(), given]), SOURCE)("", wanted())
    with pytest.raises(PluginError) as caught:
        list(source.spans(NOW))
    assert str(caught.value).startswith(f"{SOURCE} {said}")


def test_a_source_may_say_itself_that_it_has_nothing() -> None:
    source = Opener(lambda *_: Theirs([InputError("no such bucket")]), SOURCE)("", wanted())
    with pytest.raises(InputError, match=r"^no such bucket$"):
        list(source.spans(NOW))

    def cant(*_: Any) -> Any:
        raise StartError("nobody answers")

    with pytest.raises(StartError, match=r"^nobody answers$"):
        Opener(cant, SOURCE)("", wanted())


def test_notes_that_are_no_sentences_are_told() -> None:
    source = Opener(lambda *_: Theirs([], notes="one"), SOURCE)("", wanted())  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="has notes that are no list of sentences"):
        list(source.spans(NOW))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda *_: object(),
            "opened what is no source: it has no notes, live, listens_since_s, spans, close",
        ),
        (lambda _: Theirs(), "failed at opening the source: TypeError: "),
    ],
)
def test_what_opens_no_source_is_named(function: Any, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        Opener(function, SOURCE)("", wanted())
    assert str(caught.value).startswith(f"{SOURCE} {said}")


def reading(function: Any) -> Any:
    return dialects_installed.taken(function, DIALECT)


def test_a_dialect_reads_before_ours_do_but_not_what_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModelCall(model="theirs")
    asked = (dialects.DIALECTS[0], ("theirs", reading(lambda _: mine)), *dialects.DIALECTS[1:])
    monkeypatch.setattr(dialects, "asked", lambda: asked)
    assert dialects.read(span(attributes={"gen_ai.operation.name": "chat"})) == ("theirs", mine)
    own = dialects.read(span(name="client.init llm", attributes={"agentrig.client.name": "llm"}))
    assert own is not None
    assert own[0] == "agentrig"


def test_without_others_ours_are_asked_in_their_order() -> None:
    assert [name for name, _ in dialects.asked()] == [name for name, _ in dialects.DIALECTS]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda each: each.attributes["model"], "failed at reading a span: KeyError: 'model'"),
        (lambda _: ModelCall(status="429"), "made a wrong ModelCall of a span: status: Input should be"),  # type: ignore[arg-type]
        (lambda _: {"model": "m"}, "made dict of a span, which is no part of a request"),
    ],
)
def test_a_dialect_that_fails_is_named(function: Any, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        reading(function)(span())
    assert str(caught.value).startswith(f"{DIALECT} {said}")


def test_what_can_not_be_called_is_no_dialect_and_opens_no_source() -> None:
    with pytest.raises(TypeError, match="is no dialect: what is of type int"):
        reading(7)
    with pytest.raises(TypeError, match="is no source: what is of type int"):
        sources.installed.taken(7, SOURCE)
