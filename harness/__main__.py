"""The `agentrig` command, as `python -m harness` too: its parts are loaded here, which may fail."""

import gc
import sys

NOT_STARTED = 4
"""Exit code of what could not be started: without its parts nothing is a verdict."""


def main() -> None:
    """Load the command and run it."""
    gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the start
    try:
        from harness.commands.main import main as command  # noqa: PLC0415 - what fails of it is told
    except Exception as error:  # noqa: BLE001 - without memory or a whole installation it may be any
        sys.stderr.write(
            f"agentrig: its parts can't be loaded: {type(error).__name__}: {error}. "
            "There is too little memory for them, or they are not all installed.\n"
        )
        sys.exit(NOT_STARTED)
    gc.enable()
    command()


if __name__ == "__main__":
    main()
