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

from ..core.noise_levels import SavedLevels
from ..core.schedule import NoiseSchedule, Scheduler, StrengthPlan, StrengthSettings, strength_sigmas

CUT_ROWS = 1000


class TableSampling:
    """A table of noise levels in the form that ComfyUI's schedulers read.

    It has the attributes of a ``model_sampling`` that schedulers use: ``sigmas``, ``sigma_min``, ``sigma_max`` and
    the two maps ``timestep`` and ``sigma``, here inverses of each other that count the table's rows.

    log_sigmas: [rows] float64, rising
    """

    def __init__(self, log_sigmas: np.ndarray) -> None:
        self._log_sigmas = log_sigmas
        self.sigmas = torch.from_numpy(np.exp(log_sigmas))
        self.log_sigmas = torch.from_numpy(log_sigmas)

    @property
    def sigma_min(self) -> Tensor:
        """The lowest of the rows."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The highest of the rows: the start."""
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """Sigma -> row."""
        return torch.as_tensor(np.interp(sigma.log().numpy(), self._log_sigmas, np.arange(len(self._log_sigmas))))

    def sigma(self, timestep: Tensor) -> Tensor:
        """Row -> sigma."""
        return torch.as_tensor(np.interp(timestep.numpy(), np.arange(len(self._log_sigmas)), self._log_sigmas)).exp()


class SavedSampling(TableSampling):
    """The noise levels that a workflow file has kept, with the timesteps that their model counts in."""

    def __init__(self, saved: SavedLevels) -> None:
        super().__init__(saved.log_sigmas)
        self.saved = saved

    def timestep(self, sigma: Tensor) -> Tensor:
        """Sigma -> the model's timestep: right at the smallest and the largest, which is where schedulers ask."""
        low, high = float(self.sigma_min), float(self.sigma_max)
        return torch.as_tensor(np.interp(sigma.numpy(), [low, high], self.saved.ends))

    def sigma(self, timestep: Tensor) -> Tensor:
        """The model's timestep -> sigma."""
        levels = [self.saved.sigma_of_timestep(one) for one in timestep.reshape(-1).tolist()]
        return torch.tensor(levels, dtype=torch.float64).reshape(timestep.shape)

    def percent_to_sigma(self, percent: float) -> float:
        """The share of the way down -> sigma."""
        return self.saved.sigma_of_percent(percent)


def cut_sampling(schedule: NoiseSchedule, start: float) -> TableSampling:
    """The part of a schedule at and below one sigma, on 1000 rows spaced evenly over the original ones."""
    log_rows = schedule.sigmas.log().numpy()
    rows = np.linspace(0.0, schedule.row(start), CUT_ROWS)
    log_sigmas = np.interp(rows, np.arange(len(log_rows)), log_rows)
    log_sigmas[-1] = math.log(start)
    return TableSampling(log_sigmas)


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
    return schedule_on(sampling, flow=isinstance(sampling, comfy.model_sampling.CONST))


def schedule_on(sampling: Any, flow: bool) -> NoiseSchedule:
    """The noise levels of one of ComfyUI's ``model_sampling`` objects, or of one like it."""
    sigmas = sampling.sigmas.detach().cpu().double()  # Apple's GPU has no float64
    spread = 1.0 if flow else float(getattr(sampling, "sigma_data", 1.0))
    return NoiseSchedule(sigmas[sigmas > 0], flow, lambda percent: float(sampling.percent_to_sigma(percent)), spread)


def stable_diffusion_schedule() -> NoiseSchedule:
    """The noise levels of Stable Diffusion 1.5, which are the defaults of ComfyUI's class for them."""
    return schedule_on(comfy.model_sampling.ModelSamplingDiscrete(), flow=False)


def start_timestep(model: ModelPatcher, sigmas: Tensor) -> float | None:
    """The timestep, 0..999, that a run starts from; None without steps, or where a model knows no noise levels."""
    if len(sigmas) < 2 or isinstance(model_sampling(model), comfy.model_sampling.IMG_TO_IMG):
        return None
    return noise_schedule(model).timestep(float(sigmas[0]))


def scheduler_of(model: ModelPatcher, name: str) -> Scheduler:
    """A scheduler of ComfyUI on a MODEL's noise levels, or on the part of them below a first sigma."""
    return scheduler_on(model_sampling(model), noise_schedule(model), name)


def scheduler_on(sampling: Any, schedule: NoiseSchedule, name: str) -> Scheduler:
    """A scheduler on an object like ComfyUI's ``model_sampling``, or on its schedule below a first sigma."""
    if name not in comfy.samplers.SCHEDULER_NAMES:
        raise ValueError(f"scheduler: {name!r} is unknown here; choose one of {', '.join(scheduler_names())}")

    def scheduler(start: float | None, steps: int) -> Tensor:
        levels = sampling if start is None else cut_sampling(schedule, start)
        return comfy.samplers.calculate_sigmas(levels, name, steps).cpu()

    return scheduler


def plan_strength(model: ModelPatcher, settings: StrengthSettings) -> StrengthPlan:
    """The sigmas for a strength on a MODEL; see ``core.schedule.strength_sigmas``."""
    return strength_sigmas(noise_schedule(model), scheduler_of(model, settings.scheduler), settings)
