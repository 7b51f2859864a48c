"""The `agentrig` command: what it knows, and how it ends."""

from __future__ import annotations

import gc
import importlib
import inspect
import io
import os
import re
import signal
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from harness import __version__
from harness.commands.console import out, print_error
from harness.commands.crash import of_machine, own_fault
from harness.commands.screen import ALL, HELP, OneScreen, Overview, Whole
from harness.commands.streams import hiding
from harness.errors import AgentrigError, ExitCode, NotLoadedError
from harness.machine import raise_open_files, require_memory
from harness.outside.secrets import of_words, remember
from harness.process.guard import nothing_left

NAME: Final = "agentrig"
"""However it was started: `python -m harness` is the same."""
COMPLETE: Final = "_AGENTRIG_COMPLETE"
"""What a shell sets that asks what may come next."""
GREETING: Final = """agentrig: is your AI-agent container stateless, busy-aware and safe to retry?

Three things to do next:

  agentrig demo        a first verdict: three experiments on a fleet of its own,
                       four to five minutes; no Docker, no account, no key
  agentrig init        in the folder of your agent: writes agentrig.toml, which
                       says how it is started; then: agentrig run --quick
  agentrig conform http://127.0.0.1:8080
                       does a container that runs already speak the contract?

agentrig --help has all commands; agentrig doctor says whether this machine
has what a run needs.
"""
"""What is said to who gives no command."""
NOTHING: Final = re.compile(r"--[a-z-]+=")
"""An option with an empty value: as the name of a folder it would be the one where the command was typed."""


def _print_version(asked: bool) -> None:  # noqa: FBT001 - so typer calls it
    if asked:
        out.print(__version__, highlight=False)
        raise typer.Exit


def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take what is given before a command."""


def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


COMMANDS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("demo", "harness.commands.demo", "demo", "See a first verdict, in four to five minutes."),
    ("init", "harness.commands.init", "init", "Look at your project, and write agentrig.toml."),
    ("doctor", "harness.commands.doctor", "doctor", "Is everything there that a run needs? Try your agent."),
    ("run", "harness.commands.run", "run", "Run experiments on a real fleet and judge them."),
    ("gate", "harness.commands.gate", "gate_command", "Is head slower than base? Both run side by side."),
    ("github", "harness.commands.github", "github", "Tell GitHub what a gate said."),
    ("observe", "harness.commands.observe", "observe", "Judge a live system by its traces."),
    (
        "calibrate",
        "harness.commands.calibrate",
        "calibrate",
        "What is a service asked, and what does it take?",
    ),
    ("plan", "harness.commands.plan", "plan", "How many containers hold a p99? Simulated."),
    ("judge", "harness.commands.run", "judge", "Judge a saved run again; nothing is written."),
    ("report", "harness.commands.run", "report", "Write verdict and report of a saved run anew."),
    ("traces", "harness.commands.traces", "traces", "Show the traces of a run in a browser."),
    ("list", "harness.commands.run", "list_experiments", "List the experiments, or the checks."),
    ("conform", "harness.commands.conform", "conform", "Does one running container speak the contract?"),
    ("up", "harness.commands.up", "up", "Hold a fleet up, for load by hand."),
    ("simulator", "harness.commands.simulator", "simulator", "Serve the model API simulator alone."),
    ("schema", "harness.commands.schema", "schema", "Print the JSON Schema of a file, for editors."),
    ("locustfiles", "harness.commands.locustfiles", "locustfiles", "Where are the scenarios for Locust?"),
    ("version", "harness.commands.main", "version", "Print the version."),
    ("baseline", "harness.commands.baseline", "app", "Compare with past sessions. Weaker than `gate`."),
)
"""Name, module, function or app of commands there, and what the list of all says of it: a line."""
UNLISTED: Final = frozenset({"github", "version"})
"""Of an Action and of programs: a person has no need of them, and a screen no room."""
TYPED: Final = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""What was typed so far, by the variables that the scripts of a shell hand on: of bash, and of the others."""
EXAMPLES: Final = "Examples:\n"


