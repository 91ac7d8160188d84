"""Strength: how far up the noise schedule a picture is lifted, written once in sigma space.

Two families cover every model. Variance exploding (eps, v, EDM, X0, COSMOS): ``x = x0 + sigma * noise``.
Flow: ``x = (1 - sigma) * x0 + sigma * noise``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

Measure = Literal["timestep", "noise", "steps"]
StepCount = Literal["exact", "proportional"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
STEP_COUNTS: tuple[StepCount, ...] = get_args(StepCount)

LAST_TIMESTEP = 999
MOST_STOCK_STEPS = 1_000_000


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise levels that a model was trained on, as plain numbers.

    sigmas:           [rows] float64 on the CPU, ascending
    flow:             True for flow models, False for variance exploding ones
    percent_to_sigma: the model's own map from the share of the way down (0 = all noise, 1 = clean) to sigma
    spread:           of the model's clean latents: the sigma at which noise is as strong as picture, on models that
                      are not flow models
    """

    sigmas: Tensor
    flow: bool
    percent_to_sigma: Callable[[float], float]
    spread: float = 1.0

    @property
    def sigma_min(self) -> float:
        """The lowest noise level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest noise level."""
        return float(self.sigmas[-1])

    def row(self, sigma: float) -> float:
        """Where a sigma lies in the table: 0..rows - 1, fractional between rows (log sigma interpolated)."""
        log_rows = self.sigmas.log().numpy()
        return float(np.interp(math.log(max(sigma, 1e-30)), log_rows, np.arange(len(log_rows))))

    def timestep(self, sigma: float) -> float:
        """Where a sigma lies on the axis of training timesteps, 0..999 whatever the table's length."""
        return self.row(sigma) / (len(self.sigmas) - 1) * LAST_TIMESTEP

    def sigma(self, timestep: float) -> float:
        """The sigma at a training timestep, 0..999; the other way of ``timestep``."""
        row = timestep / LAST_TIMESTEP * (len(self.sigmas) - 1)
        return math.exp(np.interp(row, np.arange(len(self.sigmas)), self.sigmas.log().numpy()))

    def noise_share(self, sigma: float) -> float:
        """The share of noise in a noised picture, 0..1: f = 1 / (1 + sqrt(SNR))."""
        return sigma if self.flow else sigma / (self.spread + sigma)

    def sigma_of_share(self, share: float) -> float:
        """The sigma at which the noise share is ``share`` (0..1); infinite at 1 for variance exploding models."""
        if self.flow:
            return share
        return self.spread * share / (1.0 - share) if share < 1.0 else math.inf

    def snr_db(self, sigma: float) -> float:
        """Signal-to-noise ratio in decibel: (spread / sigma)^2, for flow ((1 - sigma) / sigma)^2; inf when clean."""
        if sigma <= 0.0:
            return math.inf
        signal = 1.0 - sigma if self.flow else self.spread
        return 20.0 * math.log10(signal / sigma) if signal > 0.0 else -math.inf


Scheduler = Callable[[float | None, int], Tensor]
"""(first sigma, or None for the model's own largest; steps) -> sigmas, falling, ending in 0."""


@dataclass(frozen=True)
class StrengthSettings:
    """How strong a run is, and how it gets down from there.

    scheduler:  the name of the scheduler, as the host knows it
    steps:      1 or more
    strength:   0 (unchanged) .. 1 (all noise)
    measure:    what strength is a share of: training timesteps, noise, or steps as in ComfyUI's own ``denoise``
    step_count: whether ``steps`` are all executed, or only their share ``strength``
    """

    scheduler: str
    steps: int
    strength: float
    measure: Measure = "timestep"
    step_count: StepCount = "exact"

    def check(self) -> None:
        """Raise ValueError for a strength outside 0..1 or not a number, steps below 1, an unknown word."""
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(
                f"strength must be a number from 0 to 1, got {self.strength}; 0 leaves the picture as it is"
            )
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}")
        if self.measure not in MEASURES:
            raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {self.measure!r}")
        if self.step_count not in STEP_COUNTS:
            raise ValueError(f"step_count must be one of {', '.join(STEP_COUNTS)}, got {self.step_count!r}")


