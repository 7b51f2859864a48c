import threading

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from reference_agent.telemetry.providers import Telemetry


def test_without_a_caller_it_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert not tracer.start_span("x").is_recording()
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert tracer.start_span("x").is_recording()


@pytest.mark.parametrize(("usual_s", "told_ms"), [(0.0, ""), (3600.0, "0")])
def test_a_receiver_that_is_gone_does_not_keep_the_container(
    monkeypatch: pytest.MonkeyPatch, usual_s: float, told_ms: str
) -> None:
    monkeypatch.setattr("reference_agent.telemetry.providers.FLUSH_S", usual_s)
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", told_ms)
    back = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            back.wait()

    Telemetry([Stuck()], []).shutdown()
    assert not back.is_set()
    back.set()


def test_what_is_left_is_handed_in_at_the_end() -> None:
    told: list[str] = []

    class Listening(SpanProcessor):
        def shutdown(self) -> None:
            told.append("spans")

    Telemetry([Listening()], []).shutdown()
    assert told == ["spans"]
