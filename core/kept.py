"""A short memory for results that are dear to make again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The last few results, found again by the very objects they were made from.

    Those objects (tensors, lists, models) are compared by identity, because comparing what is in them costs more than
    the results do; they are held as long as the result, so that no new object takes their identity. Text and numbers
    are compared by value.

    limit: how many results are held; the one that was not used for longest goes first
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[tuple[Hashable, ...], tuple[tuple[Any, ...], Value]] = {}

    def get(self, sources: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        """What was made from these sources before, or else what ``make`` gives now."""
        key = tuple(one if isinstance(one, (str, int, float)) else id(one) for one in sources)
        held = self._kept.pop(key, None) or (sources, make())
        self._kept[key] = held
        while len(self._kept) > self.limit:
            del self._kept[next(iter(self._kept))]
        return held[1]