@dataclass(frozen=True)
class StrengthPlan:
    """The sigmas of one image-to-image run, and what was asked for.

    sigmas: [steps + 1] float32, strictly falling, ending in 0; empty at strength 0
    capped: the measure asked for more noise than the model was trained on
    """

    sigmas: Tensor
    settings: StrengthSettings
    capped: bool

    @property
    def start_sigma(self) -> float:
        """The noise level of the start; 0 where there is nothing to do."""
        return float(self.sigmas[0]) if len(self.sigmas) else 0.0

    @property
    def steps(self) -> int:
        """How many steps are executed."""
        return max(0, len(self.sigmas) - 1)

    def describe(self, schedule: NoiseSchedule) -> dict[str, Any]:
        """The plan in plain numbers, for reports and the curve in the node's body."""
        start, settings = self.start_sigma, self.settings
        return {
            "strength": settings.strength,
            "measure": settings.measure,
            "step_count": settings.step_count,
            "scheduler": settings.scheduler,
            "start_sigma": start,
            "start_timestep": schedule.timestep(start) if start else 0.0,
            "snr_db": schedule.snr_db(start),
            "noise_share": schedule.noise_share(start),
            "planned_calls": self.steps,
            "capped": self.capped,
            "sigma_max": schedule.sigma_max,
            "family": "flow" if schedule.flow else "VE",
            "sigmas": self.sigmas.tolist(),
            "timesteps": [schedule.timestep(sigma) if sigma else 0.0 for sigma in self.sigmas.tolist()],
        }


def executed_steps(steps: int, strength: float, step_count: StepCount) -> int:
    """How many steps are run: ``steps`` itself, or its share ``max(1, floor(steps * strength))``.

    The small epsilon keeps 50 * 0.58 = 28.999… from losing a step.
    """
    if step_count == "exact":
        return steps
    return max(1, math.floor(steps * strength + 1e-6))


def start_sigma(schedule: NoiseSchedule, strength: float, measure: Measure) -> tuple[float, bool]:
    """The first sigma for a strength, and whether it had to be capped at the model's largest.

    ``timestep``: sigma at t = strength * (T - 1), through the model's own map (SDEdit, arXiv:2108.01073, t0).
    ``noise``: the sigma whose noise share is ``strength``, equally noisy on every model family.
    """
    largest = schedule.sigma_max
    wanted = schedule.sigma_of_share(strength)
    if measure == "timestep":
        wanted = schedule.percent_to_sigma(1.0 - strength) if strength < 1.0 else largest
        return (wanted, False) if 0.0 < wanted <= largest else (largest, False)
    return (largest, True) if wanted > largest * (1.0 + 1e-6) else (min(wanted, largest), False)


def timestep_strength(schedule: NoiseSchedule, sigma: float) -> float:
    """The strength, by the measure ``timestep``, that starts at a sigma; to a thousandth."""
    steps = range(1, 1001)
    place = bisect_left(steps, sigma, hi=999, key=lambda one: start_sigma(schedule, one / 1000, "timestep")[0])
    return steps[place] / 1000


def strength_sigmas(schedule: NoiseSchedule, scheduler: Scheduler, settings: StrengthSettings) -> StrengthPlan:
    """The sigmas of a run that starts at a given strength.

    For the measures ``timestep`` and ``noise`` the first sigma is exact whatever the scheduler and the number of
    steps: the scheduler sees only the part of the schedule below it, and shapes the way down. For ``steps`` the
    sigmas are those of ComfyUI's own ``denoise``: the last steps of a longer schedule.

    raises: ValueError for settings that make no sense
    """
    settings.check()
    if settings.strength == 0.0:
        return StrengthPlan(torch.zeros(0), settings, capped=False)
    if settings.measure == "steps":
        return StrengthPlan(_stock_sigmas(schedule, scheduler, settings), settings, capped=False)
    start, capped = start_sigma(schedule, settings.strength, settings.measure)
    steps = executed_steps(settings.steps, settings.strength, settings.step_count)
    return StrengthPlan(sigmas_from(schedule, scheduler, start, steps), settings, capped)


