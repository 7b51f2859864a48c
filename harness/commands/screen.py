"""`--help` fits a screen: what of a command does not is named there, and told by `--help-all`."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

ALL: Final = "--help-all"
HELP: Final = ["-h", "--help", ALL]
LINES: Final = 24
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
    """A command whose help tells of as many options as a screen has room for, those that come first."""

    def get_help(self, ctx: Any) -> str:
        """Return the whole where it fits, and else what fits."""
        told = super().get_help(ctx)
        options = [each for each in self.params if each.param_type_name == "option"]
        for shown in reversed(range(len(options))):
            if fits(told):
                break
            told = self._first(ctx, options, shown)
        return told

    def _first(self, ctx: Any, options: list[Any], shown: int) -> str:
        """Return the help with the first options, and the names of the others."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([each.get_help_record(ctx) for each in arguments])
        names = ", ".join(max(each.opts, key=len) for each in options[shown:])
        with formatter.section("Options"):
            formatter.write_dl(
                [
                    *(each.get_help_record(ctx) for each in options[:shown]),
                    (ALL, f"Tell of all that there are, also of {names}."),
                ]
            )
        told: str = formatter.getvalue().rstrip("\n")
        return told


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
