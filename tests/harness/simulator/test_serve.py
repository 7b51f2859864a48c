import asyncio
import contextlib
import gzip
import random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulator import serve
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api, NumberedConnection
from tests.harness.simulator.wires import PATHS, STREAMING, body

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def told(**config: Any) -> SimulatorConfig:
    return SimulatorConfig.model_validate(config)


def test_a_call_is_answered_and_stands_in_the_journal() -> None:
    api = Api(told(latency={"ttft": {"median_s": 0.5}, "itl": {"median_s": 0.1}, "tokens": 6}))
    begun_s = api.clock.now()
    answer = api.chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    (row,) = api.rows()

    assert answer.status_code == 200
    assert row == {
        "experiment": "experiment",
        "arm": "arm",
        "time_s": begun_s,
        "end_s": pytest.approx(begun_s + 1.0),
        "connection": 1,
        "protocol": "openai",
        "model": "m",
        "stream": False,
        "call_id": row["call_id"],
        "attempt": 1,
        "trace_id": TRACE,
        "parent_span_id": PARENT,
        "decision": "ok",
        "source": None,
        "fault_class": None,
        "status": 200,
        "retry_after_s": None,
        "quota_level": None,
        "service_s": pytest.approx(1.0),
        "bytes_sent": len(answer.content),
        "client_gone": False,
        "canary": None,
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
    }
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def test_attempts_of_one_call_are_counted_until_it_is_answered_or_all_is_reset() -> None:
    api = Api(told(faults=[{"kind": "overloaded", "times": 3, "match": {"model": "m"}}]))
    for _ in range(5):
        api.chat()
    assert [row["attempt"] for row in api.rows()] == [1, 2, 3, 4, 1]
    first, *_, last = [row["call_id"] for row in api.rows()]
    assert first != last
    api.ask("POST", "/sim/reset", json={})
    for _ in range(2):
        api.chat()
    assert [row["attempt"] for row in api.rows()] == [1, 2]


def test_a_fixed_prompt_draws_anew_for_each_call() -> None:
    latency = {"ttft": {"median_s": 0.1, "p99_s": 1.0}}
    api = Api(told(latency=latency, faults=[{"kind": "overloaded", "probability": 0.3}]))
    answers = [api.chat() for _ in range(60)]
    rows = api.rows()
    assert 5 < sum(row["decision"] == "overloaded" for row in rows) < 35
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) > 30
    assert len({row["service_s"] for row in rows}) > 30


def test_an_answer_takes_the_time_of_the_tokens_that_it_has() -> None:
    api = Api(told(latency={"ttft": {"median_s": 0.5}, "itl": {"median_s": 0.1}, "tokens": 1000}))
    api.ask("POST", PATHS["openai"], content=body("openai", "a", max_tokens=1))
    long = api.ask("POST", PATHS["openai"], content=body("openai", "b", max_tokens=2000)).json()
    assert [row["service_s"] for row in api.rows()] == pytest.approx([0.5, 0.5 + 99.9])
    assert long["usage"]["completion_tokens"] == 1000
    assert len(long["choices"][0]["message"]["content"].split()) == 1000


def test_nothing_said_of_a_limit_is_no_limit() -> None:
    api = Api(told(latency={"tokens": 1000}))
    answer = api.ask("POST", PATHS["openai"], content=body("openai", max_tokens=None))
    assert answer.json()["usage"]["completion_tokens"] == 1000


def test_each_token_of_the_input_makes_the_first_one_later() -> None:
    api = Api(told(latency={"ttft": {"median_s": 0.5}, "per_input_token_s": 0.01}))
    for text in ("x" * 4, "x" * 400):
        api.chat(text)
    assert [row["service_s"] for row in api.rows()] == pytest.approx([0.51, 1.5])


def test_a_conversation_that_does_not_fit_the_models_window_is_refused() -> None:
    api = Api(told(context_windows={"m": 100, "*": 10}))
    assert api.chat("x" * 400).status_code == 200
    refused = api.chat("x" * 404)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert api.ask("POST", PATHS["openai"], content=body("openai", "x" * 44, model="n")).status_code == 400
    assert [row["source"] for row in api.rows()] == [None, "request", "request"]


def test_a_model_that_there_is_none_of_is_not_found() -> None:
    api = Api(told(models=["m"]))
    codes = [
        api.ask("POST", PATHS["openai"], content=body("openai", model=model)).status_code for model in "mn"
    ]
    assert codes == [200, 404]


def test_a_connection_costs_its_time_beside_the_first_token() -> None:
    api = Api(told(latency={"connect": {"median_s": 0.3}, "ttft": {"median_s": 0.5}}))
    api.chat()
    assert api.clock.monotonic() == pytest.approx(0.8)


