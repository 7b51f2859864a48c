"""Containers by how many requests each has: the one with the fewest is found at once, among thousands."""

from __future__ import annotations

from collections.abc import Callable


class Levels:
    """Counts by container, kept in one list for each count.

    A heap would be asked for its least after each change of any entry; a move between two lists costs the
    same for ten containers and for a thousand.
    """

    __slots__ = ("_least", "_level", "_lists", "_place")

    def __init__(self) -> None:
        self._level: dict[int, int] = {}
        self._place: dict[int, int] = {}
        self._lists: list[list[int]] = [[]]
        self._least = 0

    def __contains__(self, container: int) -> bool:
        return container in self._level

    def __len__(self) -> int:
        return len(self._level)

    def add(self, container: int) -> None:
        """Take a container in, with a count of 0."""
        self._put(container, 0)
        self._least = 0

    def drop(self, container: int) -> None:
        """Leave a container out; one that is not there changes nothing."""
        if container in self._level:
            self._take(container)
            del self._level[container]

    def change(self, container: int, by: int) -> None:
        """Count one more or less; of a container that was left out nothing is counted."""
        if container in self._level:
            level = self._take(container) + by
            self._put(container, level)
            self._least = min(self._least, level)

    def least(self, uniform: Callable[[], float]) -> int | None:
        """Return one of the containers with the fewest, None when there are none."""
        if not self._level:
            return None
        lists = self._lists
        least = self._least
        while not lists[least]:
            least += 1
        self._least = least
        found = lists[least]
        return found[int(uniform() * len(found))]

    def _take(self, container: int) -> int:
        level = self._level[container]
        found, place = self._lists[level], self._place[container]
        last = found.pop()
        if last != container:
            found[place] = last
            self._place[last] = place
        return level

    def _put(self, container: int, level: int) -> None:
        while len(self._lists) <= level:
            self._lists.append([])
        found = self._lists[level]
        self._place[container] = len(found)
        self._level[container] = level
        found.append(container)
