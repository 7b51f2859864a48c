"""What holds for all tests."""

import os
from collections.abc import Iterator

import pytest

from harness.outside import secrets

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """Forget what a test named as a secret: the list is the process's, and hides it in whatever is read."""
    yield
    secrets.forget()


@pytest.fixture(autouse=True)
def _no_conventions_of_another_test() -> Iterator[None]:
    """Put back what an agent in this process settles in the environment, which other agents inherit."""
    before = os.environ.get(OPT_IN)
    yield
    if before is None:
        os.environ.pop(OPT_IN, None)
    else:
        os.environ[OPT_IN] = before