@pytest.mark.parametrize("protocol", STREAMING)
def test_only_bedrock_tells_a_throttled_caller_nothing_of_when_to_come_back(protocol: str) -> None:
    api = Api(told(quota={"rpm": 60, "burst": 1}))
    _, refused = [api.ask("POST", PATHS[protocol], content=body(protocol, text)) for text in ("a", "b")]
    assert refused.status_code == 429
    row = api.rows()[1]
    if protocol.startswith("bedrock"):
        assert (row["retry_after_s"], "x-amz-retry-after" in refused.headers) == (None, False)
    elif protocol == "gemini":
        assert refused.json()["error"]["details"][-1]["retryDelay"] == "1s"
    else:
        assert (row["retry_after_s"], refused.headers["retry-after-ms"]) == (1.0, "1000")


@pytest.mark.parametrize("path", ["anthropic-count-tokens", "bedrock-count-tokens", "gemini-count-tokens"])
def test_tokens_are_counted_beside_the_quota(path: str) -> None:
    api = Api(told(quota={"rpm": 1, "burst": 1}))
    answers = [api.ask("POST", PATHS[path], content=body(path, "x" * 40)) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert 10 in answers[0].json().values()


def test_a_call_over_quota_is_refused_as_the_real_one_refuses() -> None:
    api = Api(told(quota={"rpm": 60, "burst": 1}))
    api.chat("one")
    refused = api.chat("two")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after-ms"] == "1000"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    row = api.rows()[1]
    assert (row["decision"], row["source"]) == ("rate_limit_requests", "quota")
    assert (row["fault_class"], row["retry_after_s"], row["quota_level"]) == ("transient", 1.0, 0.0)


@pytest.mark.parametrize(("charged", "left"), [(False, "4"), (True, "3")])
def test_a_fault_that_throttles_tells_how_the_quota_stands(*, charged: bool, left: str) -> None:
    rule = {"kind": "rate_limit_requests", "every_n": 2, "retry_after_s": 2}
    api = Api(told(quota={"rpm": 60, "burst": 5, "charge_failed": charged}, faults=[rule]))
    api.chat("one")
    throttled = api.chat("two")
    assert throttled.status_code == 429
    assert throttled.headers["x-ratelimit-limit-requests"] == "60"
    assert throttled.headers["x-ratelimit-remaining-requests"] == left
    assert throttled.headers["retry-after"] == "2"


def test_who_waits_as_long_as_told_is_served() -> None:
    api = Api(told(quota={"rpm": 60, "burst": 1}))
    api.chat()
    api.clock.advance(int(api.chat().headers["retry-after-ms"]) / 1000)
    assert api.chat().status_code == 200


@pytest.mark.parametrize("protocol", PATHS)
def test_a_body_that_is_no_request_is_told_so_in_the_protocols_own_words(protocol: str) -> None:
    api = Api()
    answer = api.ask("POST", PATHS[protocol], content=b"{]")
    assert answer.status_code == 400
    assert "the body is not JSON" in answer.text
    (row,) = api.rows()
    assert (row["decision"], row["source"], row["protocol"]) == ("bad_request", "request", protocol)
    assert (row["status"], row["fault_class"]) == (400, "permanent")


def test_a_body_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_BODY_BYTES", 100)
    api = Api()
    assert api.chat("x" * 200).status_code == 413
    assert api.rows()[0]["decision"] == "payload_too_large"


def test_a_window_begins_when_the_reset_says() -> None:
    api = Api(told(faults=[{"kind": "overloaded", "window_s": [0, 10]}]))
    api.ask("POST", "/sim/reset", json={"start_s": api.clock.now() + 5})
    seen = [api.chat().status_code]
    api.clock.advance(5)
    seen.append(api.chat().status_code)
    api.clock.advance(10)
    seen.append(api.chat().status_code)
    assert seen == [200, 503, 200]


def test_the_first_call_over_a_connection_pays_for_its_handshake() -> None:
    api = Api(told(latency={"connect": {"median_s": 0.3}}))
    connection = NumberedConnection(api.clock)
    api.chat(connection=connection)
    assert api.clock.monotonic() == pytest.approx(0.3)
    api.chat(connection=connection)
    assert api.clock.monotonic() == pytest.approx(0.3)
    api.chat()
    assert api.clock.monotonic() == pytest.approx(0.6)


def test_calls_in_work_are_counted_and_none_is_left() -> None:
    api = Api()
    seen: list[int] = []

    class Watching(NumberedConnection):
        async def wait(self, seconds: float) -> None:
            seen.append(api.simulator.in_work)
            await asyncio.sleep(0)
            await super().wait(seconds)

    async def three() -> None:
        calls = (
            api.send("POST", PATHS["openai"], Watching(api.clock), content=body("openai")) for _ in "abc"
        )
        await asyncio.gather(*calls)

    asyncio.run(three())
    assert max(seen) == 3
    assert api.simulator.in_work == 0


def test_a_caller_who_leaves_is_noted() -> None:
    api = Api(told(latency={"ttft": {"median_s": 5}}))
    leaving = NumberedConnection(api.clock, leaves_s=2)
    with pytest.raises(AssertionError):  # httpx never gets a head
        api.chat(connection=leaving)
    (row,) = api.rows()
    assert (row["client_gone"], row["status"], row["bytes_sent"]) == (True, 0, 0)
    assert row["end_s"] - row["time_s"] == pytest.approx(2)


def test_a_session_and_a_run_are_read_from_the_baggage() -> None:
    rule = {"kind": "auth", "match": {"session": "s 1", "run": "r1"}}
    api = Api(told(faults=[rule]))
    both = api.chat(headers={"baggage": "session.id=s%201;p=1, agentrig.run = r1"})
    one = api.chat(headers={"baggage": "session.id=s%201,other"})
    assert (both.status_code, one.status_code) == (401, 200)


def test_asked_for_its_canary_words_it_lists_those_of_the_conversation_alone() -> None:
    api = Api()
    messages = [
        {"role": "user", "content": "Remember CANARY-a1."},
        {"role": "user", "content": "Which canary words have I told you?"},
    ]
    answer = api.ask("POST", PATHS["openai"], json={"model": "m", "messages": messages})
    assert answer.json()["choices"][0]["message"]["content"] == "CANARY-a1"


def test_two_runs_with_one_seed_decide_alike_whatever_the_order_of_arrival() -> None:
    faults = [{"kind": "overloaded", "probability": 0.3}, {"kind": "bad_request", "probability": 0.2}]
    texts = [str(n) for n in range(40)] * 2  # each is tried twice

    def run(order: list[str]) -> dict[tuple[str, int], str]:
        api = Api(told(seed=4, faults=faults))

        async def all_at_once() -> None:
            sent = (
                api.send("POST", PATHS["openai"], NumberedConnection(api.clock), content=body("openai", text))
                for text in order
            )
            await asyncio.gather(*sent)

        asyncio.run(all_at_once())
        return {(row["call_id"], row["attempt"]): row["decision"] for row in api.rows()}

    first = run(texts)
    assert first == run(random.Random(1).sample(texts, len(texts)))
    assert set(first.values()) == {"ok", "overloaded", "bad_request"}
    assert len(first) == 80


fuzzed = Api(told(quota={"rpm": 1e6, "burst": 1e6}, auth=None, tool_turns=1))


@given(
    protocol=st.sampled_from(sorted(PATHS)),
    sent=st.binary(max_size=80) | st.text(max_size=40).map(lambda text: body("openai", text)),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-api-key", "baggage", "traceparent", "content-type"]),
        st.binary(max_size=60).map(lambda value: value.decode("latin-1")),
    ),
    model=st.text(max_size=20),
)
def test_whatever_is_sent_no_call_ends_in_an_error_of_its_own(
    protocol: str, sent: bytes, headers: dict[str, str], model: str
) -> None:
    path = PATHS[protocol].replace("/m/", f"/{quote(model, safe='', errors='replace')}/")
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = fuzzed.ask("POST", path, content=sent, headers=encoded)
    assert answer.status_code in {200, 400, 404}
    assert fuzzed.simulator.in_work == 0


