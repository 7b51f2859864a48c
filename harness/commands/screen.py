"""`--help` fits a screen: what of a command does not is named there, and told by `--help-all`."""

from __future__ import annotations

from textwrap import shorten
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

ALL: Final = "--help-all"
HELP: Final = ["-h", "--help", ALL]
LINES: Final = 24
NAME: Final = 28
"""Letters of an option and what it takes, where that is told in a line."""
EXIT_CODES: Final = (
    "Exit codes: 0 all held, 1 a check fell short, 2 unknown, 3 wrong input, "
    "4 something did not start, or died, 5 agentrig itself failed, 130 interrupted."
)


def fits(text: str) -> bool:
    """Return whether a screen has as many lines."""
    return text.count("\n") < LINES


class Whole(TyperCommand):
    """A command whose help tells of all that it takes."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """Return them in an order: Typer has them from a set."""
        return sorted(super().get_help_option_names(ctx), key=len)


class OneScreen(Whole):
    """A command whose help has a line for each option where the whole of it is longer than a screen."""

    def get_help(self, ctx: Any) -> str:
        """Return the whole where it fits, and else what fits, what comes first before what comes last."""
        told = super().get_help(ctx)
        params = [each for each in self.params if not getattr(each, "hidden", False)]
        for shown in range(len(params), -1, -1):
            if fits(told):
                break
            told = self._first(ctx, params, shown)
        return told

    def _first(self, ctx: Any, params: list[Any], shown: int) -> str:
        """Return the help with a line for each of the first parameters, and the names of the others."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text((self.help or "").partition("\n\n")[0])
        formatter.write_paragraph()
        rows = [_row(each, ctx) for each in params[:shown]]
        left = ", ".join(max(each.opts, key=len) for each in params[shown:])
        first = max(map(len, [ALL, *(name for name, _ in rows)]))
        for name, said in rows:
            formatter.write(
                f"  {name:<{first}}  {shorten(said, formatter.width - first - 4, placeholder='...')}\n"
            )
        with formatter.indentation():
            formatter.write_dl(
                [(f"{ALL:<{first}}", f"All of this in full, and examples{f', and {left}' if left else ''}.")]
            )
        told: str = formatter.getvalue().rstrip("\n")
        return told


def _row(param: Any, ctx: Any) -> tuple[str, str]:
    """Return what a parameter is called, in a few letters, and what it is for."""
    name, said = param.get_help_record(ctx)
    if param.param_type_name == "argument":
        name = param.metavar or param.name.upper()
    return name if len(name) <= NAME else name.partition(" <")[0], said


class Overview(TyperGroup):
    """All commands, a line each."""

    def get_help(self, ctx: Any) -> str:
        """Return what there is, in as many lines as a screen has."""
        formatter = ctx.make_formatter()
        names = [each for each in self.list_commands(ctx) if not self.commands[each].hidden]
        formatter.write_usage(ctx.command_path, "COMMAND ..., and COMMAND --help for each of them")
        formatter.write("Commands:\n")
        with formatter.indentation():
            formatter.write_dl([(each, self.commands[each].get_short_help_str(80)) for each in names])
        formatter.write("\n")
        formatter.write_text(f"Options: --version, --install-completion, --show-completion, {ALL}")
        formatter.write_text(EXIT_CODES)
        told: str = formatter.getvalue().rstrip("\n")
        return told
