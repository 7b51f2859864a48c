import pytest

from harness.simulator import call_names as module
from harness.simulator.call_names import CallName, CallNames


def asked(names: CallNames, content: str, trace: str | None = None) -> CallName:
    return names.place(trace, content, 0.0)


def test_a_fixed_prompt_is_as_many_calls_as_it_is_asked() -> None:
    names = CallNames()
    calls = [asked(names, "c") for _ in range(40)]
    assert len({call.name for call in calls}) == 40
    assert {call.attempt for call in calls} == {1}
    assert (names.calls, names.contents) == (40, 1)


def test_a_prompt_asked_once_is_named_by_what_it_asks() -> None:
    assert asked(CallNames(), "c").name == "c"
    assert asked(CallNames(), "c", "t").name == "c"


def test_after_a_failure_the_same_trace_tries_again() -> None:
    names = CallNames()
    first, other = asked(names, "c", "t"), asked(names, "c", "u")
    names.failed(first)
    names.failed(other)
    again, third = asked(names, "c", "u"), asked(names, "c", "t")
    assert (again.name, again.attempt, third.name, third.attempt) == (other.name, 2, first.name, 2)
    assert names.calls == 2


def test_without_traces_each_failure_has_its_retry() -> None:
    names = CallNames()
    calls = [asked(names, "c") for _ in range(5)]
    for call in calls:
        names.failed(call)
    retries = [asked(names, "c") for _ in range(6)]
    assert [retry.attempt for retry in retries] == [2, 2, 2, 2, 2, 1]
    assert {retry.name for retry in retries[:5]} == {call.name for call in calls}


def test_after_an_answer_the_same_prompt_is_another_call() -> None:
    names = CallNames()
    first = asked(names, "c", "t")
    names.answered(first)
    second = asked(names, "c", "t")
    assert (second.attempt, second.name != first.name) == (1, True)


def test_what_is_bad_stays_bad_in_every_attempt_whatever_its_trace() -> None:
    names = CallNames()
    lasting = []
    for trace in ("t", "t", "u", None, "v"):
        call = asked(names, "c", trace)
        names.failed(call, permanent=True)
        lasting.append(call.lasting)
    assert set(lasting) == {"c"}


def test_a_fixed_prompt_does_not_stay_bad_for_ever() -> None:
    names = CallNames()
    lasting = []
    for _ in range(100):
        call = asked(names, "c")
        names.failed(call, permanent=True)
        lasting.append(call.lasting)
    assert len(set(lasting)) > 5
    names = CallNames()
    names.answered(asked(names, "c"))
    assert asked(names, "c").lasting != "c"


def test_memory_is_bounded_and_it_says_after_how_long_a_call_had_to_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    names = CallNames()
    for content, at_s in (("a", 1.0), ("b", 2.0), ("c", 9.0), ("d", 9.5)):
        names.failed(names.place(None, content, at_s))
    assert names.forgotten_after_s == 7.5
    assert (len(names._contents), len(names._failed)) == (2, 2)
    assert asked(names, "d").attempt == 2
    assert asked(names, "a").attempt == 1
