"""What installed packages add to what is ours: by their entry points, loaded when it is asked for by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from importlib import metadata
from typing import Any, Final, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from harness.errors import InputError
from harness.outside.patience import no_longer_than

T = TypeVar("T")
Installed = Callable[[str], Iterable[metadata.EntryPoint]]
"""Returns the entry points of a group, of all packages that are installed."""
NAMELESS: Final = "a package without a name"


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

        What it prints goes to stderr: stdout is for what was asked for, such as JSON. And it may fail by more
        than an `Exception`: what ends a test, or a task, would end agentrig as a check that fell short.

        Args:
            function: that is called.
            doing: what it then does, for the message.
            through: failures that mean something, and stay what they are.
        """
        passing: tuple[type[BaseException], ...] = (KeyboardInterrupt, PluginError, *through)

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            try:
                with redirect_stdout(sys.stderr):
                    return function(*args, **named)
            except passing:
                raise
            except BaseException as error:
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
            with redirect_stdout(sys.stderr), no_longer_than():
                loaded = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise origin.broken(f"can't be loaded: {told(error)}") from error
        try:
            return self._taken(loaded, origin)
        except (KeyboardInterrupt, PluginError):
            raise
        except (TypeError, ValueError) as error:
            raise origin.broken(str(error)) from error
        except BaseException as error:
            raise origin.broken(f"failed when it was looked at: {told(error)}") from error


def _installed(group: str) -> Iterable[metadata.EntryPoint]:
    """Return the entry points of a group.

    Raises:
        PluginError: a package says in no readable way which it has.
    """
    try:
        return metadata.entry_points(group=group)
    except Exception as error:
        raise PluginError(
            f"{_damaged()}: which entry points it has can't be read: {told(error)}. "
            "Install it anew, or uninstall it."
        ) from error


def _damaged() -> str:
    """Return which package it is whose entry points can't be read."""
    for package in metadata.distributions():
        try:
            tuple(package.entry_points)
        except Exception:  # noqa: BLE001 - this is the one that is looked for, whatever is wrong with it
            return _named(package)
    return "an installed package"


def wrong_in(record: Any) -> str | None:
    """Say which field of a record has another type than it should; None for none: Python looks at none."""
    told = (wrong_type(getattr(record, name), kind, name) for name, kind in _fields(record.__class__))
    return next(filter(None, told), None)


def wrong_type(value: Any, kind: Any, name: str) -> str | None:
    """Say what is wrong with a value that is to be of a type; None for nothing.

    Args:
        value: what is looked at, and changed in nothing.
        kind: its type.
        name: of the value, for the message.
    """
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}"
    return None


@cache
def _fields(record: type) -> tuple[tuple[str, Any], ...]:
    return tuple(get_type_hints(record).items())


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def told(error: BaseException) -> str:
    """Return what an error says, in one line, with its class."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".removesuffix(": ")


def _named(package: metadata.Distribution) -> str:
    """Return the name of a package; of one that says none newer Pythons raise, where older ones say None."""
    try:
        return package.metadata["Name"] or NAMELESS
    except Exception:  # noqa: BLE001 - it is damaged, and named to say so
        return NAMELESS


def _package(point: metadata.EntryPoint) -> str:
    """Return the name and the version of the package that an entry point is of."""
    try:
        said = (point.dist.name, point.dist.version) if point.dist else ()
    except Exception:  # noqa: BLE001 - its metadata are damaged, and it is named to say that something is wrong
        said = ()
    return " ".join(said) if said and all(said) else NAMELESS
