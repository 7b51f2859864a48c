"""Takes the samples anew: `python -m tests.harness.observe.samples.take FOLDER [NAME...]`.

Each agent of `agents/` is run in an environment of its own, made below `FOLDER` where there is none. It asks
our simulator: one call that is fine, one whose first attempt is turned away, one that is refused for good.
What it sends is kept in `golden/`, with the versions of what sent it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.capture.flatten import resource_spans
from harness.capture.normal import regular
from harness.simulator_config import FaultRule, Match, SimulatorConfig
from tests.e2e.collecting import collecting
from tests.e2e.simulating import running

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
MOST_S = 900
BASE = (
    "fastapi",
    "httpx",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-fastapi",
)
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "bedrock": ("boto3", "opentelemetry-instrumentation-botocore"),
    "openllmetry": ("openai", "opentelemetry-instrumentation-openai"),
    "openinference_openai": ("openai", "openinference-instrumentation-openai"),
    "openai_agents": ("openai-agents", "openinference-instrumentation-openai-agents"),
    "openai_agents_openllmetry": ("openai-agents", "opentelemetry-instrumentation-openai-agents"),
    "pydantic_logfire": ("pydantic-ai-slim[openai]",),
    "strands_agents": ("strands-agents[openai]>=1.62",),
    "strands_before": ("strands-agents[openai]<1",),
    "adk": ("google-adk",),
    "vercel": (
        "ai",
        "@ai-sdk/openai",
        "@opentelemetry/api",
        "@opentelemetry/sdk-trace-node",
        "@opentelemetry/exporter-trace-otlp-http",
        "@opentelemetry/resources",
    ),
}
"""What each agent is written with: Python packages, or for `.mjs` those of npm."""


def config() -> SimulatorConfig:
    """Return what the simulator serves: whole names of models, as some frameworks write them."""
    throttled = [
        FaultRule(kind="rate_limit_requests", match=Match(model=name, attempt=1), retry_after_s=0.2)
        for name in ("throttled", "gemini-throttled")
    ]
    refused = [FaultRule(kind="auth", match=Match(model=name)) for name in ("refused", "gemini-refused")]
    return SimulatorConfig(faults=(*throttled, *refused))


def take(name: str, folder: Path) -> None:
    """Run an agent, and keep what it sends."""
    place = folder / name
    script = HERE / "agents" / f"{name}.py"
    of_node = not script.exists()
    if not place.exists():
        install(place, ENVIRONMENTS[name], of_node=of_node)
    with running(config()) as simulator, collecting() as collector:
        env = environment(name, name, place, simulator.url, collector.endpoint)
        command = (
            ["node", str(place / f"{name}.mjs")] if of_node else [str(place / "bin/python"), str(script)]
        )
        if of_node:
            (place / f"{name}.mjs").write_text((HERE / "agents" / f"{name}.mjs").read_text("utf-8"), "utf-8")
        done = subprocess.run(command, env=env, timeout=MOST_S, capture_output=True, text=True, check=False)
        sys.stdout.write(f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr[-1500:]}\n")
        bodies = list(collector.bodies)
    lines = [json.dumps({"resourceSpans": resources}) for body in bodies if (resources := decoded(body))]
    kept = elsewhere("".join(f"{line}\n" for line in lines), folder)
    (GOLDEN / f"{name}.jsonl").write_text(kept, "utf-8")
    versions = GOLDEN / "versions.json"
    known = json.loads(versions.read_text("utf-8")) if versions.exists() else {}
    known[name] = installed(place, ENVIRONMENTS[name], of_node=of_node)
    versions.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def elsewhere(text: str, folder: Path) -> str:
    """Return what a stack trace says of this machine's folders with those of any other."""
    for here, there in ((folder.resolve(), "/srv"), (HERE.parents[3], "/src"), (sys.base_prefix, "/usr")):
        text = text.replace(str(here), there)
    return text


def environment(name: str, service: str, home: Path, model_url: str, spans_url: str) -> dict[str, str]:
    """Return what an agent is told: whom to ask, where its spans go, and as whose."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans_url,
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.name={service},service.instance.id={name}-1",
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_AGENTS_DISABLE_TRACING": "0",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": model_url,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "GOOGLE_GEMINI_BASE_URL": model_url,
        "GOOGLE_API_KEY": "none",
        "TRACELOOP_TRACE_CONTENT": "false",
    }


def decoded(body: bytes) -> list[dict[str, object]]:
    """Return the spans of a body, without the words of prompts and answers, which are long."""
    if body.startswith(b"{"):
        return regular(json.loads(body))[0]
    return resource_spans(ExportTraceServiceRequest.FromString(body))


def install(place: Path, packages: tuple[str, ...], *, of_node: bool) -> None:
    """Make an environment."""
    if of_node:
        place.mkdir(parents=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=place, check=True)
        return
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    subprocess.run([str(place / "bin/pip"), "install", "--quiet", *BASE, *packages], check=True)


def installed(place: Path, packages: tuple[str, ...], *, of_node: bool) -> dict[str, str]:
    """Return the versions of what an environment has."""
    if of_node:
        files = {name: place / "node_modules" / name / "package.json" for name in packages}
        return {
            name: json.loads(file.read_text("utf-8"))["version"]
            for name, file in files.items()
            if file.exists()
        }
    listed = subprocess.run(
        [str(place / "bin/pip"), "list", "--format", "json"], capture_output=True, text=True, check=True
    )
    versions = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    wanted = [name.partition("[")[0] for name in (*packages, "opentelemetry-sdk")]
    return {name: versions[name] for name in wanted if name in versions}


if __name__ == "__main__":
    for chosen in sys.argv[2:] or ENVIRONMENTS:
        take(chosen, Path(sys.argv[1]))
