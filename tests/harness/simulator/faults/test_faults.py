import re
from pathlib import Path

import pytest

import harness.simulator.faults as package
from harness.simulator.fault_choice import CallDecision
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.fault import Fault, Refusal
from harness.simulator.installed import known_faults
from harness.simulator.render import reply_to
from harness.simulator.reply import Ending, Reply
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.wires import PATHS, STREAMING, WIRES, answered, call, decider

FOLDER = Path(package.__file__).parent
NO_FAULTS = {"__init__", "fault", "page"}
PROVIDERS = {wire.provider for wire in WIRES.all}
LATENCY = {"ttft": {"median_s": 1.0}, "itl": {"median_s": 0.1}}


def served(
    kind: str | None = None, *, protocol: str = "openai", stream: bool = True, after_chunks: int = 2
) -> Reply:
    rule = {"kind": kind, "after_chunks": after_chunks}
    told = SimulatorConfig.model_validate({"latency": LATENCY, "faults": [rule] if kind else []})
    asked = call(protocol=protocol, stream=stream)
    decision = decider(told).decide(asked, answered(asked))
    return reply_to(asked, answered(asked), decision, 0.0)


def body(reply: Reply) -> bytes:
    return b"".join(piece for _, piece in reply.steps)


def test_each_fault_has_a_file_of_its_own_name() -> None:
    files = {file.stem for file in FOLDER.glob("*.py")} - NO_FAULTS
    assert files == set(REGISTRY) == set(known_faults())


def test_the_page_on_adding_one_shows_a_file_that_is_there() -> None:
    page = (FOLDER / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown == (FOLDER / "eof_clean.py").read_text("utf-8")


@pytest.mark.parametrize("fault", REGISTRY.values(), ids=REGISTRY)
def test_a_refusal_has_words_for_every_provider(fault: Fault) -> None:
    if isinstance(fault, Refusal):
        problems = [fault.problem(provider) for provider in PROVIDERS]
        assert set(fault.problems) <= PROVIDERS
        assert all(problem.status >= 400 and problem.message for problem in problems)
    assert fault.fault_class in {"transient", "permanent", "stream", "malformed", "slow"}


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("kind", REGISTRY)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("after_chunks", [0, 2, 1000])
def test_every_reply_is_one_that_can_be_sent(
    kind: str, protocol: str, after_chunks: int, *, stream: bool
) -> None:
    reply = served(kind, protocol=protocol, stream=stream, after_chunks=after_chunks)
    dues = [due_s for due_s, _ in reply.steps]
    assert dues == sorted(dues)
    assert all(due_s >= reply.head_s for due_s in dues)
    if reply.length is not None:
        sent = len(body(reply))
        assert sent == reply.length if reply.ending is Ending.CLEAN else sent < reply.length
    if reply.status == 0:
        assert not reply.steps
        assert reply.ending is not Ending.CLEAN


@pytest.mark.parametrize("protocol", STREAMING)
@pytest.mark.parametrize("kind", [kind for kind, fault in REGISTRY.items() if fault.fault_class == "stream"])
def test_a_fault_of_a_stream_comes_before_its_end_however_short_it_is(kind: str, protocol: str) -> None:
    (*begun, end) = [piece for _, piece in served(protocol=protocol).steps]
    sent = [piece for _, piece in served(kind, protocol=protocol, after_chunks=1000).steps]
    assert sent[: len(begun)] == begun
    assert sent[len(begun) :] != [end]
    assert end not in sent[: len(begun) + 1]


@pytest.mark.parametrize("protocol", [name for name in PATHS if name not in STREAMING])
def test_what_is_a_filter_of_words_spares_an_answer_that_has_none(protocol: str) -> None:
    told = SimulatorConfig.model_validate({"faults": [{"kind": "content_filter_200"}, {"kind": "forbidden"}]})
    asked = call(protocol=protocol)
    assert decider(told).decide(asked, answered(asked)).kind == "forbidden"


def test_a_good_stream_has_its_tokens_due_at_their_times() -> None:
    dues = [due_s for due_s, _ in served().steps]
    assert dues == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.7])


def test_a_whole_answer_takes_the_time_of_its_last_token() -> None:
    reply = served(stream=False)
    assert reply.last_s == pytest.approx(1.7)
    assert reply.head_s == reply.last_s


def test_a_refusal_comes_at_once() -> None:
    reply = served("overloaded")
    assert (reply.status, reply.last_s, reply.ending) == (503, 0.0, Ending.CLEAN)


@pytest.mark.parametrize(
    ("kind", "ending"), [("stall", Ending.HANG), ("reset", Ending.RESET), ("eof_clean", Ending.CLEAN)]
)
def test_a_stream_that_ends_early_has_so_many_chunks_and_not_its_end(kind: str, ending: Ending) -> None:
    reply = served(kind, after_chunks=3)
    assert reply.steps == served().steps[:3]
    assert reply.ending is ending
    assert b"[DONE]" not in body(reply)


def test_a_slow_first_chunk_makes_all_late_and_the_head_not() -> None:
    good, slow = served(), served("slow_first_chunk")
    assert slow.head_s == good.head_s
    assert [late - due for (late, _), (due, _) in zip(slow.steps, good.steps, strict=True)] == pytest.approx(
        [5.0] * 9
    )
    assert body(slow) == body(good)


def test_a_slow_stream_gets_later_with_each_token() -> None:
    late = [
        late - due for (late, _), (due, _) in zip(served("slow_stream").steps, served().steps, strict=True)
    ]
    assert late == pytest.approx([number * 0.5 for number in range(9)])


def test_a_bad_chunk_stands_among_the_good_ones() -> None:
    good, bad = served(), served("bad_chunk", after_chunks=2)
    assert [*bad.steps[:2], *bad.steps[3:]] == good.steps


def test_an_error_event_is_the_last_word() -> None:
    reply = served("error_event", after_chunks=2)
    assert len(reply.steps) == 3
    assert b"overloaded" in reply.steps[-1][1]


def test_a_body_is_cut_in_the_middle() -> None:
    whole, cut = served(stream=False), served("body_truncated", stream=False)
    assert cut.length == whole.length
    assert body(whole).startswith(body(cut))
    assert cut.ending is Ending.CUT


def test_an_error_carries_what_the_caller_is_told_and_the_request_is_named() -> None:
    asked = call()
    refusal = REGISTRY["overloaded"]
    told = CallDecision(fault=refusal, source="fault", retry_after_s=1.5)
    headers = dict(reply_to(asked, answered(asked), told, 0.0).headers)
    assert headers[b"retry-after"] == b"2"
    assert headers[b"retry-after-ms"] == b"1500"
    assert headers[b"x-request-id"] == f"req_{asked.request_id}".encode()
