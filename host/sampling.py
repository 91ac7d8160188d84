"""Sampling: one run of ComfyUI's own sampler from where the pack says it starts."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
from torch import Tensor

from ..core.conditioning import draws_from_seed
from ..core.mask import keep_outside
from ..core.noise import ItemKey, isolated_rng
from ..core.report import Work
from .guider import Guidance
from .latent import OpenLatent
from .mask import RunMask, with_soft_mask
from .model import fills_device, fitting_batch, picture_rows
from .progress import Progress
from .sampler import Sampler
from .thinking import thinking


@dataclass(frozen=True, eq=False, repr=False)
class Start:
    """Where a run starts.

    clean: [B, C, ...] the latent without noise, in ComfyUI's latent space; what a mask keeps
    noise: the same shape, unit variance
    keys:  (seed, item) of each picture, for the noise that stochastic samplers draw on the way
    state: a state in the model's space to start from as it is, instead of noising ``clean``
    """

    clean: Tensor
    noise: Tensor
    keys: list[ItemKey]
    state: Tensor | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Sampled:
    """What a run gave.

    samples: [B, C, ...] float32, in ComfyUI's latent space
    state:   the same in the model's space where the run stopped above sigma 0, else None
    work:    what it took
    """

    samples: Tensor
    state: Tensor | None
    work: Work


class PartialRun:
    """The function of a SAMPLER that starts from a state of its own or leaves one behind.

    state: [B, C, ...] in the model's space, instead of what the host noised; None to start as usual
    """

    def __init__(self, function: Callable[..., Tensor], state: Tensor | None) -> None:
        self.function, self.state = function, state
        self.state_left: Tensor | None = None

    def __call__(self, denoise: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        """Called by the SAMPLER in the place of its own function."""
        self.state_left = self.function(denoise, x if self.state is None else self.state.to(x), sigmas, **options)
        return self.state_left


def sample(
    guidance: Guidance,
    sampler: Sampler,
    sigmas: Tensor,
    start: Start,
    mask: RunMask,
    progress: Progress,
    think: int = 0,
) -> Sampled:
    """One run of ComfyUI's own sampling, from noise level ``sigmas[0]`` to ``sigmas[-1]``.

    A mask of kind ``none`` or an empty run gives the clean latent back without a model call.

    think: inner rounds at each step, where there is a mask (see ``core.think``)
    """
    if mask.kind == "none" or len(sigmas) < 2:
        return Sampled(start.clean, None, Work())
    if guidance.low is not None:
        a_part = partial(sample, sampler=sampler, mask=mask, progress=progress, think=think)
        return _in_parts(guidance.parts(sigmas), start, a_part)
    began = time.perf_counter()
    if mask.kind == "soft":
        guidance = replace(guidance, model=with_soft_mask(guidance.model, sigmas))
    sampler = sampler.with_item_noise(guidance.model, start.clean.shape, start.keys, float(sigmas[0]))
    if think and mask.latent is not None:
        sampler = thinking(sampler, think, guidance.model, start.keys)
    sampler_object, partial_run = sampler.object, None
    ends_noisy = float(sigmas[-1]) > 0.0
    if ends_noisy or start.state is not None:
        sampler_object, partial_run = _as_partial_run(sampler_object, start.state)
    guider, seed = guidance.guider(sigmas), start.keys[0][0]
    show_no_bar = not comfy.utils.PROGRESS_BAR_ENABLED
    with isolated_rng(seed):
        samples = guider.sample(
            start.noise, start.clean, sampler_object, sigmas.clone(), mask.latent, progress, show_no_bar, seed
        )
    samples = samples.to(comfy.model_management.intermediate_device())
    progress.advance(len(sigmas) - 1)
    if mask.latent is not None and not ends_noisy:
        samples = keep_outside(mask.latent.to(samples.device), start.clean.to(samples.device), samples)
    left = partial_run.state_left if partial_run is not None and ends_noisy else None
    work = Work(len(sigmas) - 1, guider.calls, time.perf_counter() - began, guidance.twice)
    return Sampled(samples, None if left is None else left.to(samples), work)


def _in_parts(parts: Iterable[tuple[Guidance, Tensor]], start: Start, sample_part: Callable[..., Sampled]) -> Sampled:
    """A run that a second MODEL ends: each part goes on from the state that the one before left."""
    work, run = Work(), Sampled(start.clean, None, Work())
    for guidance, sigmas in parts:
        run = sample_part(guidance, sigmas=sigmas, start=start)
        start, work = replace(start, state=run.state), work + run.work
    return replace(run, work=work)


def _as_partial_run(sampler: Any, state: Tensor | None) -> tuple[Any, PartialRun]:
    """A copy of a SAMPLER that starts from ``state`` where there is one, and what will hold its last state."""
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        raise ValueError(
            "sampler: this SAMPLER cannot start or stop part-way with the pack's nodes; choose one by sampler_name, "
            "or connect sigmas that end in 0 to a latent from SDEditNoise"
        )
    run = PartialRun(sampler.sampler_function, state)
    sampler = copy.copy(sampler)
    sampler.sampler_function = run
    return sampler, run


def batch_size(guidance: Guidance, sampler: Sampler, opened: OpenLatent, count: int, limit: int = 0) -> int:
    """How many pictures to sample at once.

    limit: at most this many; 0 asks ComfyUI how much memory is free. Parts are of one size then, so that the first of
        them is finished early, and one picture each where more together save nothing.

    A sampler that draws its noise under the mask for the whole batch (ddim), and a model that draws noise of its own
    from the seed, get one picture at a time, so that each is the same alone.
    """
    model = guidance.model
    if opened.mask is not None and sampler.masks_whole_batch:
        return 1
    if draws_from_seed(guidance.positive) or draws_from_seed(guidance.negative):
        return 1
    if len(picture_rows(model, opened.samples)[0]) > 1:  # a clip
        return 1
    shape = list(opened.samples.shape[1:])
    if limit or fills_device(model, shape):
        return limit or 1
    parts = math.ceil(count / fitting_batch(model, shape, count))
    return math.ceil(count / parts)
