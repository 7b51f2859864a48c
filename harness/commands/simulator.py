"""`agentrig simulator`: the model API simulator alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.console import out
from harness.contract import SIMULATOR_TOKEN
from harness.errors import InputError
from harness.plan.files import read_workload
from harness.process.guard import scratch_folder
from harness.simulator.server import serve


def simulator(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8081,
    host: Annotated[
        str, typer.Option(help=f"Address to bind; others than loopback need {SIMULATOR_TOKEN}.")
    ] = "127.0.0.1",
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Latency, quota, faults: .toml, else JSON; see /sim/docs."),
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Answer as the model of this workload.toml did, its quota included."
        ),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Gets a line per call received.")
    ] = None,
) -> None:
    """Serve the model API simulator alone: OpenAI, Azure, Anthropic, Bedrock, Gemini; with quotas and faults.

    Example: `agentrig simulator --port 8081`

    Then OPENAI_BASE_URL=http://127.0.0.1:8081/v1, or without the /v1 AZURE_OPENAI_ENDPOINT,
    ANTHROPIC_BASE_URL, AWS_ENDPOINT_URL_BEDROCK_RUNTIME or GOOGLE_GEMINI_BASE_URL.
    AGENTRIG_SIMULATOR_TOKEN, where it is set, is the token of the control API below /sim.
    """

    def tell() -> None:
        out.print(f"http://{host}:{port}  control: http://{host}:{port}/sim/docs", highlight=False)

    if workload is None:
        serve(host, port, config=config, journal=journal, on_listen=tell)
        return
    if config is not None:
        raise InputError("--config and --workload both say how the model answers: give one of them.")
    with scratch_folder("simulator") as folder:
        file = folder / "simulator.json"
        file.write_text(read_workload(workload).simulator().model_dump_json(), "utf-8")
        serve(host, port, config=file, journal=journal, on_listen=tell)
