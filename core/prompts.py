"""Prompts that change during a run, by shares of the run that is really executed.

A conditioning entry carries the switches it stands behind; for the sigmas of a run they become windows of sigmas. A
window is open at its lower end: ComfyUI's own percent ranges include both, so that two neighbours would act together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import torch
from torch import Tensor

SWITCH_KEY = "img2img_switches"

Conditioning = list[list[Any]]
"""ComfyUI's CONDITIONING: a list of [embedding, options]."""


@dataclass(frozen=True)
class Switch:
    """A place of the run where one prompt gives way to another.

    at:    share of the run, 0..1
    blend: share of the run over which they are mixed
    late:  whether this is the prompt that comes after
    """

    at: float
    blend: float
    late: bool

    def weights(self, steps: int) -> list[float]:
        """How much the prompt counts at each step, 0..1: the late one from step round(at * steps) on."""
        middle, width = round(self.at * steps), round(self.blend * steps)
        first = middle - width // 2
        late = [1.0 if step >= middle else 0.0 for step in range(steps)]
        for place in range(width):
            if 0 <= first + place < steps:
                late[first + place] = (place + 1) / (width + 1)
        return late if self.late else [1.0 - weight for weight in late]


@dataclass(frozen=True)
class Window:
    """Sigmas at which a prompt acts: ``low <= sigma <= high``, None for no bound; and how strongly."""

    high: float | None
    low: float | None
    weight: float

    def within(self, high: float | None, low: float | None) -> Window | None:
        """The part of the window inside another range; None where there is none."""
        highs = [bound for bound in (self.high, high) if bound is not None]
        lows = [bound for bound in (self.low, low) if bound is not None]
        top, bottom = min(highs, default=None), max(lows, default=None)
        if top is not None and bottom is not None and top < bottom:
            return None
        return Window(top, bottom, self.weight)


def schedule_prompts(early: Conditioning, late: Conditioning, at: float, blend: float) -> Conditioning:
    """One conditioning that is ``early`` before and ``late`` after a share of the run; its parts may be schedules too.

    at, blend: 0..1

    raises: ValueError for shares outside 0..1
    """
    for name, value in (("switch_at", at), ("blend", blend)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must be a share of the run from 0 to 1, got {value}")
    return [
        [embedding, {**options, SWITCH_KEY: (*options.get(SWITCH_KEY, ()), Switch(at, blend, is_late))}]
        for conditioning, is_late in ((early, False), (late, True))
        for embedding, options in conditioning
    ]


def windows(switches: Sequence[Switch], sigmas: Tensor) -> list[Window]:
    """When, in a run over these sigmas, a prompt behind these switches acts.

    A model call at sigma belongs to the step whose first sigma is the lowest one not below it, so that a sampler's
    calls between two sigmas belong to the step they are part of.

    sigmas: [steps + 1] float32, falling
    """
    steps = len(sigmas) - 1
    parts = [switch.weights(steps) for switch in switches]
    weights = [prod(part[step] for part in parts) for step in range(steps)]
    found = []
    for weight, group in groupby(range(steps), key=weights.__getitem__):
        if weight > 0.0:
            run = list(group)
            high = None if run[0] == 0 else float(sigmas[run[0]])
            low = None if run[-1] == steps - 1 else just_above(sigmas[run[-1] + 1])
            found.append(Window(high, low, weight))
    return found


def just_above(sigma: Tensor) -> float:
    """The next larger float32, so that a lower bound leaves the sigma itself out."""
    return float(torch.nextafter(sigma.float(), torch.tensor(torch.inf)))


def resolve_prompts(
    conditioning: Conditioning, sigmas: Tensor, percent_to_sigma: Callable[[float], float] | None
) -> Conditioning:
    """The conditioning of one run: entries behind switches become entries with sigma ranges, for stock samplers too.

    A range that an entry already has is narrowed, never overwritten, and its strength is multiplied.

    sigmas:           [steps + 1] falling
    percent_to_sigma: the model's map, for entries that have a percent range already; None where no model is known

    raises: ValueError where a percent range must be narrowed and no model is known
    """
    resolved: Conditioning = []
    for embedding, options in conditioning:
        if SWITCH_KEY not in options:
            resolved.append([embedding, options])
            continue
        plain = {key: value for key, value in options.items() if key != SWITCH_KEY}
        plain, high, low = _without_range(plain, percent_to_sigma)
        for window in windows(options[SWITCH_KEY], sigmas):
            part = window.within(high, low)
            if part is not None:
                resolved.append([embedding, plain | _range_of(part, plain.get("strength", 1.0))])
    return resolved


def _range_of(window: Window, strength: float) -> dict[str, float]:
    bounds = {"timestep_start": window.high, "timestep_end": window.low}
    changed = {} if window.weight == 1.0 else {"strength": strength * window.weight}
    return changed | {key: bound for key, bound in bounds.items() if bound is not None}


def _without_range(
    options: dict[str, Any], percent_to_sigma: Callable[[float], float] | None
) -> tuple[dict[str, Any], float | None, float | None]:
    """An entry's options without its range, and the range in sigmas, read as ComfyUI reads it."""
    start = [options[key] for key in ("start_percent", "clip_start_percent") if key in options]
    end = [options[key] for key in ("end_percent", "clip_end_percent") if key in options]
    if (start or end) and percent_to_sigma is None:
        raise ValueError(
            "model: a prompt here already has a timestep range in percent, which only the model can turn into sigmas; "
            "connect model"
        )
    keys = {"start_percent", "clip_start_percent", "end_percent", "clip_end_percent", "timestep_start", "timestep_end"}
    high, low = options.get("timestep_start"), options.get("timestep_end")
    if percent_to_sigma is not None:
        high = percent_to_sigma(max(start)) if start else high
        low = percent_to_sigma(min(end)) if end else low
    return {key: value for key, value in options.items() if key not in keys}, high, low
