"""Makes `docs/commands.md`: every command with its arguments and options, from the program itself."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

import typer.main

from harness.commands.main import application

HEAD = """# Commands

What `--help` says of each command, made from the program. Exit codes are the same for all: 0 all held,
1 a check fell short, 2 unknown, 3 wrong input, 4 something did not start, or died, 5 agentrig itself failed
(a bug), 130 interrupted.

**Help on one screen.** Where the whole has no room there, `--help` has a line for each option, and
`--help-all` the rest.

**Completion.** The option `--install-completion` installs it for bash, zsh, fish or PowerShell; names of
experiments and of run folders are completed, too.

"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(sections("agentrig", typer.main.get_command(application())))


def sections(name: str, command: Any) -> Iterator[str]:
    """Yield the section of a command, or of each below it."""
    below = getattr(command, "commands", None)
    if below is not None:
        for each, inner in below.items():
            yield from sections(f"{name} {each}", inner)
        return
    yield f"## {name}\n\n{said(command.help)}\n"
    rows = [row(each) for each in command.params]
    if rows:
        yield "| | what | when not given |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def said(text: str | None) -> str:
    """Return a docstring as Markdown: what stands in lines of its own stays so."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(
        part.removeprefix("\b\n").replace("\n", "  \n") if part.startswith("\b") else part
        for part in paragraphs
    )


def row(param: Any) -> str:
    """Return the row of an argument or an option."""
    if param.param_type_name == "argument":
        names = f"`{param.metavar or param.name.upper()}`"
    else:
        on, off = (
            ", ".join(f"`{each}`" for each in param.opts),
            ", ".join(f"`{each}`" for each in param.secondary_opts),
        )
        names = f"{on} / {off}" if off else on
        value = "" if param.is_flag else (param.metavar or kind(param))
        names += f" `{value}`" if value else ""
    default = (
        param.default
        if isinstance(param.default, str | int | float) and not isinstance(param.default, bool)
        else ""
    )
    default = getattr(default, "value", default)
    needed = "**needed**" if param.required else f"`{default}`" if default != "" else ""
    return f"| {cell(names)} | {cell(param.help or '')} | {cell(needed)} |"


def kind(param: Any) -> str:
    """Return what an option takes: the words that there are, or a name for any."""
    annotation = param.type_descriptor.annotation
    (taken,) = [each for each in get_args(annotation) if each is not type(None)] or [annotation]
    return "|".join(each.value for each in taken) if issubclass(taken, Enum) else taken.__name__.upper()


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
