"""Editing by words on a MODEL: two prompts asked about two states of a picture, together where they can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import comfy.model_management
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import Conditioning
from ..core.edit import DenoisePair, Edit, edit_steps, guided_pairs, plain_steps
from ..core.found_mask import found_mask
from ..core.inversion import Denoise
from ..core.kept import Kept
from ..core.mask import keep_outside
from ..core.noise import StepNoise
from ..core.report import Work
from ..core.schedule import StrengthSettings
from .guider import CountingGuider, Guidance
from .latent import OpenLatent, from_model_space, stored
from .mask import RunMask
from .model import cell_pixels
from .progress import StepCounter
from .schedule import noise_schedule, plan_strength
from .solver import Solver, run_solver

ALONE = {"area", "mask", "control", "gligen", "hooks", "strength", "default", "timestep_start", "timestep_end"}
"""What a prompt's entry can carry that keeps it from being asked together with another prompt."""


@dataclass(frozen=True, eq=False, repr=False)
class EditGuidance(Guidance):
    """Guidance of an edit: besides, what the picture shows now.

    source_cfg: how strictly that is followed; 1 takes the source prompt for the target's negative
    """

    source: Conditioning
    source_cfg: float

    def guider(self, sigmas: Tensor) -> EditGuider:
        """A guider that can be asked about both prompts."""
        return EditGuider(self, sigmas)


