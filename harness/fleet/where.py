"""Where the containers of a fleet may run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self

from harness.errors import InputError


class Kind(StrEnum):
    """What the containers of a fleet are."""

    LOCAL = "local"
    """Processes of this machine."""
    DOCKER = "docker"
    """Containers of the engine of this machine, Docker or Podman."""
    KUBERNETES = "kubernetes"
    """Pods of a cluster that runs on this machine."""


FORMS = "local, docker, kubernetes or kubernetes:CONTEXT"


@dataclass(frozen=True, slots=True)
class Where:
    """Where the containers of a fleet run.

    Attributes:
        kind: what they are.
        context: of the kubeconfig, which names the cluster; empty for the current one.
    """

    LOCAL: ClassVar[Where]
    DOCKER: ClassVar[Where]
    KUBERNETES: ClassVar[Where]

    kind: Kind
    context: str = ""

    @classmethod
    def parse(cls, text: str | Self) -> Self:
        """Return what is meant by a word such as `kubernetes:kind`, or by an option's default.

        Raises:
            InputError: nothing is.
        """
        if isinstance(text, cls):
            return text
        name, colon, context = str(text).partition(":")
        kinds = {each.value: each for each in Kind}
        if name not in kinds or (colon and (name != Kind.KUBERNETES or not context)):
            raise InputError(f"--on {text}: give {FORMS}.")
        return cls(kinds[name], context)

    def __str__(self) -> str:
        """Return the word for it."""
        return f"{self.kind}:{self.context}" if self.context else str(self.kind)


Where.LOCAL = Where(Kind.LOCAL)
Where.DOCKER = Where(Kind.DOCKER)
Where.KUBERNETES = Where(Kind.KUBERNETES)
