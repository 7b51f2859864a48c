"""`python -m tests.import_all`: every module is imported, on whatever versions of others there are."""

import importlib
import pkgutil
import sys

import harness.load.scenario  # Locust patches the process: before others take what it replaces
import reference_agent


def main() -> None:
    names = [
        found.name
        for package in (harness, reference_agent)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith(".__main__")
    ]
    for name in names:
        importlib.import_module(name)
    sys.stdout.write(f"{len(names)} modules\n")


if __name__ == "__main__":
    main()
