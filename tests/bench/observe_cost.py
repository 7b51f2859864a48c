"""What it costs to observe: seconds and memory for a history of so many spans, and how that grows.

`python -m tests.bench.observe_cost [SPANS ...]`: 1 million and 10 by default, each in a process of its own.
Of ten million the file takes 5 GB below TMPDIR, and what is put aside while it is read as much again.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SPANS_OF_A_REQUEST = 10
DEFAULT = (1_000_000, 10_000_000)
CONTAINERS = 40
PER_S = 200.0
BATCH = 64
BEGIN_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def main(words: list[str]) -> None:
    """Write a file of each size, and observe it."""
    sizes = [int(word) for word in words] or list(DEFAULT)
    print(f"{'spans':>12} {'MB':>7} {'CPU s':>8} {'wall s':>8} {'us a span':>10} {'peak MiB':>9}  exit")
    seen = list[tuple[int, float, float]]()
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "spans.jsonl")
            with file.open("w", encoding="utf-8") as opened:
                opened.writelines(lines(size // SPANS_OF_A_REQUEST))
            argv = [sys.executable, "-m", "tests.bench.observe_cost", "--one", str(file)]
            ran = subprocess.run(argv, capture_output=True, text=True, check=False)
            told = json.loads(ran.stdout.splitlines()[-1]) if ran.stdout else {"error": ran.stderr}
            if "error" in told:
                print(told["error"])
                return
            megabytes = file.stat().st_size / 1e6
            print(
                f"{size:>12,} {megabytes:>7,.0f} {told['cpu_s']:>8,.1f} {told['wall_s']:>8,.1f} "
                f"{told['cpu_s'] / size * 1e6:>10,.1f} {told['peak_mib']:>9,.0f}  {told['exit']} "
                f"{told['short']}",
                flush=True,
            )
            seen.append((size, told["cpu_s"], told["peak_mib"]))
    first, last = seen[0], seen[-1]
    print(
        f"{last[0] / first[0]:.3g} times the spans: {last[1] / first[1]:.3g} times the CPU, "
        f"{last[2] / first[2]:.3g} times the memory"
    )


def one(file: str) -> None:
    """Observe a file, and print what that took of this process and its children."""
    from harness.commands.main import call  # noqa: PLC0415 - the parent of the measured one needs none of it

    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        code = call(["observe", file, "--out", out, "--limits", "concurrency-limit=64,clocks=synchronised"])
        verdict = json.loads(Path(out, "verdict.json").read_text("utf-8"))
    checks = [check for each in verdict["experiments"] for check in each["checks"]]
    short = [check["id"] for check in checks if check["verdict"] == "fail"]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(each.ru_utime + each.ru_stime for each in used)
    wall_s = time.monotonic() - begun_s
    print(
        json.dumps(
            {
                "cpu_s": cpu_s,
                "wall_s": wall_s,
                "peak_mib": sum(each.ru_maxrss for each in used) / 1024,
                "short": " ".join(short),
                "exit": code,
            }
        )
    )


def lines(requests: int) -> Iterator[str]:
    """Yield the lines of a Collector's file: a sound fleet whose model API throttles now and then."""
    draw = random.Random(1)
    held: dict[str, list[dict[str, Any]]] = {}
    sessions = max(1, requests // 3)  # their turns lie far apart
    for index in range(requests):
        begin_ns = BEGIN_NS + int(index / PER_S * 1e9) + draw.randrange(5 * MS)
        for service, instance, span in _request(draw, index % sessions, begin_ns):
            key = f"{service} {instance}"
            held.setdefault(key, []).append(span)
            if len(held[key]) == BATCH:
                yield _line(service, instance, held.pop(key))
    for key, spans in held.items():
        service, _, instance = key.partition(" ")
        yield _line(service, instance, spans)


def _line(service: str, instance: str, spans: list[dict[str, Any]]) -> str:
    told = {"service.name": service, "service.instance.id": instance, "host.name": f"host-{instance}"}
    resource_of = {"attributes": _attributes(told | {"telemetry.sdk.language": "python"})}
    scopes = [{"scope": {"name": "bench", "version": "1"}, "spans": spans}]
    return json.dumps({"resourceSpans": [{"resource": resource_of, "scopeSpans": scopes}]}) + "\n"


def _attributes(told: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {int: "intValue", str: "stringValue", float: "doubleValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value}}
        for key, value in told.items()
    ]


def _request(draw: random.Random, session: int, begin_ns: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    trace, ids = f"{draw.getrandbits(128) | 1:032x}", [f"{draw.getrandbits(64) | 1:016x}" for _ in range(10)]
    container = f"agent-{draw.randrange(CONTAINERS)}"
    backoff_ns = int(draw.random() * 1_000) * MS if draw.random() < 0.1 else 0  # else it is not throttled
    took_ns = int(400 + draw.lognormvariate(0, 0.4) * 400) * MS + 2 * backoff_ns

    def span(
        number: int, parent: int | None, name: str, kind: int, at_ns: tuple[int, int], **told: Any
    ) -> dict[str, Any]:
        return {
            "traceId": trace,
            "spanId": ids[number],
            **({} if parent is None else {"parentSpanId": ids[parent]}),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(begin_ns + at_ns[0]),
            "endTimeUnixNano": str(begin_ns + at_ns[1]),
            "attributes": _attributes({key.replace("__", "."): value for key, value in told.items()}),
            "status": {},
        }

    http = {"http__request__method": "POST", "server__address": "model", "url__path": "/v1/chat/completions"}
    ok = {"http__request__method": "POST", "http__response__status_code": 200}
    yield "ingress", "ingress-1", span(0, None, "POST", 3, (0, took_ns + 4 * MS), **ok)
    mine = [
        span(
            1,
            0,
            "POST /ask",
            2,
            (2 * MS, took_ns + 2 * MS),
            url__path="/ask",
            session__id=f"session-{session}",
            **ok,
        ),
        span(2, 1, "session.load", 1, (2 * MS, 3 * MS)),
        span(
            3,
            1,
            "invoke_agent",
            1,
            (3 * MS, took_ns),
            gen_ai__operation__name="invoke_agent",
            agentrig__agent__id=ids[3],
            gen_ai__agent__name="shop",
            agentrig__client__state="warm",
        ),
        span(
            4,
            3,
            "chat m",
            3,
            (4 * MS, took_ns // 2),
            gen_ai__operation__name="chat",
            gen_ai__request__model="m",
            gen_ai__provider__name="openai",
            gen_ai__usage__input_tokens=draw.randrange(2_000),
            gen_ai__usage__output_tokens=99,
        ),
        span(
            6,
            3,
            "execute_tool find",
            1,
            (took_ns // 2, took_ns // 2 + 5 * MS),
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="find",
        ),
        span(
            7,
            3,
            "chat m",
            3,
            (took_ns // 2 + 6 * MS, took_ns - MS),
            gen_ai__operation__name="chat",
            gen_ai__request__model="m",
            gen_ai__provider__name="openai",
        ),
        span(
            8,
            7,
            "POST",
            3,
            (took_ns // 2 + 7 * MS, took_ns - 2 * MS),
            http__response__status_code=200,
            **http,
        ),
        span(9, 1, "session.save", 1, (took_ns, took_ns + MS)),
    ]
    half_ns = took_ns // 2 - MS
    if backoff_ns:
        wait_ns = 5 * MS + int(draw.random() * 80 * MS)
        mine.append(span(5, 4, "POST", 3, (5 * MS, wait_ns), http__response__status_code=429, **http))
        from_ns = wait_ns + backoff_ns
        again = span(0, 4, "POST", 3, (from_ns, half_ns), http__response__status_code=200, **http)
        mine.append({**again, "spanId": f"{draw.getrandbits(64) | 1:016x}"})
    else:
        mine.append(span(5, 4, "POST", 3, (5 * MS, half_ns), http__response__status_code=200, **http))
    for each in mine:
        yield "shop", container, each


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        main(sys.argv[1:])
