"""The `agentrig` command."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.exceptions import TyperException

from harness import __version__, up_state
from harness.clock import Clock, SystemClock
from harness.commands import baseline as baseline_commands
from harness.commands import gate as gate_commands
from harness.commands.console import EXIT, JaegerUrl, complain, finish, jaeger_addresses, out
from harness.commands.doctor import examine_machine
from harness.commands.progress import TerminalProgress
from harness.commands.up import UpPlan, hold_up
from harness.conform.run import conform as run_conformance
from harness.conform.target import Finding, Target
from harness.errors import AgentrigError, ExitCode, InputError
from harness.experiment.load import OWN, WHEN_NAMED, catalogue, load, standing
from harness.judge.verdict import worst_of
from harness.own.config import find, read
from harness.own.examine import examine, fetch_status
from harness.own.fit_to_agent import fit
from harness.own.look import look
from harness.own.write import text_of, write
from harness.records.outcome import Outcome
from harness.records.spec import ExperimentSpec, Policy
from harness.report.terminal import summary
from harness.run import pipeline
from harness.run.matrix import folder_of, overview, run_matrix
from harness.simulator.server import serve

CONFORM_MARKS = {
    Outcome.PASS: "[green]holds      [/]",
    Outcome.FAIL: "[red]falls short[/]",
    Outcome.UNKNOWN: "[yellow]unknown    [/]",
    Outcome.NOT_MADE: "[dim]not made   [/]",
}

SCALE_FROM, SCALE_TO = 0.02, 10.0

app = typer.Typer(
    name="agentrig",
    help=(
        "Proves that an AI-agent container is stateless, busy-aware and safe to retry: a real fleet, "
        "real traffic, every span, and a verdict with its evidence.\n\n"
        "Exit codes: 0 all held, 1 a check fell short, 2 unknown, 3 wrong input, "
        "4 something did not start, 130 interrupted."
    ),
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("gate")(gate_commands.gate_command)
app.add_typer(baseline_commands.app, name="baseline")

Experiments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EXPERIMENT|FILE.toml]...",
        help="Names from `agentrig list`, or TOML files; "
        f"all but {', '.join(WHEN_NAMED)} when none is given.",
        autocompletion=lambda incomplete: [
            name for name in (*catalogue(), *OWN) if name.startswith(incomplete)
        ],
    ),
]
OwnAgentFile = Annotated[
    Path | None,
    typer.Option(
        "--agent", metavar="FILE", help="Your own agent's agentrig.toml; the one in this folder by default."
    ),
]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A folder that `agentrig run` wrote.",
        autocompletion=lambda incomplete: [
            str(plan.parent)
            for plan in Path().glob("runs/*/plan.json")
            if str(plan.parent).startswith(incomplete)
        ],
    ),
]


@app.command()
def run(
    experiments: Experiments = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="The short form of each experiment.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Every cell of the matrix of one experiment; goes on in the same --out."),
    ] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="The run folder; a new one under runs/ by default.")
    ] = None,
    agent: OwnAgentFile = None,
    jaeger: JaegerUrl = None,
    seed: Annotated[int | None, typer.Option(help="Another seed for arrivals, latencies and faults.")] = None,
    rate_scale: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Multiply all rates by X, 0.02 to 10; what fits this machine is found out by default.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict.json to stdout, nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")] = False,
) -> None:
    """Run experiments on a real fleet and judge them.

    In a folder with an agentrig.toml (`agentrig init` writes one) your own agent is asked.

    Examples:
    `agentrig run --quick`
    `agentrig run cold-start throttling --out proof`
    `agentrig run my-experiment.toml --jaeger http://localhost:16686`
    """
    page, otlp = jaeger_addresses(jaeger)
    known = pipeline.known()
    file = agent or find(Path())
    specs = [load(word, known) for word in dict.fromkeys(experiments or (OWN if file else standing()))]
    under_test = None
    if file:
        described = read(file)
        under_test = described.under_test(file.parent)
        specs, left_out = fit(specs, under_test, described.limits)
        for sentence in left_out:
            complain(sentence)
    if seed is not None:
        specs = [spec.seeded(seed) for spec in specs]
    if rate_scale is not None and not SCALE_FROM <= rate_scale <= SCALE_TO:
        raise InputError(f"--rate-scale {rate_scale:g}: give a number from {SCALE_FROM:g} to {SCALE_TO:g}.")
    settings = pipeline.Settings(
        out=out_dir,
        quick=quick,
        jaeger_url=page,
        forward_url=otlp,
        own=under_test,
        rate_scale=rate_scale,
    )
    clock = SystemClock()
    console = Console(stderr=as_json, quiet=quiet)
    progress = TerminalProgress(console, clock.monotonic)
    if full:
        if as_json:
            raise InputError("--full has no --json: each cell has a verdict.json of its own, under --out.")
        run_full(specs, settings, progress, clock)
    with progress:
        result, folder = pipeline.run(specs, settings, progress, clock)
    finish(result, folder, as_json=as_json)


def run_full(
    specs: Sequence[ExperimentSpec], settings: pipeline.Settings, progress: TerminalProgress, clock: Clock
) -> NoReturn:
    """Run the matrix of one experiment, tell how its cells came out, and exit with the worst's code."""
    with_matrix = [spec.name for spec in specs if spec.matrix]
    if len(specs) != 1 or not with_matrix:
        raise InputError(
            "--full takes one experiment that has a matrix; these have one: "
            f"{', '.join(with_matrix) or 'none of those named'}."
        )
    if settings.quick:
        raise InputError("--full and --quick contradict each other: give one of them.")
    spec = specs[0]
    try:
        with progress:
            cells = run_matrix(spec, settings, progress, clock)
    except ValueError as error:
        raise InputError(f"{spec.name}: {error}") from error
    out.print(overview(cells, folder_of(spec, settings)), crop=False)
    raise typer.Exit(EXIT[worst_of(result.verdict for _, result in cells)])


