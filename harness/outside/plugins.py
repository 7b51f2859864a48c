"""What installed packages add to what is ours: by their entry points, loaded when it is asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from importlib import metadata
from typing import Any, Generic, TypeVar

from harness.errors import AgentrigError, InputError

T = TypeVar("T")
Installed = Callable[[str], Iterable[metadata.EntryPoint]]
"""Returns the entry points of a group, of all packages that are installed."""


class PluginError(InputError):
    """Something is wrong with what another package adds; the message names package and entry point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose something is.

    Attributes:
        group, name, value: of the entry point.
        package: with its version.
    """

    group: str
    name: str
    value: str
    package: str

    def __str__(self) -> str:
        return f"{self.package}: its entry point {self.name} of {self.group} ({self.value})"

    def broken(self, what: str) -> PluginError:
        """Return the error that says what is wrong with it, and what to do."""
        return PluginError(f"{self} {what}. Mend that package, or uninstall it.")

    def failed(self, error: BaseException, doing: str) -> PluginError:
        """Return the error that says how it failed, and at what."""
        return self.broken(f"failed at {doing}: {told(error)}")

    def guarded(
        self, function: Callable[..., Any], doing: str, through: tuple[type[Exception], ...] = ()
    ) -> Callable[..., Any]:
        """Return a function of this package whose failures say whose it is.

        Args:
            function: that is called.
            doing: what it then does, for the message.
            through: failures that mean something, and stay what they are; so do ours.
        """

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            try:
                return function(*args, **named)
            except AgentrigError:
                raise
            except through:
                raise
            except (Exception, SystemExit) as error:
                raise self.failed(error, doing) from error

        return call


class Guarded:
    """An object of another package, each of whose methods says whose it is where it fails.

    Args:
        inner: the object.
        origin: whose it is.
        through: failures of its methods that mean something.
    """

    def __init__(self, inner: Any, origin: Origin, through: tuple[type[Exception], ...] = ()) -> None:
        self._inner = inner
        self._origin = origin
        self._through = through

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._origin.guarded(value, f"{name}()", self._through) if callable(value) else value


class Extended(Mapping[str, T], Generic[T]):
    """What is ours, and beside it what installed packages add, by name.

    That a name is in it means that what is behind it works: it is loaded to be looked at, and nothing else
    is. What is ours is found without a look at other packages.

    Args:
        group: of the entry points, such as `agentrig.checks`.
        ours: by name.
        taken: makes of what an entry point names, and whose it is, what is used; raises ValueError or
            TypeError, with what is wrong as the end of a sentence that begins with the origin.
        installed: tells of the entry points.
    """

    def __init__(
        self,
        group: str,
        ours: Mapping[str, T],
        taken: Callable[[Any, Origin], T],
        installed: Installed | None = None,
    ) -> None:
        self._group = group
        self._ours = ours
        self._taken = taken
        self._installed = installed or _installed
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name in self._ours:
            return self._ours[name]
        if name not in self._loaded:
            point, origin = self._theirs[name]
            self._loaded[name] = self._load(point, origin)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        if name in self._ours:
            return True
        if name not in self._theirs:
            return False
        self[str(name)]
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._ours, *self._theirs}))

    def __len__(self) -> int:
        return len(self._ours) + len(self._theirs)

    @property
    def theirs(self) -> tuple[str, ...]:
        """The names of what other packages add.

        Raises:
            PluginError: two have the same name.
        """
        return tuple(sorted(self._theirs))

    def origin(self, name: str) -> Origin:
        """Return whose a name is that is not ours."""
        return self._theirs[name][1]

    @cached_property
    def _theirs(self) -> dict[str, tuple[metadata.EntryPoint, Origin]]:
        found: dict[str, tuple[metadata.EntryPoint, Origin]] = {}
        for point in self._installed(self._group):
            origin = Origin(group=self._group, name=point.name, value=point.value, package=_package(point))
            if point.name in self._ours:
                raise origin.broken("has a name that one of agentrig's own has")
            if point.name in found:
                raise origin.broken(f"has a name that is taken by {found[point.name][1].package}")
            found[point.name] = point, origin
        return found

    def _load(self, point: metadata.EntryPoint, origin: Origin) -> T:
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            raise origin.broken(f"can't be loaded: {told(error)}") from error
        try:
            return self._taken(loaded, origin)
        except (TypeError, ValueError) as error:
            raise origin.broken(str(error)) from error


def _installed(group: str) -> Iterable[metadata.EntryPoint]:
    return metadata.entry_points(group=group)


def told(error: BaseException) -> str:
    """Return what an error says, in one line, with its class."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".removesuffix(": ")


def _package(point: metadata.EntryPoint) -> str:
    """Return the name and the version of the package that an entry point is of."""
    try:
        said = (point.dist.name, point.dist.version) if point.dist else ()
    except Exception:  # noqa: BLE001 - its metadata are damaged, and it is named to say that something is wrong
        said = ()
    return " ".join(said) if said and all(said) else "a package without a name"
