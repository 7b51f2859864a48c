"""What holds for all tests."""

from collections.abc import Iterator

import pytest

from harness.outside import secrets


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """Forget what a test named as a secret: the list is the process's, and hides it in whatever is read."""
    yield
    secrets.forget()
