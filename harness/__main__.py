"""The `agentrig` command, as `python -m harness` too: its parts are loaded here, which may fail."""

import gc
import os
import sys

from harness.errors import NotLoadedError


def main() -> None:
    """Load the command and run it."""
    open_streams()
    gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the start
    try:
        from harness.commands.main import main as command  # noqa: PLC0415 - what fails of it is told
    except Exception as error:  # noqa: BLE001 - without memory or a whole installation it may be any
        failed = NotLoadedError(error)
        sys.stderr.write(f"agentrig: {failed}\n")
        sys.exit(failed.exit_code)
    gc.enable()
    command()


def open_streams() -> None:
    """Have the three streams open: the next file that is opened would take the number of one that is not.

    What is printed would then be written into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
            os.set_inheritable(number, True)  # noqa: FBT003 - its one argument
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


if __name__ == "__main__":
    main()
