"""The noise levels of a model in a few hundred numbers: small enough for a workflow file, exact enough to plan with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LOG_RATIO_ERROR = 1e-4
ROW_ERROR = 0.01
SAMPLES = 128
MOST_ROWS = 100_000

Knots = tuple[list[float], list[float]]
"""Places and values."""


@dataclass(frozen=True, eq=False, repr=False)
class SavedLevels:
    """What schedulers ask a model's noise levels for, as straight lines between a few points.

    flow:       True for flow models
    log_sigmas: [rows] float64, rising: log sigma of each row of the model's table
    percent:    places and values of the row that the model takes for a share of the way down (0 = all noise, 1 = clean)
    timestep:   places and values of the row that the model takes for a timestep between the two of ``ends``
    ends:       the timesteps that the model gives its smallest and its largest sigma
    """

    flow: bool
    log_sigmas: np.ndarray
    percent: Knots
    timestep: Knots
    ends: tuple[float, float]

    def sigma_of_percent(self, percent: float) -> float:
        """The model's own map from the share of the way down to sigma."""
        return self._sigma_of_row(np.interp(percent * SAMPLES, *self.percent))

    def sigma_of_timestep(self, timestep: float) -> float:
        """The model's own map from a timestep, in its own units, to sigma."""
        first, last = self.ends
        return self._sigma_of_row(np.interp(SAMPLES * (timestep - first) / (last - first), *self.timestep))

    def _sigma_of_row(self, row: float) -> float:
        return math.exp(np.interp(row, np.arange(len(self.log_sigmas)), self.log_sigmas))

    def to_json(self) -> dict[str, Any]:
        """The same in JSON, each list as one text: frontends write a line for each number of a list."""
        # On flow models the ratio of signal to noise, (1 - sigma) / sigma, moves fastest where little signal is left.
        weights = 1 / np.maximum(1 - np.exp(self.log_sigmas), 1e-3) if self.flow else np.ones(len(self.log_sigmas))
        return {
            "flow": self.flow,
            "log_sigmas": pairs(*knots(self.log_sigmas, LOG_RATIO_ERROR / weights), digits=7),
            "percent": pairs(*self.percent),
            "timestep": pairs(*self.timestep),
            "ends": list(self.ends),
        }


def save_levels(
    sigmas: np.ndarray,
    flow: bool,
    sigma_of_percent: Callable[[float], float],
    timestep: Callable[[float], float],
    sigma_of_timestep: Callable[[float], float],
) -> SavedLevels:
    """The noise levels of a model, asked for at so many points that straight lines between them will do.

    sigmas: [rows] float64, rising, above 0
    the functions: the model's own maps; sigmas outside the table count as its ends
    """
    log_sigmas = np.log(sigmas)
    ends = timestep(float(sigmas[0])), timestep(float(sigmas[-1]))

    def rows(found: Sequence[float]) -> Knots:
        logs = np.log(np.maximum(found, 1e-30))
        return knots(np.interp(logs, log_sigmas, np.arange(len(log_sigmas))), np.full(len(found), ROW_ERROR))

    shares = [place / SAMPLES for place in range(SAMPLES + 1)]
    percent = rows([sigma_of_percent(share) for share in shares])
    return SavedLevels(
        flow,
        log_sigmas,
        percent,
        rows([sigma_of_timestep(ends[0] + share * (ends[1] - ends[0])) for share in shares]),
        ends,
    )


def read_levels(saved: dict[str, Any]) -> SavedLevels:
    """What ``to_json`` wrote. ValueError for anything else, as it may come from a workflow file of anybody."""
    try:
        places, values = _numbers(saved["log_sigmas"])
        rising = all(bool((np.diff(one) > 0).all()) for one in (places, values))
        if not (rising and np.isfinite(values).all() and len(places) >= 2 and 0 == places[0] < places[-1] < MOST_ROWS):
            raise ValueError("log_sigmas must rise")
        table = np.interp(np.arange(int(places[-1]) + 1), places, values)
        percent, timestep = (_numbers(saved[name]) for name in ("percent", "timestep"))
        first, last = (float(end) for end in saved["ends"])
        return SavedLevels(bool(saved["flow"]), table, _knots(percent), _knots(timestep), (first, last))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"levels: these are no noise levels of a model ({error})") from error


def pairs(places: Iterable[float], values: Iterable[float], digits: int = 3) -> str:
    """Two lists of numbers as one short text: "0 -6.9,1 -6.2"."""
    return ",".join(f"{place:.10g} {round(value, digits):.10g}" for place, value in zip(places, values, strict=True))


def _numbers(text: str) -> np.ndarray:
    """What ``pairs`` wrote: [2, n]."""
    return np.array([[float(number) for number in pair.split()] for pair in text.split(",")]).T


def _knots(numbers: np.ndarray) -> Knots:
    places, values = numbers.tolist()
    return places, values


def knots(values: np.ndarray, tolerances: np.ndarray) -> Knots:
    """The places 0..n - 1 and values of a few points, between which straight lines meet all values within tolerance.

    values, tolerances: [n]

    Douglas and Peucker, 1973: where a line misses the most, it is broken in two.
    """
    kept, lines = {0, len(values) - 1}, [(0, len(values) - 1)]
    while lines:
        first, last = lines.pop()
        part = slice(first, last + 1)
        misses = np.abs(values[part] - np.linspace(values[first], values[last], last - first + 1)) / tolerances[part]
        worst = int(misses.argmax())
        if misses[worst] > 1:
            kept.add(first + worst)
            lines += [(first, first + worst), (first + worst, last)]
    places = sorted(kept)
    return [float(place) for place in places], [float(values[place]) for place in places]
