"""Where containers run, as it is asked for."""

import pytest

from harness.errors import InputError
from harness.fleet.where import Kind, Where


@pytest.mark.parametrize(
    "text", ["local", "docker", "kubernetes", "kubernetes:kind", "kubernetes:arn:aws:eks/x"]
)
def test_what_is_asked_for_is_told_as_it_was_asked(text: str) -> None:
    assert str(Where.parse(text)) == text


def test_the_default_of_an_option_is_read_as_what_was_typed_is() -> None:
    assert Where.parse(Where.LOCAL) is Where.LOCAL


def test_a_context_names_the_cluster() -> None:
    assert Where.parse("kubernetes:a:b") == Where(Kind.KUBERNETES, "a:b")
    assert Where.parse("docker") == Where.DOCKER


@pytest.mark.parametrize("text", ["", "k8s", "docker:x", "local:", "kubernetes:", "Kubernetes"])
def test_anything_else_is_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"give local, docker, kubernetes or kubernetes:CONTEXT"):
        Where.parse(text)
