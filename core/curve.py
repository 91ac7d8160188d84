"""What the body of StrengthScheduler shows of a plan: its curve, where it starts, and what else would start there."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .noise_levels import pairs
from .schedule import (
    LAST_TIMESTEP,
    Measure,
    NoiseSchedule,
    Scheduler,
    StrengthPlan,
    StrengthSettings,
    strength_sigmas,
)

LAYOUT_SHARE = 0.835
"""From this share of noise on, a model no longer sees where things were: strength 0.8 on Stable Diffusion 1.5."""
MOST_POINTS = 200
GROUND = np.linspace(0.0, 1.0, 49)
MOST_STOCK_STEPS = 100
"""Plans of more steps are not compared with stock denoise, whose schedules are up to a hundred times as long."""


def curve(schedule: NoiseSchedule, plan: StrengthPlan) -> dict[str, Any]:
    """A plan in plain numbers, few enough to be kept in a workflow file.

    points: timestep (0..999) and share of noise (0..1) of each step as ``pairs`` writes them, thinned where there are
            very many
    ground: the same of the whole schedule of the model
    """
    start, settings = plan.start_sigma, plan.settings
    return {
        "strength": settings.strength,
        "measure": settings.measure,
        "step_count": settings.step_count,
        "scheduler": settings.scheduler,
        "steps": settings.steps,
        "planned_calls": plan.steps,
        "start_sigma": _short(start),
        "start_timestep": _short(schedule.timestep(start)) if start else 0.0,
        "noise_share": _short(schedule.noise_share(start)),
        "snr_db": _short(schedule.snr_db(start)),
        "capped": plan.capped,
        "sigma_max": _short(schedule.sigma_max),
        "points": _points(schedule, plan.sigmas.tolist()),
        "ground": _points(schedule, [schedule.sigma(share * LAST_TIMESTEP) for share in GROUND[::-1]]),
    }


def equals(schedule: NoiseSchedule, scheduler: Scheduler, plan: StrengthPlan) -> dict[str, Any]:
    """What else would start where a plan does.

    strengths:    the strength, in hundredths, that starts there by each measure; `steps` is stock denoise, missing
                  where it would take long to find
    layout_lost:  whether so much noise goes in that the layout does not survive
    layout_limit: the strength, by the measure of the plan, at which that begins; None where it would take long to find
    """
    start, settings = plan.start_sigma, plan.settings
    compared = _measures(plan)
    layout = schedule.sigma_of_share(LAYOUT_SHARE)
    here = _compared(plan, settings.measure)
    return {
        "strengths": {one: strength_at(schedule, scheduler, start, _compared(plan, one)) for one in compared},
        "layout_lost": schedule.noise_share(start) >= LAYOUT_SHARE,
        "layout_limit": strength_at(schedule, scheduler, layout, here) if here.measure in compared else None,
    }


def _measures(plan: StrengthPlan) -> list[Measure]:
    """The measures to compare with; stock denoise knows no strength 0, and its longest schedules take seconds."""
    if plan.start_sigma == 0.0:
        return []
    return ["timestep", "noise", "steps"] if plan.steps <= MOST_STOCK_STEPS else ["timestep", "noise"]


def _compared(plan: StrengthPlan, measure: Measure) -> StrengthSettings:
    """The settings of a plan by another measure; stock denoise runs all its steps."""
    if measure == "steps":
        return replace(plan.settings, measure=measure, step_count="exact", steps=max(1, plan.steps))
    return replace(plan.settings, measure=measure)


def strength_at(schedule: NoiseSchedule, scheduler: Scheduler, sigma: float, settings: StrengthSettings) -> float:
    """The strength, in hundredths from 0.01 to 1, that starts closest to a sigma; the one in `settings` is not used."""

    def start(hundredths: int) -> float:
        return start_of(schedule, scheduler, replace(settings, strength=hundredths / 100))

    # Stock denoise starts many strengths at one sigma; of those the largest is meant, so that 1 is called 1.
    below = bisect_right(range(1, 101), sigma * (1 + 1e-4), key=start)
    around = [max(1, below), min(100, below + 1)]
    return min(around, key=lambda one: abs(math.log(start(one) / sigma))) / 100


def start_of(schedule: NoiseSchedule, scheduler: Scheduler, settings: StrengthSettings) -> float:
    """The first sigma of a plan; only for the measure `steps` are all of them worked out."""
    one = settings if settings.measure == "steps" else replace(settings, steps=1, step_count="exact")
    return strength_sigmas(schedule, scheduler, one).start_sigma


def _points(schedule: NoiseSchedule, sigmas: Sequence[float]) -> str:
    if len(sigmas) > MOST_POINTS:
        sigmas = [sigmas[int(place)] for place in np.linspace(0, len(sigmas) - 1, MOST_POINTS)]
    shares = [schedule.noise_share(sigma) for sigma in sigmas]
    times = [schedule.timestep(sigma) if sigma else 0.0 for sigma in sigmas]
    return pairs((round(time, 1) for time in times), shares)


def _short(value: float) -> float:
    """Six digits, which is as many as the noise levels are known to; infinite stays so."""
    return float(f"{value:.6g}")
