"""The server span and `http.server.request.duration` of each request, by OpenTelemetry's own package.

The package says more than is wanted: headers, the address twice, four more metrics. It is handed providers
that take no more than what is wanted, which also makes it a third cheaper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import Histogram, Meter, MeterProvider, NoOpMeter
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.util.types import Attributes, AttributeValue
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from reference_agent.telemetry.redaction import holds_no_words

DURATION: Final = "http.server.request.duration"
PROBES: Final = ("ping", "livez", "readyz", "metrics")
"""They come several times a second, and say nothing of a request."""
FASTAPIS_OWN: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own telemetry would count each request a second time."""


def instrument(app: FastAPI, meter_provider: MeterProvider | None = None) -> None:
    """Trace and time the requests of an application; before it serves, and after `settle_conventions`.

    Probes leave nothing, and neither do the single messages of a request. The span ends with the last
    byte of the answer.

    Args:
        app: the application.
        meter_provider: counts, None for the process's own.
    """
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=_Tracers(),
        meter_provider=_Meters(meter_provider),
        # Of the whole address: a host that is called like a probe hides nothing.
        excluded_urls=f"^[^/]*//[^/]*/({'|'.join(PROBES)})$",
        exclude_spans=["receive", "send"],
    )
    made = app.build_middleware_stack
    app.build_middleware_stack = lambda: _ReadableHeaders(made())  # type: ignore[method-assign]  # starlette - so meant


class _ReadableHeaders:
    """Hands on headers that can be decoded: HTTP allows any byte in one (RFC 9110, 5.5).

    The instrumentation decodes some, and raises where one is no UTF-8 and holds a backslash: the request of
    whoever sent it would be a 500 that no handler of ours ever saw.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", ())
        if not all(value.isascii() for _, value in headers):
            headers = [(name, value.decode("utf-8", "replace").encode()) for name, value in headers]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


class _Tracers(TracerProvider):
    @override
    def get_tracer(self, instrumenting_module_name: str, *args: Any, **options: Any) -> Tracer:
        return _ServerTracer(trace.get_tracer(instrumenting_module_name))


class _ServerTracer(Tracer):
    def __init__(self, inner: Tracer) -> None:
        self._inner = inner

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        *args: Any,
        **options: Any,
    ) -> Span:
        kept = {key: value for key, value in (attributes or {}).items() if holds_no_words(key)}
        address = str(kept.get("server.address", ""))
        if "server.port" in kept:  # the package puts it into the address, too
            kept["server.address"] = address.removesuffix(f":{kept['server.port']}")
        span = self._inner.start_span(name, context, kind, kept, *args, **options)
        return _ServerSpan(span, kind, attributes or {}) if span.is_recording() else span

    @override
    def start_as_current_span(self, name: str, *args: Any, **options: Any) -> Any:
        return self._inner.start_as_current_span(name, *args, **options)


class _ServerSpan(Span):
    """A span that is told nothing twice, and nothing that may hold words."""

    __slots__ = ("_inner", "_known", "kind")

    def __init__(self, inner: Span, kind: SpanKind, known: Mapping[str, AttributeValue]) -> None:
        self._inner, self._known, self.kind = inner, known, kind

    def get_span_context(self) -> SpanContext:
        return self._inner.get_span_context()

    def is_recording(self) -> bool:
        return self._inner.is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if key not in self._known and holds_no_words(key):
            self._inner.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self._inner.add_event(name, attributes, timestamp)

    def update_name(self, name: str) -> None:
        self._inner.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._inner.set_status(status, description)

    def record_exception(self, exception: BaseException, *args: Any, **options: Any) -> None:
        self._inner.record_exception(exception, *args, **options)

    def end(self, end_time: int | None = None) -> None:
        self._inner.end(end_time)


class _Meters(MeterProvider):
    def __init__(self, inner: MeterProvider | None) -> None:
        self._inner = inner

    @override
    def get_meter(self, name: str, *args: Any, **options: Any) -> Meter:
        return _DurationMeter(name, metrics.get_meter(name, meter_provider=self._inner))


class _DurationMeter(NoOpMeter):
    """Counts the duration alone: `agentrig.inflight` says what is active, and sizes nobody asks for."""

    def __init__(self, name: str, inner: Meter) -> None:
        super().__init__(name)
        self._inner = inner

    @override
    def create_histogram(self, name: str, *args: Any, **options: Any) -> Histogram:
        if name == DURATION:
            return self._inner.create_histogram(name, *args, **options)
        return super().create_histogram(name, *args, **options)
