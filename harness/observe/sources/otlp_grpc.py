"""OTLP over gRPC, where `grpcio` is installed: what a Collector's exporter `otlp` speaks, and many SDKs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from harness.capture.frames import Encoding
from harness.capture.receiver import MAX_BODY_BYTES, TRACES, Receiver, ReceiverStats, RefusedError, accepted
from harness.clock import Clock
from harness.errors import InputError, StartError
from harness.observe.sources.otlp import Listening, Nowhere, Recent
from harness.process.guard import scratch_folder

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
METHOD: Final = "Export"
STOPPED_S: Final = 5.0
BAD_FROM, SERVER_FROM = 400, 500


def open_grpc_receiver(host: str, port: int, keep_s: float, clock: Clock) -> Listening:
    """Listen until the source is closed.

    Args:
        host: to listen at.
        port: likewise.
        keep_s: so long what came in is kept.
        clock: says when it came.

    Raises:
        InputError: `grpcio` is not installed.
        StartError: it can't be listened at, or there is no room.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is told once, by us
    try:
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415 - grpcio has no types, and need not be there
    except ImportError as error:
        raise InputError(
            f"otlp-grpc://{host}:{port}: grpcio is not installed. pip install 'agentrig[grpc]', or let "
            f"senders speak HTTP: otlp://{host}:{port} (in a Collector the exporter `otlphttp`, in an SDK "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)."
        ) from error
    with ExitStack() as stack:
        recent = Recent(stack.enter_context(scratch_folder("otlp")), keep_s)
        stack.callback(recent.close)
        stats = ReceiverStats()
        receiver = Receiver(recent, Nowhere(), clock=clock, stats=stats)
        one = stack.enter_context(ThreadPoolExecutor(max_workers=1))  # what is kept is written by one alone
        options = [("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)]
        server = grpc.server(one, options=options)
        method = grpc.unary_unary_rpc_method_handler(_exporter(grpc, receiver, stats))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
        _listen(server, host, port)
        stack.callback(lambda: server.stop(STOPPED_S).wait())
        return Listening(recent, stats, clock.now(), stack.pop_all().close)


def _listen(server: Any, host: str, port: int) -> None:
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise StartError(
            f"{host}:{port}: cannot be listened at. Give another one, or stop what has it."
        ) from error
    server.start()


def _exporter(grpc: Any, receiver: Receiver, stats: ReceiverStats) -> Any:
    def export(payload: bytes, context: Any) -> bytes:
        try:
            rejected = receiver.take(TRACES, Encoding.PROTOBUF, payload)
        except RefusedError as refused:
            stats.refused += 1
            stats.refused_traces += 1
            code = grpc.StatusCode
            context.abort(
                code.UNAVAILABLE if refused.status >= SERVER_FROM else code.INVALID_ARGUMENT, str(refused)
            )
        stats.rejected_spans += rejected
        return accepted(Encoding.PROTOBUF, rejected)

    return export
