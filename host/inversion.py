"""Inversion on a MODEL: a picture up to noise, and the noise down to a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.conditioning import Conditioning, conditioning_digest
from ..core.inversion import Denoise, Inversion
from ..core.inversion_methods import Ascent, Walk, invert, method_named, run_back
from ..core.mixed_noise import mixed_noise
from ..core.noise import NoisedRecord, StepNoise, digest
from ..core.null_text import NullTextInversion
from ..core.report import Work
from ..core.verdict import Residual
from .guider import Guidance, NullTextGuidance
from .latent import (
    Latent,
    OpenLatent,
    close_latent,
    from_model_space,
    input_divisor,
    latent_space,
    noise_of,
    open_latent,
    samples_of,
    seen_samples,
    stored,
)
from .model import model_fingerprint
from .noise import FixedNoise
from .progress import StepCounter
from .schedule import noise_schedule
from .solver import SOLVER_SEED, solve

NOT_IN_NOISE = (
    "method {method} keeps the picture in what it recorded for each step, and not in its noise; connect the inversion "
    "to Inversion Sampler, or set method to multistep in Invert to Noise, whose noise other samplers can go on from"
)
CALLS_A_STEP = 2  # of corrected, where a share of the noise is sought: a closer path for about twice the calls
BEST_FOR_EDITS = 0.6  # of the values of preserve in benchmarks/edit_truth.py


@dataclass(frozen=True, eq=False, repr=False)
class InversionSettings:
    """How to invert.

    method:     a name of ``core.inversion_methods.METHODS``
    iterations: calls a step of ``corrected``
    seed:       of the noise that ``noise_maps`` draws
    keep:       whether to keep every state
    report:     what the inversion was asked for, to say it in reports
    """

    method: str
    iterations: int
    seed: int
    keep: bool
    report: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Inverted:
    """An inversion, what its way up shows of its quality, and what it took."""

    inversion: Inversion
    residual: Residual
    work: Work


def check_inversion(model: ModelPatcher, inversion: Inversion) -> None:
    """Raise ValueError where an inversion cannot have been made with this model."""
    open_latent(model, {"samples": inversion.clean})
    space = latent_space(model)
    if inversion.flow != noise_schedule(model).flow or inversion.space not in ("", space):
        raise ValueError(
            f"inversion: it was made with a model of another family ({inversion.space}) than model ({space}); connect "
            f"the same model to Invert to Noise"
        )


def inverting_model(model: ModelPatcher, inversion: Inversion) -> str:
    """Whether an inversion was made by this MODEL, for a report: `this model`, `another model` or `not known`.

    A LoRA more or less is another one. By which prompts and cfg it was made, is not asked.
    """
    if not inversion.model:
        return "not known"
    return "this model" if inversion.model == model_fingerprint(model) else "another model"


def invert_latent(guidance: Guidance, opened: OpenLatent, sigmas: Tensor, settings: InversionSettings) -> Inverted:
    """Invert a latent picture up to ``sigmas[0]``.

    sigmas: [steps + 1] falling, ending in 0; empty leaves the picture as it is
    """
    model, method, clean = guidance.model, method_named(settings.method), opened.samples
    flow = noise_schedule(model).flow
    facts: dict[str, Any] = {"flow": flow, "cfg": guidance.cfg, "settings": settings.report}
    facts |= {"prompt": conditioning_digest(guidance.positive), "space": latent_space(model)}
    facts["model"] = model_fingerprint(model)
    if len(sigmas) == 0:
        unchanged = Residual("nothing is done at strength 0", 0.0, 0.0)
        return Inverted(Inversion(settings.method, sigmas, clean, clean, **facts), unchanged, Work())
    steps = [(sigma, sigma) for sigma in sigmas.tolist() if sigma > 0]
    maps = StepNoise(clean.shape, opened.keys(settings.seed), model.load_device, "noise maps", steps)
    ascent = Ascent(
        sigmas=sigmas.flip(0).tolist(),
        flow=flow,
        input_divisor=input_divisor(model),
        iterations=settings.iterations,
        noise_at=lambda sigma: maps(sigma, sigma),
        keep=settings.keep,
        watch=StepCounter(model, (len(sigmas) - 1) * method.walks),
    )

    def up(denoise: Denoise, x: Tensor) -> tuple[Walk, Residual]:
        return invert(denoise, x, method, ascent)

    solved = solve(guidance, sigmas, clean, up, method.double)
    walk, residual = solved.result
    inversion = Inversion(
        settings.method,
        sigmas,
        clean,
        state=stored(walk.state),
        below=stored(walk.below),
        corrections=stored(walk.corrections),
        trajectory=stored(walk.trajectory),
        **facts,
    )
    return Inverted(inversion, residual, solved.work)


def preserved_share(asked: float, inversion: Inversion, positive: Conditioning) -> float:
    """For which share of the run back a pinned inversion stays tied to its picture, 0..1.

    asked: as it is, or below 0 for what suits: all of the run under the inversion's own prompt, which gives the picture
           back, and under another one the share that edited best"""
    if asked >= 0:
        return asked
    return 1.0 if conditioning_digest(positive) == inversion.prompt else BEST_FOR_EDITS


def run_inversion_back(guidance: Guidance, inversion: Inversion, preserve: float) -> tuple[Tensor, Work]:
    """The picture that an inversion gives under a prompt, [B, C, ...] in ComfyUI's latent space.

    preserve: 0..1, see ``core.inversion_methods.run_back``
    """
    sigmas = inversion.sigmas
    if len(sigmas) == 0:
        return inversion.clean, Work()
    if isinstance(inversion, NullTextInversion):
        guidance = NullTextGuidance(
            guidance.model, guidance.positive, inversion.negative, guidance.cfg, inversion.embeddings
        )
    progress = StepCounter(guidance.model, len(sigmas) - 1)

    def down(denoise: Denoise, x: Tensor) -> Tensor:
        state = x
        for state in run_back(denoise, inversion.on(x), preserve):
            progress(state)
        return state

    solved = solve(guidance, sigmas, inversion.clean, down, method_named(inversion.method).double)
    return stored(from_model_space(guidance.model, solved.result.float())), solved.work


def partly_inverted(
    guidance: Guidance, opened: OpenLatent, sigmas: Tensor, noise: Tensor, share: float, method: str
) -> tuple[Tensor, Work]:
    """Noise to start from, turned from what was drawn towards what the picture itself inverts to.

    Under the prompt alone, in two steps, because more of them only find the same noise, and in one borders of tiles
    show. For the mix see ``core.mixed_noise``.

    noise:  [B, C, ...] as drawn
    share:  0 (drawn, without a call) .. 1 (inverted)
    method: one of ``core.inversion_methods.FOLLOWED``
    """
    if share == 0 or len(sigmas) < 2:
        return noise, Work()
    settings = InversionSettings(method, CALLS_A_STEP, 0, False, {})
    middle = (len(sigmas) - 1) // 2
    fewer = sigmas[[0, middle, -1]] if middle else sigmas
    found = invert_latent(replace(guidance, cfg=1.0), opened, fewer, settings)
    inverted = noise_of(guidance.model, found.inversion.state.float(), float(sigmas[0]), opened.samples).to(noise)
    return torch.stack([mixed_noise(*pair, share) for pair in zip(noise, inverted, strict=True)]), found.work


def inverted_noise(model: ModelPatcher, latent: Latent, inversion: Inversion) -> tuple[Latent, FixedNoise]:
    """The noise of an inversion as a LATENT and as a NOISE, for samplers that know nothing of inversions.

    Where the picture is not in its noise (``has_path``), both say so to who would sample them.
    """
    if len(inversion.sigmas) == 0:
        return latent, FixedNoise(torch.zeros_like(inversion.clean), SOLVER_SEED)
    first, state = float(inversion.sigmas[0]), inversion.state.float()
    samples, noise = samples_of(model, state, first), noise_of(model, state, first)
    refusal = "" if method_named(inversion.method).has_path else NOT_IN_NOISE.format(method=inversion.method)
    record = NoisedRecord(
        inversion.clean, noise, first, digest(samples), state, inverted=True, space=latent_space(model), refusal=refusal
    )
    return close_latent(latent, samples, record), FixedNoise(noise, SOLVER_SEED, refusal)


def inversion_steps(model: ModelPatcher, inversion: Inversion, count: int) -> Tensor:
    """States that an inversion went through, evenly chosen, from the picture to its noise, as samples to look at.

    count:   how many, both ends among them; all of them where there are not as many
    returns: [B * count, C, ...] in ComfyUI's latent space: of the first picture of the batch, then of the next
    """
    path = list(zip(inversion.path(), inversion.sigmas.tolist(), strict=True))[::-1]
    if not path:
        return inversion.clean
    chosen = torch.linspace(0, len(path) - 1, min(count, len(path))).round().int().tolist()
    steps = [seen_samples(model, state.float(), sigma) for state, sigma in (path[index] for index in chosen)]
    return torch.stack(steps, dim=1).flatten(0, 1)