class EditGuider(CountingGuider):
    """A guider that also answers to the source prompt."""

    def __init__(self, guidance: EditGuidance, sigmas: Tensor) -> None:
        super().__init__(guidance, sigmas)
        self.inner_set_conds({"source": guidance.scheduled(guidance.source, sigmas)})
        self.source_cfg = guidance.source_cfg
        self.together = Kept[list[dict[str, Any] | None]](4)

    def pair(self, z: Tensor, moved: Tensor, sigma: float, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The source's guided answer about z, and the target's about z + d. See ``core.edit``.

        Each answer for a prompt counts as one call, with its negative prompt.
        """
        asked = [("source", z), ("positive", moved), ("source", moved)][: pair_calls(self.cfg, self.source_cfg)]
        self.calls += len(asked)
        source, target, *rest = self._ask(asked, sigma, options)
        negatives = (z, moved)
        if self.source_cfg != 1:
            first, second = self._ask([("negative", z), ("negative", moved)], sigma, options)
            negatives = (first, second)
        reference = rest[0] if rest else target
        of_source, of_target = guided_pairs(source, target, reference, self.cfg, negatives, self.source_cfg)
        return (
            self._guided(*of_source, self.source_cfg, z, sigma, options),
            self._guided(*of_target, self.cfg, moved, sigma, options),
        )

    def _guided(
        self, cond: Tensor, uncond: Tensor, cfg: float, x: Tensor, sigma: float, options: dict[str, Any]
    ) -> Tensor:
        """Guided by ComfyUI's own function, with what other nodes have added to it."""
        levels = x.new_full((len(x),), sigma)
        prompts = {"cond": self.conds["positive"], "uncond": self.conds["negative"]}
        return comfy.samplers.cfg_function(self.inner_model, cond, uncond, cfg, x, levels, options, **prompts)

    def _ask(self, asked: list[tuple[str, Tensor]], sigma: float, options: dict[str, Any]) -> list[Tensor]:
        """Answers to prompts about states: in one batch where prompts and memory allow, else one after the other."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        names, states = zip(*asked, strict=True)
        x = states[0]
        together = self.together.get((",".join(names), len(x)), lambda: [_together([self.conds[n] for n in names], x)])
        if together[0] is not None and _fits(self.inner_model, len(asked), x):
            whole = torch.cat(states)
            levels = whole.new_full((len(whole),), sigma)
            (answer,) = comfy.samplers.calc_cond_batch(self.inner_model, [[together[0]]], whole, levels, options)
            return list(answer.chunk(len(asked)))
        levels = x.new_full((len(x),), sigma)
        return [
            comfy.samplers.calc_cond_batch(self.inner_model, [self.conds[name]], state, levels, options)[0]
            for name, state in asked
        ]


def pair_calls(cfg: float, source_cfg: float) -> int:
    """How many calls each pair of guided answers takes: a third one where both sides are guided differently."""
    return 2 if cfg == source_cfg else 3


def _together(prompts: list[list[dict[str, Any]]], x: Tensor) -> dict[str, Any] | None:
    """Prompts as one prompt for a batch of as many times the pictures of x; None where they cannot be.

    prompts: as ComfyUI makes them ready for a run, an entry for each part of a prompt
    """
    if any(len(entries) != 1 or ALONE & entries[0].keys() for entries in prompts):
        return None
    conds = [entries[0]["model_conds"] for entries in prompts]
    if any(one.keys() != conds[0].keys() for one in conds):
        return None
    joined = {}
    for name in conds[0]:
        first, *others = (one[name].process_cond(batch_size=len(x), area=None) for one in conds)
        if not all(first.can_concat(other) for other in others):
            return None
        joined[name] = first._copy_with(first.concat(others))
    return prompts[0][0] | {"model_conds": joined}


def _fits(model: Any, count: int, x: Tensor) -> bool:
    """Whether so many times a batch [B, C, ...] fits into free memory, with ComfyUI's own margin."""
    free: Any = comfy.model_management.get_free_memory(x.device)
    return model.memory_required([count * len(x), *x.shape[1:]]) * 1.5 < free


class EditSampler(Solver):
    """Runs a function of core on both prompts of an edit.

    function: (denoise_pair, denoise under the target prompt, clean picture in the model's space) -> anything
    """

    def __init__(self, function: Callable[[DenoisePair, Denoise, Tensor], Any]) -> None:
        self.function = function

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """Once the model is loaded."""
        options = extra_args["model_options"]

        def pair(z: Tensor, moved: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
            return guider.pair(z, moved, sigma, options)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return guider(x, x.new_full((len(x),), sigma), **extra_args)

        return self.function(pair, denoise, clean.float())


FindMask = Literal["off", "show", "use"]
FIND_STEPS, FIND_STRENGTH = 7, 0.8
"""The short edit that finds a mask; more steps, or other strengths, find no better one."""


@dataclass(frozen=True, eq=False, repr=False)
class EditSettings:
    """How to edit, besides guidance and sigmas.

    scheduler: of the short edit that finds a mask
    seed:      of the noises, a stream of its own for each average
    averages:  how many noises are averaged at each step, 1 or more
    finish:    the share of the run that ends as plain sampling under the target prompt, 0..1
    find_mask: whether to say where the prompts disagree (``show``), or to find that first and change nothing elsewhere
    threshold: of that mask; see ``core.found_mask``
    """

    scheduler: str
    seed: int
    averages: int = 1
    finish: float = 0.0
    find_mask: FindMask = "off"
    threshold: float = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class Edited:
    """What an edit gave.

    samples: [B, C, ...] in ComfyUI's latent space
    found:   [B, 1, ..., H, W] in 0..1, where the prompts disagree; None where it was not asked for
    work:    what it took
    """

    samples: Tensor
    found: Tensor | None
    work: Work


def edit_latent(
    guidance: EditGuidance, opened: OpenLatent, sigmas: Tensor, settings: EditSettings, area: RunMask
) -> Edited:
    """Edit a latent picture from what the source prompt says to what the positive one says.

    sigmas: [steps + 1] falling to 0; empty leaves the picture as it is
    """
    clean = opened.samples
    if len(sigmas) == 0 or area.kind == "none":
        return Edited(clean, None if settings.find_mask == "off" else torch.zeros_like(clean[:, :1]), Work())
    finding = settings.find_mask == "use"
    progress = StepCounter(guidance.model, len(sigmas) - 1 + FIND_STEPS * finding)
    found, work, mask = None, Work(), area.latent
    if finding:
        found, work = find_mask(guidance, opened, settings, progress)
        mask = found if mask is None else mask.to(found) * found
    picture, change, more = _run(guidance, opened, sigmas, settings, mask, progress)
    if settings.find_mask == "show":
        found = stored(found_mask(change, settings.threshold))
    samples = stored(from_model_space(guidance.model, picture))
    if mask is not None:
        samples = keep_outside(mask.to(samples), clean.to(samples), samples)
    return Edited(samples, found, work + more)


def find_mask(
    guidance: EditGuidance, opened: OpenLatent, settings: EditSettings, progress: StepCounter
) -> tuple[Tensor, Work]:
    """Where the prompts of an edit disagree, [B, 1, ..., H, W] in 0..1, by a short edit at cfg 1."""
    plan = plan_strength(guidance.model, StrengthSettings(settings.scheduler, FIND_STEPS, FIND_STRENGTH))
    plain = replace(guidance, cfg=1.0, source_cfg=1.0)
    short = replace(settings, averages=1, finish=0.0)
    _, change, work = _run(plain, opened, plan.sigmas, short, None, progress)
    return stored(found_mask(change, settings.threshold)), work


def picture_mask(found: Tensor | None, opened: OpenLatent, model: ModelPatcher) -> Tensor:
    """A mask at the latent's resolution as a MASK of the picture's size; white all over where there is none."""
    planes = torch.ones_like(opened.samples[:, :1]) if found is None else found
    planes = planes.reshape(-1, 1, *planes.shape[-2:])
    return torch.nn.functional.interpolate(planes, scale_factor=cell_pixels(model), mode="bilinear")[:, 0]


def _run(
    guidance: EditGuidance,
    opened: OpenLatent,
    sigmas: Tensor,
    settings: EditSettings,
    mask: Tensor | None,
    progress: StepCounter,
) -> tuple[Tensor, Tensor, Work]:
    """The edited picture and what was added to it, [B, C, ...] in the model's space, and what that took."""
    _check_options(guidance.model.model_options)
    began, guider, shape = time.perf_counter(), guidance.guider(sigmas), opened.samples.shape
    flow, keys = noise_schedule(guidance.model).flow, opened.keys(settings.seed)
    drawn = list(pairwise(sigmas.tolist()))[::2]  # every second step turns the noise of the one before around
    device, averages = guidance.model.load_device, range(settings.averages)
    draws = [StepNoise(shape, keys, device, f"edit {index}", drawn) for index in averages]

    def run(pair: DenoisePair, denoise: Denoise, x: Tensor) -> tuple[Tensor, Tensor]:
        edit = Edit(sigmas.tolist(), draws, flow, None if mask is None else mask.to(x), settings.finish)
        picture = x
        for picture in edit_steps(pair, denoise, x, edit):
            progress(picture)
        return picture, picture - x

    picture, change = run_solver(guider, EditSampler(run), sigmas, opened.samples)
    steps, plain = len(sigmas) - 1, plain_steps(len(sigmas) - 1, settings.finish)
    planned = plain + pair_calls(guidance.cfg, guidance.source_cfg) * settings.averages * (steps - plain)
    return picture, change, Work(planned, guider.calls, time.perf_counter() - began, guidance.twice)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse a model with functions that work on a prompt and its negative in the form of a plain run."""
    for key in ("sampler_pre_cfg_function", "sampler_calc_cond_batch_function"):
        found = options.get(key) or []
        for function in found if isinstance(found, list) else [found]:
            name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
            raise ValueError(
                f"model: it carries {name}, which works on the prompts of a plain run before they are guided, and an "
                f"edit has other ones; connect the model without it"
            )
