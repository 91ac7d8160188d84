"""Grids: every pair of two settings' values, and the plan of the runs they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

from .text import parse_numbers, parse_seeds, parse_strengths, words

AxisName = Literal["strength", "cfg", "steps", "sampler", "scheduler", "seed", "prompt", "guidance"]
AXES: tuple[AxisName, ...] = get_args(AxisName)
MOST_CELLS = 256
MARKS_SEPARATOR = "|"


@dataclass(frozen=True)
class Cell:
    """The settings of one run; ``prompt`` and ``guidance`` None are what the connected prompt says."""

    strength: float
    cfg: float
    steps: int
    sampler: str
    scheduler: str
    seed: int
    prompt: str | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class Axis:
    """What changes along the rows or the columns, and its values in order."""

    name: str
    values: list[Any]

    @property
    def labels(self) -> list[str]:
        """The values with the setting's name, short enough for headings."""
        texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in self.values]
        return texts if self.name in ("sampler", "scheduler", "prompt") else [f"{self.name} {text}" for text in texts]


def parse_axis(name: str, text: str, where: str, known: Mapping[str, Sequence[str]]) -> Axis:
    """The values of an axis, as people type them.

    name:  one of AXES; strengths, numbers, seeds and names stand between commas, prompts on lines of their own
    where: the name of the input, for errors
    known: the names there are, for the axes ``sampler`` and ``scheduler``

    raises: ValueError naming the input, the word and its position
    """
    if name not in AXES:
        raise ValueError(f"an axis must be one of {', '.join(AXES)}, got {name!r}")
    parsers: dict[str, Callable[[], list[Any]]] = {
        "strength": lambda: parse_strengths(text, where),
        "cfg": lambda: parse_numbers(text, where, 0.0, 100.0),
        "guidance": lambda: parse_numbers(text, where, 0.0, 100.0),
        "steps": lambda: [int(value) for value in parse_numbers(text, where, 1, 10000, whole=True)],
        "seed": lambda: list(parse_seeds(text, where)),
        "prompt": lambda: [line.strip() for line in text.splitlines() if line.strip()],
    }
    values = parsers.get(name, lambda: _names(text, where, known[name]))()
    if not values:
        raise ValueError(f"{where} is empty; write at least one value for {name}")
    return Axis(name, values)


def _names(text: str, where: str, known: Sequence[str]) -> list[str]:
    found = []
    for word, position in words(text):
        if word not in known:
            raise ValueError(f"{where}: {word!r} at character {position} is unknown here; {_instead(word, known)}")
        found.append(word)
    return found


def _instead(word: str, known: Sequence[str]) -> str:
    """What may have been meant, or else all there is: "Euler a" is euler_ancestral."""
    typed = word.lower().replace(" ", "_")
    like = [name for name in known if name.startswith(typed)] or get_close_matches(typed, known, 3)
    return f"did you mean {' or '.join(like[:3])}?" if like else f"choose from {', '.join(known)}"


def plan_cells(rows: Axis, columns: Axis, shared: Cell) -> list[Cell]:
    """The settings of every cell, row by row.

    raises: ValueError where both axes are the same setting, or there are too many cells
    """
    if rows.name == columns.name:
        raise ValueError(f"columns: both axes are {rows.name}; choose another setting for one of them")
    if len(rows.values) * len(columns.values) > MOST_CELLS:
        raise ValueError(
            f"row_values and column_values make {len(rows.values) * len(columns.values)} cells, more than "
            f"{MOST_CELLS}; use fewer values"
        )
    return [
        replace(shared, **{rows.name: row, columns.name: column}) for row in rows.values for column in columns.values
    ]


UNCHANGED = Cell(strength=0.0, cfg=1.0, steps=1, sampler="", scheduler="", seed=0)
"""The run of strength 0: nothing is asked of the model, so the other settings do not matter."""


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """The runs that are needed: equal cells once, in order; at strength 0 nothing but the picture counts."""
    return list(dict.fromkeys(run_of(cell) for cell in cells))


def run_of(cell: Cell) -> Cell:
    """The run a cell shows: at strength 0 all cells show the same one."""
    return UNCHANGED if cell.strength == 0 else cell


def cell_names(rows: Axis, columns: Axis) -> list[str]:
    """What each cell is called, row by row: ``strength 0.6, cfg 7.5``. A mark holds such a name."""
    return [
        f"{row}, {column}".replace(MARKS_SEPARATOR, "/").strip() for row in rows.labels for column in columns.labels
    ]


def count_marks(text: str, rows: Axis, columns: Axis) -> dict[str, dict[str, int]]:
    """How often each value was marked as preferred.

    text: names of marked cells, as the node's body writes them; those of other values are passed over
    """
    counts: dict[str, Counter[str]] = {rows.name: Counter(), columns.name: Counter()}
    marked = {name.strip() for name in text.split(MARKS_SEPARATOR)}
    for number, name in enumerate(cell_names(rows, columns)):
        if name in marked:
            row, column = divmod(number, len(columns.values))
            counts[rows.name][str(rows.values[row])] += 1
            counts[columns.name][str(columns.values[column])] += 1
    return {name: dict(count) for name, count in counts.items()}
