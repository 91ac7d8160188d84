"""Edits by words: from what a picture shows to what it shall show, from the denoiser alone.

Two prompts are asked about one noised picture, and only the difference of their answers moves it. Nothing is inverted
and no part of a model is touched, so that one line serves every family. A picture x0 is noised to x = a x0 + sigma
noise, with a = 1 for variance exploding models (eps, v, EDM) and a = 1 - sigma for flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .inversion import Denoise, euler_step
from .mask import keep_outside

DenoisePair = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""(state for the source prompt, state for the target prompt, sigma) -> what each of the prompts sees in its own."""
DrawNoise = Callable[[float, float], Tensor]
"""Unit noise for the step between two sigmas, as ``StepNoise`` draws it."""


@dataclass(frozen=True)
class EditStep:
    """What one step of an edit came to.

    picture: [B, C, ...] the picture as edited so far, in the model's space
    sigma:   the noise level that was asked about
    pull:    what the prompts disagreed about there beyond what the edit had changed already; None while plainly sampled
    """

    picture: Tensor
    sigma: float
    pull: Tensor | None


def prompt_edit(
    denoise_pair: DenoisePair,
    x: Tensor,
    sigmas: Sequence[float],
    draws: Sequence[DrawNoise],
    flow: bool,
    mask: Tensor | None = None,
) -> Iterator[EditStep]:
    """FlowEdit (arXiv:2412.08629, eq. 8-9 and algorithm 1), written for a denoiser and every family, step by step.

    With d the difference made so far, 0 at first, and noise n of its own for each step from σ to σ':
    z = a x + σ n, Δ = D(z + d, σ, target) - D(z, σ, source), d ← (σ'/σ) d + (1 - σ'/σ) Δ, and the edit is x + d. This
    is an Euler step of the target's path less one of the source's. Two answers a step for each noise. Every second
    step takes the noise of the step before turned around, so that what the noise does to d at first order cancels.

    x:      [B, C, ...] the clean picture in the model's space
    sigmas: [steps + 1] falling; at the last one 0 the edit is whole
    draws:  one or more sources of noise, whose Δ are averaged
    flow:   whether noised pictures lose signal (a = 1 - σ)
    mask:   0..1, broadcastable to x: the share of Δ that is let through; where it is 0, x keeps its bits

    Where both prompts say the same, Δ is 0 and so is d, to the rounding of the denoiser.
    """
    change = torch.zeros_like(x)
    noises: list[Tensor] = []
    for place, (sigma, under) in enumerate(pairwise(sigmas)):
        noises = [-noise for noise in noises] if place % 2 else [draw(sigma, under) for draw in draws]
        seen = torch.zeros_like(x)
        for noise in noises:
            state = noised(x, noise, sigma, flow)
            source, target = denoise_pair(state, state + change, sigma)
            seen = seen + (target - source) / len(noises)
        pull = seen - change
        change = torch.lerp(change, seen if mask is None else mask * seen, 1 - under / sigma)
        picture = x + change
        yield EditStep(picture if mask is None else keep_outside(mask, x, picture), sigma, pull)


def finish(
    denoise: Denoise,
    x: Tensor,
    edited: Tensor,
    sigmas: Sequence[float],
    noise: Tensor,
    flow: bool,
    mask: Tensor | None = None,
) -> Iterator[EditStep]:
    """The end of an edit as plain sampling (FlowEdit's n_min, arXiv:2412.08629, appendix): Euler steps from z + d.

    The target prompt alone paints here, so that textures of its own come in. One answer a step.

    denoise: under the target prompt
    x:       [B, C, ...] the clean picture in the model's space
    edited:  x + d, as ``prompt_edit`` left it at ``sigmas[0]``
    sigmas:  falling to 0
    noise:   unit noise to go on from
    mask:    0..1, broadcastable to x; what it leaves of x follows x's own path under the same noise
    """
    state = noised(x, noise, sigmas[0], flow) + (edited - x)
    for sigma, under in pairwise(sigmas):
        answer = denoise(state, sigma)
        state = euler_step(lambda *_, answer=answer: answer, state, sigma, under)
        if mask is not None:
            own = noised(x, noise, under, flow)
            state = keep_outside(mask, own, torch.lerp(own, state, mask.expand_as(state)))
            answer = keep_outside(mask, x, torch.lerp(x, answer, mask.expand_as(x)))
        yield EditStep(state if under == 0 else answer, sigma, None)


def guided_pair(
    source: Tensor, target: Tensor, reference: Tensor, cfg: float, negatives: tuple[Tensor, Tensor], source_cfg: float
) -> tuple[Tensor, Tensor]:
    """Guidance of both sides that leaves no difference where the prompts say the same, at any cfg.

    source:    D(z, source prompt);       negatives[0]: D(z, negative prompt)
    target:    D(z + d, target prompt);   negatives[1]: D(z + d, negative prompt)
    reference: D(z + d, source prompt)
    returns:   the source's answer, N + source_cfg (S - N) at z, and the target's, the same at z + d and
               cfg (target - reference) besides

    With source_cfg 1 the negatives count for nothing and the source prompt is the target's negative (FlowAlign,
    arXiv:2505.23145, proposition 1); with cfg = source_cfg the reference counts for nothing and both are guided as
    usual (FlowEdit). What counts for nothing need not be asked: give anything of that shape.
    """
    at_source = source if source_cfg == 1 else torch.lerp(negatives[0], source, source_cfg)
    if cfg == source_cfg:
        return at_source, target if cfg == 1 else torch.lerp(negatives[1], target, cfg)
    base = reference if source_cfg == 1 else torch.lerp(negatives[1], reference, source_cfg)
    return at_source, base + cfg * (target - reference)


def noised(x: Tensor, noise: Tensor, sigma: float, flow: bool) -> Tensor:
    """A clean picture in the model's space lifted to a noise level: a x + σ n."""
    return (x * (1 - sigma) if flow else x) + sigma * noise.to(x)