def application(wanted: str | None = None, *, whole: bool = False) -> typer.Typer:
    """Make the command of all commands.

    Args:
        wanted: the one that is asked for: it alone is loaded, of the others there is the line in the list.
            To load them all takes a second and more of a slow core. None: all.
        whole: whether help tells of all that there is, also where a screen has no room for it.
    """
    app = typer.Typer(
        name=NAME,
        cls=TyperGroup if whole else Overview,
        help=(
            "Proves that an AI-agent container is stateless, busy-aware and safe to retry.\n\n"
            "Exit codes: 0 all held, 1 a check fell short, 2 unknown, 3 wrong input, "
            "4 something did not start, or died, 5 agentrig itself failed (a bug), 130 interrupted."
        ),
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # frames and columns take half of a screen
        context_settings={"help_option_names": HELP},
    )
    app.callback()(options)
    for name, module, attribute, short in COMMANDS:
        if wanted not in {None, name}:
            app.command(name, short_help=short, hidden=name in UNLISTED)(_not_loaded)
            continue
        made = getattr(_loaded(module), attribute)
        if isinstance(made, typer.Typer):
            app.add_typer(made, name=name, short_help=short)
            continue
        text = inspect.getdoc(made) or ""
        # Lines after \\b stay lines: examples are typed one by one.
        app.command(
            name,
            cls=Whole if whole else OneScreen,
            short_help=short,
            help=text.replace(EXAMPLES, f"\b\n{EXAMPLES}"),
            hidden=name in UNLISTED,
        )(made)
    return app


def _loaded(name: str) -> types.ModuleType:
    """Import a module.

    Raises:
        StartError: there is too little memory to try.
        NotLoadedError: it failed.
    """
    require_memory()
    gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the time
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise NotLoadedError(error) from error
    finally:
        gc.enable()


def _not_loaded() -> None:
    """Stand in the list of all commands for one that was not asked for."""


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
    """Run the command; every failure is a message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what is told of others may be no text
    os.umask(0o077)  # what a run keeps, and what its processes do, is for this user alone
    raise_open_files()
    with nothing_left():
        code = call(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again at its end
        code = code or ExitCode.NOT_STARTED
    sys.exit(code)


def _wanted(args: list[str]) -> str | None:
    """Return the command that `args` ask for, or a shell that completes; "" where they ask for none.

    None, so that all are loaded, for a shell that doesn't say what was typed.
    """
    if COMPLETE in os.environ:
        typed = next((os.environ[name] for name in TYPED if name in os.environ), None)
        names = {name for name, *_ in COMMANDS}
        return None if typed is None else next((word for word in typed.split() if word in names), "")
    return next((arg for arg in args if not arg.startswith("-")), "")


def call(args: list[str]) -> int:
    """Run the command with `args` and return its exit code; secrets are hidden in what it prints."""
    remember(of_words(args))
    with hiding():
        return _call(args)


def _call(args: list[str]) -> int:
    if any(not arg or NOTHING.fullmatch(arg) for arg in args):
        print_error(
            "an argument is empty: is a variable of your shell not set? Leave it out, or give it a value."
        )
        return ExitCode.BAD_INPUT
    if not args and COMPLETE not in os.environ:
        sys.stdout.write(GREETING)
        return ExitCode.HELD
    try:
        with interruptible():
            app = application(_wanted(args), whole=ALL in args)
            code: int | None = app(args, prog_name=NAME, standalone_mode=False)
    except AgentrigError as error:
        print_error(str(error))
        return error.exit_code
    except TyperException as error:
        print_error(f"{error.format_message()} See `agentrig --help`.")
        return ExitCode.BAD_INPUT
    except Exception as error:  # noqa: BLE001 - the one place where a fault of ours ends: it is no verdict
        if (refused := of_machine(error)) is None:
            refused = own_fault(error, args), ExitCode.OWN_FAULT
        print_error(refused[0])
        return refused[1]
    if code == ExitCode.INTERRUPTED:
        print_error("interrupted; every process is stopped, and what was measured until then is kept.")
    return code or ExitCode.HELD
