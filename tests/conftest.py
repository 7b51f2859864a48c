"""What holds for all tests."""

import gc
from collections.abc import Iterator

import pytest

from harness.outside import secrets

gc.disable()  # what is imported and collected stays: to look through it meanwhile takes a tenth of each start


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Have no collection of garbage until the tests are known, nor one that looks through them later."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """Forget what a test named as a secret: the list is the process's, and hides it in whatever is read."""
    yield
    secrets.forget()
