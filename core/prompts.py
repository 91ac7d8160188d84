"""Prompts that change during a run, by shares of the run that is really executed.

A conditioning entry carries the switches it stands behind; for the sigmas of a run they become windows of sigmas. A
window is open at its lower end: ComfyUI's own percent ranges include both, so that two neighbors would act together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

import torch
from torch import Tensor

from .conditioning import Conditioning

SWITCH_KEY = "img2img_switches"


@dataclass(frozen=True)
class Switch:
    """A point of the run where one prompt gives way to another.

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
        for index in range(width):
            if 0 <= first + index < steps:
                late[first + index] = (index + 1) / (width + 1)
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