def test_attempts_with_a_trace_each_are_one_call_where_a_word_tells_whose_it_is() -> None:
    api = Api(told(faults=[{"kind": "overloaded", "match": {"attempt": 1}}]))
    statuses = []
    for number in (1, 2):
        trace = f"00-{number:032x}-{PARENT}-01"
        statuses.append(api.chat("My word is CANARY-a1.", headers={"traceparent": trace}).status_code)
    assert statuses == [503, 200]
    assert [row["attempt"] for row in api.rows()] == [1, 2]
    assert [row["trace_id"] for row in api.rows()] == [f"{number:032x}" for number in (1, 2)]


class Stopping(NumberedConnection):
    used = True

    async def wait(self, seconds: float) -> None:
        raise asyncio.CancelledError


def test_a_stream_that_the_servers_end_cut_off_is_no_answer() -> None:
    api = Api(told(latency={"itl": {"median_s": 0.1}}))

    async def cut() -> None:
        content = body("openai", stream=True)
        with contextlib.suppress(AssertionError):  # httpx misses the end
            await api.send("POST", PATHS["openai"], connection=Stopping(api.clock), content=content)

    asyncio.run(cut())
    (row,) = api.rows()
    assert (row["decision"], row["source"], row["status"]) == ("stopped", "stopped", 200)


def test_a_body_that_is_encoded_is_told_so_and_not_taken_for_broken_json() -> None:
    api = Api()
    packed = gzip.compress(body("openai"))
    sent = {"content": packed, "headers": {"content-encoding": "gzip"}}
    answer = api.ask("POST", PATHS["openai"], **sent)
    assert answer.status_code == 400
    assert "encoded (gzip)" in answer.json()["error"]["message"]
    plain = api.ask("POST", PATHS["openai"], content=body("openai"), headers={"content-encoding": "identity"})
    assert plain.status_code == 200
