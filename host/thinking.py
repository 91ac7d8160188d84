"""Thinking at a mask, for any SAMPLER: the model it asks first goes through some inner rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import comfy.model_base
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.noise import ItemKey, StepNoise
from ..core.think import think
from .sampler import Sampler

ASK_ABOUT_COPIES = ("uni_pc", "uni_pc_bh2")
"""Samplers that hand the model a copy of their state, so that they would not hear what was thought."""


def thinking(sampler: Sampler, rounds: int, model: ModelPatcher, keys: Sequence[ItemKey]) -> Sampler:
    """A copy of a sampler whose model goes through so many inner rounds before each of its answers.

    keys:   (seed, item) of each picture, for the noise of the rounds
    raises: ValueError for a sampler that cannot
    """
    if sampler.label in ASK_ABOUT_COPIES or not isinstance(sampler.object, comfy.samplers.KSAMPLER):
        raise ValueError(
            f"think is {rounds}, but {sampler.label} keeps its state to itself; choose another sampler_name, such as "
            f"euler or dpmpp_2m, or set think to 0"
        )
    changed = copy.copy(sampler.object)
    changed.sampler_function = _Thinking(changed.sampler_function, rounds, keys, noises_the_outside(model))
    return replace(sampler, object=changed)


def noises_the_outside(model: ModelPatcher) -> bool:
    """Whether a model sees what stands outside a mask noised, as any other state; some want it clean."""
    return type(model.model).scale_latent_inpaint is comfy.model_base.BaseModel.scale_latent_inpaint


class _Thinking:
    """The function of a SAMPLER, with a model that thinks.

    frankly: whether the model is asked about the outside too, and not only answered by it
    """

    def __init__(self, function: Callable[..., Tensor], rounds: int, keys: Sequence[ItemKey], frankly: bool) -> None:
        self.function, self.rounds, self.keys, self.frankly = function, rounds, keys, frankly

    def __call__(self, denoise: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        """Called by the SAMPLER in the place of its own function; the state given stays as it is."""
        model = _ThinkingModel(denoise, self, sorted(sigmas.tolist()), x)
        return self.function(model, x.clone(), sigmas, **options)


class _ThinkingModel:
    """A model under a mask as samplers see it: the host's own, a KSamplerX0Inpaint, in everything but its answers."""

    def __init__(self, masked: Any, how: _Thinking, levels: list[float], like: Tensor) -> None:
        self._masked, self._how, self._levels = masked, how, levels
        steps = [step for step in pairwise(reversed(levels)) if step[1] > 0]
        self._noises = [
            StepNoise(like.shape, how.keys, like.device, f"thinking {number}", steps) for number in range(how.rounds)
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._masked, name)

    def __call__(self, x: Tensor, sigma: Tensor, denoise_mask: Tensor, **options: Any) -> Tensor:
        """Called by the sampler; no rounds on the last stretch, which ends in the picture itself."""
        level = float(sigma[0])
        lower = max((one for one in self._levels if one < level * (1 - 1e-6)), default=0.0)
        if lower == 0.0:
            return self._masked(x, sigma, denoise_mask, **options)
        base, along = self._masked.inner_model.inner_model, sigma.reshape(-1, *[1] * (x.ndim - 1))
        mask, original = self._mask_at(sigma, denoise_mask, options), self._masked.latent_image

        def ask(x: Tensor) -> Tensor:
            if self._how.frankly:
                return self._masked.inner_model(x, sigma, **options)
            return self._masked(x, sigma, denoise_mask, **options)

        def noised(clean: Tensor, noise: Tensor) -> Tensor:
            return base.model_sampling.noise_scaling(along, noise, clean)

        around = base.scale_latent_inpaint(x=x, sigma=sigma, noise=self._masked.noise, latent_image=original)
        x.copy_(torch.lerp(around, x, mask))
        noises = [noise(level, lower).to(x) for noise in self._noises]
        return think(ask, noised, x, original, mask, noises)

    def _mask_at(self, sigma: Tensor, denoise_mask: Tensor, options: dict[str, Any]) -> Tensor:
        """The mask as the host reads it at this level: a soft one frees pixel after pixel."""
        of_level = options.get("model_options", {}).get("denoise_mask_function")
        if of_level is None:
            return denoise_mask
        about = {"model": self._masked.inner_model, "sigmas": self._masked.sigmas}
        return of_level(sigma, denoise_mask, extra_options=about)
