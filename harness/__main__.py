"""`python -m harness` is `agentrig`."""

from harness.commands.main import main

main()
