"""The curve of StrengthScheduler: of a run, and of the knobs as they are turned before the next one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import comfy.model_sampling
import torch
from comfy.model_patcher import ModelPatcher

from ..core.curve import curve, equals, start_of, strength_at
from ..core.noise_levels import SavedLevels, read_levels, save_levels
from ..core.report import plain
from ..core.schedule import NoiseSchedule, Scheduler, StrengthPlan, StrengthSettings, strength_sigmas
from .schedule import SavedSampling, model_sampling, noise_schedule, schedule_on, scheduler_on

MOST_ROWS = 20_000
"""The longest schedule that is worked out while a knob is turned; beyond, a run has to tell."""


def shown_plan(model: ModelPatcher, plan: StrengthPlan) -> dict[str, Any]:
    """What the body of StrengthScheduler shows of a run, and what it needs to go on with this model by itself.

    levels: the noise levels of the model
    model:  its name in ComfyUI's code
    """
    schedule = noise_schedule(model)
    return plain({**curve(schedule, plan), "levels": _levels_of(model, schedule).to_json(), "model": _name(model)})


def _name(model: ModelPatcher) -> str:
    return type(getattr(model.model, "model_config", model.model)).__name__.removesuffix("ModelConfig")


def _levels_of(model: ModelPatcher, schedule: NoiseSchedule) -> SavedLevels:
    sampling = model_sampling(model)

    def timestep(sigma: float) -> float:
        return float(sampling.timestep(torch.tensor(sigma, dtype=torch.float32)))

    def sigma(timestep: float) -> float:
        return float(sampling.sigma(torch.tensor(timestep, dtype=torch.float32)))

    return save_levels(schedule.sigmas.numpy(), schedule.flow, schedule.percent_to_sigma, timestep, sigma)


def asked_plan(question: dict[str, Any]) -> dict[str, Any]:
    """The curve of settings as they stand, and what else would start there.

    question: the fields of StrengthSettings; `levels` as ``shown_plan`` sent them, or nothing for Stable Diffusion 1.5;
              `timestep` (0..999) or `denoise` (0..1, ComfyUI's) asks for the strength that starts there

    raises: ValueError for settings that make no sense, or whose schedule is too long to work out on the side
    """
    schedule, scheduler = _noise_levels(question)
    settings = StrengthSettings(**{field.name: question[field.name] for field in fields(StrengthSettings)})
    wanted = _wanted_start(schedule, scheduler, settings, question)
    if wanted is not None:
        _check_length(replace(settings, strength=0.01))  # the smallest that is tried
        settings = replace(settings, strength=strength_at(schedule, scheduler, wanted, settings) if wanted else 0.0)
    _check_length(settings)
    plan = strength_sigmas(schedule, scheduler, settings)
    return plain({**curve(schedule, plan), **equals(schedule, scheduler, plan)})


def _noise_levels(question: dict[str, Any]) -> tuple[NoiseSchedule, Scheduler]:
    levels = question.get("levels")
    if levels:
        saved = read_levels(levels)
        sampling, flow = SavedSampling(saved), saved.flow
    else:
        sampling, flow = comfy.model_sampling.ModelSamplingDiscrete(), False  # its defaults are Stable Diffusion 1.5's
    schedule = schedule_on(sampling, flow)
    return schedule, scheduler_on(sampling, schedule, question["scheduler"])


def _wanted_start(
    schedule: NoiseSchedule, scheduler: Scheduler, settings: StrengthSettings, question: dict[str, Any]
) -> float | None:
    """The sigma that is asked for; None where the strength itself is given, 0 for no noise at all."""
    if "timestep" in question:
        timestep = float(question["timestep"])
        return schedule.sigma(min(timestep, 999.0)) if timestep > 0 else 0.0
    if "denoise" in question:
        stock = replace(settings, measure="steps", step_count="exact", strength=float(question["denoise"]))
        _check_length(stock)
        return start_of(schedule, scheduler, stock)
    return None


def _check_length(settings: StrengthSettings) -> None:
    settings.check()
    rows = settings.steps / settings.strength if settings.measure == "steps" and settings.strength else settings.steps
    if rows > MOST_ROWS:
        raise ValueError(f"{settings.steps} steps: too many to work out in passing; a run will show the curve")