def sigmas_from(schedule: NoiseSchedule, scheduler: Scheduler, start: float, steps: int) -> Tensor:
    """Exactly ``steps`` sigmas from ``start`` down, spaced as the scheduler likes, and a final 0.

    returns: [steps + 1] float32, strictly falling
    """
    if start <= schedule.sigma_min or steps == 1:
        return _even(start, steps)
    return repaired(scheduler(start, steps), start, steps)


def repaired(sigmas: Tensor, start: float, steps: int) -> Tensor:
    """A scheduler's sigmas made sound: finite, strictly falling from ``start``, exactly ``steps`` of them, then 0.

    Schedulers that are sound already pass through unchanged, up to the rounding of the first one.

    sigmas:  [any] of any type, with or without a final 0
    returns: [steps + 1] float32
    """
    raw = sigmas.double()
    raw = torch.unique(raw[torch.isfinite(raw) & (raw > 0)]).flip(0)
    if len(raw) < 2:
        return _even(start, steps)
    levels = raw.log().numpy()
    if len(levels) != steps:
        levels = np.interp(np.linspace(0, len(levels) - 1, steps), np.arange(len(levels)), levels)
    if levels[0] != math.log(start) and levels[0] > levels[-1]:
        levels = levels[-1] + (levels - levels[-1]) * (math.log(start) - levels[-1]) / (levels[0] - levels[-1])
    out = _closed(torch.from_numpy(np.exp(levels)), start)
    return out if bool((out.diff() < 0).all()) else _even(start, steps)


def _even(start: float, steps: int) -> Tensor:
    return _closed(torch.linspace(start, 0.0, steps + 1, dtype=torch.float64)[:-1], start)


def _closed(sigmas: Tensor, start: float) -> Tensor:
    out = torch.cat([sigmas.float(), torch.zeros(1)])
    out[0] = start
    return out


def _stock_sigmas(schedule: NoiseSchedule, scheduler: Scheduler, settings: StrengthSettings) -> Tensor:
    """The tail that ComfyUI's ``denoise`` runs (``exact``), or the last share of a schedule of ``steps``."""
    steps, strength = settings.steps, settings.strength
    total = int(steps / strength) if settings.step_count == "exact" and strength < 1.0 else steps
    if total > MOST_STOCK_STEPS:
        raise ValueError(
            f"strength {strength} with measure 'steps' needs a schedule of {total} steps; "
            f"use a larger strength, fewer steps, or the measure 'timestep'"
        )
    sigmas = scheduler(None, total)
    if not bool(torch.isfinite(sigmas).all()):
        sigmas = repaired(sigmas, schedule.sigma_max, total)
    kept = executed_steps(steps, strength, settings.step_count) + 1
    return sigmas[max(0, len(sigmas) - kept) :]


def split_sigmas(sigmas: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Sigmas in two parts: the steps that start at a noise level or above it, and those that start below.

    So Wan 2.2 chooses between its two models (arXiv:2503.20314; its code calls the level ``boundary``), and SDXL's
    refiner is handed over to. Both parts hold the sigma they meet at, as those of ComfyUI's SplitSigmas do; a part
    without a step has one sigma, or none.
    """
    step = int((sigmas[:-1] >= level * (1.0 - 1e-6)).sum())
    return sigmas[: step + 1], sigmas[step:]


def check_sigmas(sigmas: Tensor) -> None:
    """Raise ValueError unless the sigmas are one finite list, not negative, and run downwards."""
    if sigmas.ndim != 1 or not bool(torch.isfinite(sigmas).all()) or bool((sigmas < 0).any()):
        raise ValueError(
            "sigmas: they must be one list of finite numbers, 0 or more; use StrengthScheduler to make them"
        )
    if len(sigmas) > 1 and float(sigmas[0]) <= float(sigmas[-1]):
        raise ValueError(
            f"sigmas: they rise from {float(sigmas[0]):.4g} to {float(sigmas[-1]):.4g}, but sampling goes downwards; "
            f"remove FlipSigmas, or use DDIMInvert to go up"
        )
