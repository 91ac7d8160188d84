"""Solvers: work of the pack's own in a sampler's seat, with the model loaded and guided by ComfyUI."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ..core.inversion import Denoise
from ..core.noise import isolated_rng
from ..core.placing import WITHOUT_FLOAT64
from ..core.report import Work
from .guider import CountingGuider, Guidance

SOLVER_SEED = 0
"""What a model gets for a seed on the way up and down again, where it draws noise for a prompt's picture from it."""


class Solver(comfy.samplers.Sampler):
    """Work of the pack's own in the place of a sampler inside ComfyUI's sampling; ``result`` holds what came out."""

    result: Any = None

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Called by ComfyUI (its signature) once the model is loaded; gives the latent back untouched."""
        model_wrap.bring_prompts(latent_image.device)
        self.result = self.solve(model_wrap, sigmas, extra_args, latent_image)
        return latent_image

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """The work, on a guided model and the clean picture in the model's space."""
        raise NotImplementedError


class FunctionSampler(Solver):
    """Runs a function of core over ``denoise(x, sigma)``.

    function: (denoise, clean picture in the model's space) -> anything
    double:   states in float64, on the CPU where the device lacks it
    """

    def __init__(self, function: Callable[[Denoise, Tensor], Any], double: bool) -> None:
        self.function = function
        self.double = double

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """Once the model is loaded."""
        device = clean.device
        moved = self.double and device.type in WITHOUT_FLOAT64
        x = clean.to("cpu" if moved else device, torch.float64 if self.double else torch.float32)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            at = x.to(device, torch.float32) if moved else x.to(device)
            guider.sigma = sigma
            return guider(at, at.new_full((len(at),), sigma, dtype=torch.float32), **extra_args).to(x)

        return self.function(denoise, x)


@dataclass(frozen=True, eq=False, repr=False)
class Solved:
    """What a solver gave, and what it took."""

    result: Any
    work: Work


def solve(
    guidance: Guidance,
    sigmas: Tensor,
    clean: Tensor,
    function: Callable[[Denoise, Tensor], Any],
    double: bool = False,
) -> Solved:
    """Run a function of core on a guided model.

    sigmas:   [steps + 1] falling: what scheduled prompts take their shares of
    clean:    [B, C, ...] in ComfyUI's latent space
    function: (denoise, clean picture in the model's space) -> anything
    double:   hand it states in float64
    """
    began = time.perf_counter()
    guider = guidance.guider(sigmas)
    result = run_solver(guider, FunctionSampler(function, double), sigmas, clean)
    return Solved(result, Work(len(sigmas) - 1, guider.calls, time.perf_counter() - began, guidance.twice))


def run_solver(guider: CountingGuider, solver: Solver, sigmas: Tensor, clean: Tensor) -> Any:
    """Let ComfyUI load the model and call a solver; what the solver found."""
    with isolated_rng(SOLVER_SEED):
        guider.sample(torch.zeros_like(clean), clean, solver, sigmas.clone(), disable_pbar=True, seed=SOLVER_SEED)
    return solver.result
