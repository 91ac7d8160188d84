"""Schedules: the noise levels of a MODEL, ComfyUI's schedulers, and the sigmas of a strength."""

from __future__ import annotations

import math
from typing import Any

import comfy.model_sampling
import comfy.samplers
import numpy as np
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.schedule import NoiseSchedule, Scheduler, StrengthPlan, StrengthSettings, strength_sigmas

CUT_ROWS = 1000


class CutSampling:
    """The part of a schedule at and below one sigma, in the form that ComfyUI's schedulers read.

    It has the attributes of a ``model_sampling`` that schedulers use: ``sigmas``, ``sigma_min``, ``sigma_max`` and
    the two maps ``timestep`` and ``sigma``, which are inverses of each other on 1000 rows spaced evenly over the
    original rows.
    """

    def __init__(self, schedule: NoiseSchedule, start: float) -> None:
        log_rows = schedule.sigmas.log().numpy()
        rows = np.linspace(0.0, schedule.row(start), CUT_ROWS)
        self._log_sigmas = np.interp(rows, np.arange(len(log_rows)), log_rows)
        self._log_sigmas[-1] = math.log(start)
        self.sigmas = torch.from_numpy(np.exp(self._log_sigmas))
        self.log_sigmas = torch.from_numpy(self._log_sigmas)

    @property
    def sigma_min(self) -> Tensor:
        """The lowest of the rows."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The highest of the rows: the start."""
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """Sigma -> row, 0..999."""
        return torch.as_tensor(np.interp(sigma.log().numpy(), self._log_sigmas, np.arange(CUT_ROWS)))

    def sigma(self, timestep: Tensor) -> Tensor:
        """Row, 0..999 -> sigma."""
        return torch.as_tensor(np.interp(timestep.numpy(), np.arange(CUT_ROWS), self._log_sigmas)).exp()


def scheduler_names() -> list[str]:
    """ComfyUI's schedulers, in its own order."""
    return list(comfy.samplers.SCHEDULER_NAMES)


def model_sampling(model: ModelPatcher) -> Any:
    """ComfyUI's own object for a MODEL's noise levels and what it predicts."""
    return model.get_model_object("model_sampling")


def noise_schedule(model: ModelPatcher) -> NoiseSchedule:
    """The noise levels a MODEL was trained on.

    raises: ValueError for models that map picture to picture without noise
    """
    sampling = model_sampling(model)
    if isinstance(sampling, comfy.model_sampling.IMG_TO_IMG):
        raise ValueError(
            "model: this model turns a picture into another one without noise, so it has no strength; "
            "use it with its own sampler nodes, or connect a diffusion or flow model"
        )
    sigmas = sampling.sigmas.detach().cpu().double()  # Apple's GPU has no float64
    flow = isinstance(sampling, comfy.model_sampling.CONST)
    return NoiseSchedule(sigmas[sigmas > 0], flow, lambda percent: float(sampling.percent_to_sigma(percent)))


def start_timestep(model: ModelPatcher, sigmas: Tensor) -> float | None:
    """The timestep, 0..999, that a run starts from; None without steps, or where a model knows no noise levels."""
    if len(sigmas) < 2 or isinstance(model_sampling(model), comfy.model_sampling.IMG_TO_IMG):
        return None
    return noise_schedule(model).timestep(float(sigmas[0]))


def scheduler_of(model: ModelPatcher, name: str) -> Scheduler:
    """A scheduler of ComfyUI on a MODEL's noise levels, or on the part of them below a first sigma."""
    if name not in comfy.samplers.SCHEDULER_NAMES:
        raise ValueError(f"scheduler: {name!r} is unknown here; choose one of {', '.join(scheduler_names())}")
    sampling = model_sampling(model)

    def scheduler(start: float | None, steps: int) -> Tensor:
        levels = sampling if start is None else CutSampling(noise_schedule(model), start)
        return comfy.samplers.calculate_sigmas(levels, name, steps).cpu()

    return scheduler


def plan_strength(model: ModelPatcher, settings: StrengthSettings) -> StrengthPlan:
    """The sigmas for a strength on a MODEL; see ``core.schedule.strength_sigmas``."""
    return strength_sigmas(noise_schedule(model), scheduler_of(model, settings.scheduler), settings)
