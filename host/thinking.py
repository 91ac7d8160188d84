"""Thinking at a mask, for any SAMPLER: the model it asks first goes through some inner rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import comfy.samplers
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.noise import ItemKey, StepNoise
from ..core.think import think
from .sampler import Sampler
from .schedule import noise_schedule

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
    changed.sampler_function = _Thinking(changed.sampler_function, rounds, keys, noise_schedule(model).flow)
    return replace(sampler, object=changed)


class _Thinking:
    """The function of a SAMPLER, with a model that thinks."""

    def __init__(self, function: Callable[..., Tensor], rounds: int, keys: Sequence[ItemKey], flow: bool) -> None:
        self.function, self.rounds, self.keys, self.flow = function, rounds, keys, flow

    def __call__(self, denoise: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        """Called by the SAMPLER in the place of its own function; the state given stays as it is."""
        model = _ThinkingModel(denoise, self, sorted(sigmas.tolist()), x)
        return self.function(model, x.clone(), sigmas, **options)


class _ThinkingModel:
    """A model as samplers see it: the host's own in everything but its answers."""

    def __init__(self, model: Any, how: _Thinking, levels: list[float], like: Tensor) -> None:
        self._model, self._how, self._levels = model, how, levels
        self._noises = [
            StepNoise(like.shape, how.keys, like.device, f"thinking {number}") for number in range(how.rounds)
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, x: Tensor, sigma: Tensor, **options: Any) -> Tensor:
        """Called by the sampler; no rounds on the last stretch, which ends in the picture itself."""

        def denoise(x: Tensor) -> Tensor:
            return self._model(x, sigma, **options)

        level = float(sigma[0])
        lower = max((one for one in self._levels if one < level * (1 - 1e-6)), default=0.0)
        if lower == 0.0:
            return denoise(x)
        noises = [noise(level, lower).to(x) for noise in self._noises]
        return think(denoise, x, (level, lower), noises, self._how.flow)
