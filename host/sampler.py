"""SAMPLERs: chosen by name or connected, and the noise that stochastic ones draw at their steps."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.k_diffusion.sampling
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.noise import ItemKey, StepNoise, stream_seed
from .schedule import noise_schedule


def sampler_names() -> list[str]:
    """ComfyUI's samplers, in its own order."""
    return list(comfy.samplers.KSampler.SAMPLERS)


@dataclass(frozen=True, eq=False, repr=False)
class Sampler:
    """A SAMPLER and what reports call it: its name, or for a connected one the name of its function."""

    label: str
    object: Any

    @classmethod
    def chosen(cls, sampler_name: str, connected: Any = None) -> Sampler:
        """The connected SAMPLER, or else ComfyUI's sampler of that name."""
        if connected is not None:
            function = getattr(connected, "sampler_function", connected)
            return cls(f"connected: {getattr(function, '__name__', type(function).__name__)}", connected)
        if sampler_name not in sampler_names():
            raise ValueError(
                f"sampler_name: {sampler_name!r} is unknown here; choose one of {', '.join(sampler_names())}"
            )
        return cls(sampler_name, comfy.samplers.sampler_object(sampler_name))

    @property
    def draws_noise(self) -> bool:
        """Whether it draws new noise at its steps, as ancestral and SDE samplers do."""
        function = getattr(self.object, "sampler_function", None)
        return function is not None and "noise_sampler" in inspect.signature(function).parameters

    @property
    def masks_whole_batch(self) -> bool:
        """Whether it draws its noise under a mask for the whole batch (ddim), so that no picture is the same alone."""
        return bool(getattr(self.object, "inpaint_options", {}).get("random"))

    def with_item_noise(
        self, model: ModelPatcher, shape: Sequence[int], keys: Sequence[ItemKey], first_sigma: float
    ) -> Sampler:
        """A stochastic sampler whose noise at each step belongs to the item; others stay as they are.

        Samplers that draw from a Brownian motion in ComfyUI get one for each item, over the model's whole range of
        sigmas, so that parts of a split run draw from the same one.

        shape: of the latent, [B, C, ...]
        keys:  (seed, item) of each picture
        """
        if not self.draws_noise or "noise_sampler" in self.object.extra_options:
            return self
        sampler = copy.copy(self.object)
        if _draws_from_brownian_motion(self.object.sampler_function):
            noise = comfy.k_diffusion.sampling.BrownianTreeNoiseSampler(
                torch.empty(shape),
                torch.tensor(0.0),
                # a little above, because the tree warns of rounding at its end
                torch.tensor(max(noise_schedule(model).sigma_max, first_sigma) * 1.0001),
                seed=[stream_seed(seed, item, "brownian") for seed, item in keys],
                cpu=True,
            )
        else:
            noise = StepNoise(shape, keys, model.load_device)
            sampler.sampler_function = DrawsAhead(sampler.sampler_function, noise)
        sampler.extra_options = {**sampler.extra_options, "noise_sampler": noise}
        return replace(self, object=sampler)


class DrawsAhead:
    """The function of a SAMPLER whose noise is told the sigmas of the run before it begins."""

    def __init__(self, function: Callable[..., Tensor], noise: StepNoise) -> None:
        self.function, self.noise = function, noise

    def __call__(self, denoise: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        """Called by the SAMPLER in the place of its own function."""
        self.noise.along(sigmas)
        return self.function(denoise, x, sigmas, **options)


def _draws_from_brownian_motion(function: Callable[..., Any]) -> bool:
    """Whether a sampler's own default is a Brownian tree, in itself or in the sampler that it hands over to."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    known = [function, *(function.__globals__.get(name) for name in code.co_names if name.startswith("sample_"))]
    codes = [getattr(inspect.unwrap(one), "__code__", None) for one in known if callable(one)]
    return any(one is not None and "BrownianTreeNoiseSampler" in one.co_names for one in codes)