@app.command()
def judge(
    run_path: RunPath,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict.json to stdout, nothing else.")
    ] = False,
) -> None:
    """Judge a saved run again, from its files alone, and write its verdict and report anew.

    Example: `agentrig judge runs/20260101-120000-ab12`.
    """
    result, folder = pipeline.judge_saved(run_path)
    finish(result, folder, as_json=as_json)


@app.command()
def report(run_path: RunPath) -> None:
    """Write the report of a saved run anew, and say where it is. Exits 0 whatever the verdict.

    Example: `agentrig report runs/20260101-120000-ab12`.
    """
    result, folder = pipeline.judge_saved(run_path)
    out.print(summary(result, folder.path / "report.html"), crop=False)


@app.command("list")
def list_experiments(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the experiments of the catalogue."""
    known = pipeline.known()
    specs = [load(name, known) for name in catalogue()]
    if as_json:
        out.print_json(json.dumps([spec.model_dump(mode="json") for spec in specs]))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("experiment", "claim", "arms (control in brackets)"):
        table.add_column(heading, overflow="fold")
    for spec in specs:
        arms = ", ".join(f"({name})" if arm.control else name for name, arm in spec.arms.items())
        table.add_row(spec.name, spec.claim, arms)
    out.print(table)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The agent's project.")] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over the file that is there.")] = False,
) -> None:
    """Look at a project, and write a commented agentrig.toml that says how its agent is started and asked.

    Example: `agentrig init`, then `agentrig doctor`, then `agentrig run --quick`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder. Give the one that your agent is in.")
    found = look(folder)
    file = write(folder, text_of(found, folder.resolve().name), force=force)
    out.print(f"{file}: {found.kind}", highlight=False, markup=False, soft_wrap=True)
    for note in found.notes:
        out.print(f"look at this: {note}", highlight=False, markup=False, soft_wrap=True)
    out.print("Next: agentrig doctor, then agentrig run --quick", highlight=False)


@app.command()
def doctor(
    agent: OwnAgentFile = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    speed: Annotated[
        bool, typer.Option("--speed", help="Also measure what a request costs on this machine; some 10 s.")
    ] = False,
) -> None:
    """Check that this machine has what a run needs, and your agentrig.toml, and say what to mend."""
    findings = examine_machine()
    if speed and all(finding.ok for finding in findings):
        findings += (pipeline.speed(SystemClock()),)
    if file := agent or find(Path()):
        described = read(file)
        findings += examine(described, described.under_test(file.parent), fetch_status)
    for finding in findings:
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        mark = "[green]ok[/]     " if finding.ok else "[red]missing[/]"
        out.print(f"{mark} {escape(finding.what)}: {escape(finding.detail)}", highlight=False, soft_wrap=True)
    raise typer.Exit(ExitCode.HELD if all(finding.ok for finding in findings) else ExitCode.NOT_STARTED)


@app.command()
def conform(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the container, http://host:port.")],
    *,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="The most requests to send at once to find its limit.")
    ] = 32,
    prompt_field: Annotated[
        str, typer.Option(help="The key of the request's JSON that holds the prompt.")
    ] = "prompt",
    timeout_s: Annotated[
        float, typer.Option(min=1, max=600, help="Give up on an answer after so many s.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check a running container against the AgentCore Runtime contract, as a black box.

    Its model is really called, about 100 times at the most.

    Example: `agentrig conform http://127.0.0.1:8080`
    """

    def tell(finding: Finding) -> None:
        if as_json:
            out.print_json(json.dumps(dataclasses.asdict(finding)), indent=None)
            return
        mark = CONFORM_MARKS[finding.verdict]
        out.print(f"{mark} {finding.id:18} {escape(finding.message)}", highlight=False, soft_wrap=True)

    async def examine() -> Outcome:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=timeout_s, limits=limits) as http:
            return await run_conformance(Target(http=http, prompt_field=prompt_field), concurrency, tell)

    try:
        verdict = asyncio.run(examine())
    except httpx.InvalidURL as error:
        raise InputError(f"{url}: {error}. Give an address such as http://127.0.0.1:8080.") from error
    raise typer.Exit(EXIT[verdict])


@app.command()
def up(
    *,
    agents: Annotated[int, typer.Option(min=1, max=32, help="How many containers.")] = 4,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Requests that each works on at once.")] = 16,
    policy: Annotated[Policy, typer.Option(help="How the balancer picks a container.")] = Policy.BUSY_AWARE,
    jaeger: JaegerUrl = None,
    logs: Annotated[Path, typer.Option(help="Folder for the logs.")] = Path("runs/up/logs"),
) -> None:
    """Hold a fleet up for hand-driven load, with a live table of its containers, until Ctrl-C.

    Then, in a second terminal: `locust -f locustfiles`

    Example: `agentrig up --agents 8 --limit 1`
    """
    page, otlp = jaeger_addresses(jaeger)
    plan = UpPlan(
        agents=agents,
        concurrency_limit=limit,
        policy=policy,
        log_dir=logs,
        jaeger_url=page,
        forward_url=otlp,
        state_file=up_state.default_file(),
    )
    hold_up(plan, out, SystemClock())


@app.command()
def simulator(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8081,
    host: Annotated[
        str, typer.Option(help="Address to bind; others than loopback need --token.")
    ] = "127.0.0.1",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Latency, quota and faults; see /sim/docs.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Gets a line per call received.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="For the control API below /sim.")] = None,
) -> None:
    """Serve the model API simulator alone: OpenAI, Anthropic and Bedrock wire, with quotas and faults.

    Example: `agentrig simulator --port 8081`

    Then OPENAI_BASE_URL=http://127.0.0.1:8081/v1, or without the /v1
    ANTHROPIC_BASE_URL or AWS_ENDPOINT_URL_BEDROCK_RUNTIME.
    """
    out.print(f"http://{host}:{port}  control: http://{host}:{port}/sim/docs", highlight=False)
    serve(host, port, config=config, journal=journal, token=token)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


class Interrupted(KeyboardInterrupt):
    """A SIGINT or SIGTERM, as a class of its own.

    CPython notes a plain KeyboardInterrupt that leaves `exec` of a text, as every dataclass is made with:
    caught or not, the process then ends by signal 2 whatever its exit code (`run_eval_code_obj` in
    Python/pythonrun.c, which asks for that very class and none derived from it).
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `Interrupted`, and ignore the ones after it.

    A second Ctrl-C must not break the clean-up that the first one began, nor change the exit code while
    the process ends: once interrupted, it stays deaf.
    """
    interrupted = False

    def stop(_signal: int, _frame: types.FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    before: dict[int, Callable[..., object] | int | None] = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            if not interrupted:
                signal.signal(number, handler)


def main() -> None:
    """Run the command; every foreseeable failure is a message and an exit code."""
    sys.exit(call(sys.argv[1:]))


def call(args: list[str]) -> int:
    """Run the command with `args` and return its exit code."""
    try:
        with interruptible():
            code: int | None = app(args or ["--help"], standalone_mode=False)
    except AgentrigError as error:
        complain(str(error))
        return error.exit_code
    except TyperException as error:
        complain(f"{error.format_message()} See `agentrig --help`.")
        return ExitCode.BAD_INPUT
    if code == ExitCode.INTERRUPTED:
        complain("interrupted; every process is stopped, and what was measured until then is kept.")
    return code or ExitCode.HELD
