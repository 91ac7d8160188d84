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

from .found_mask import found_mask
from .inversion import Denoise, euler_step
from .mask import keep_outside

DenoisePair = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""(state for the source prompt, state for the target prompt, sigma) -> what each of the prompts sees in its own."""
DrawNoise = Callable[[float, float], Tensor]
"""Unit noise for the step between two sigmas, as ``StepNoise`` draws it."""
FAINT = 0.1
"""The threshold of ``found_mask`` under which a change is what two answers differ in by chance, and not meant."""


def prompt_edit(
    denoise_pair: DenoisePair,
    x: Tensor,
    sigmas: Sequence[float],
    draws: Sequence[DrawNoise],
    flow: bool,
    mask: Tensor | None = None,
) -> Iterator[Tensor]:
    """FlowEdit (arXiv:2412.08629, eq. 8-9 and algorithm 1), written for a denoiser and every family, step by step.

    With d the difference made so far, 0 at first, and noise n of its own for each step from sigma s to s':
    z = a x + s n, delta = D(z + d, s, target) - D(z, s, source), d <- (s'/s) d + (1 - s'/s) delta; the edit is x + d.
    This is an Euler step of the target's path less one of the source's. Two answers a step for each noise. Every second
    step takes the noise of the step before turned around, so that what the noise does to d at first order cancels. In
    the second half, when the strong differences are known, delta is left out where d is ``FAINT`` beside them, by
    DiffEdit's mask (arXiv:2210.11427), which takes no call here. What d starts as: see ``_tone``.

    x:      [B, C, ...] the clean picture in the model's space
    sigmas: [steps + 1] falling; at the last one 0 the edit is whole
    draws:  one or more sources of noise, whose delta are averaged
    flow:   whether noised pictures lose signal (a = 1 - s)
    mask:   0..1, broadcastable to x: the share of delta that is let through; where it is 0, x keeps its bits

    returns: the picture as edited so far after each step, [B, C, ...] in the model's space

    Where both prompts say the same, delta is 0 and so is d, to the rounding of the denoiser.
    """
    change = torch.zeros_like(x)
    noises: list[Tensor] = []
    for index, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        noises = [-noise for noise in noises] if index % 2 else [draw(sigma, sigma_next) for draw in draws]
        seen = torch.zeros_like(x)
        for noise in noises:
            state = noised(x, noise, sigma, flow)
            source, target = denoise_pair(state, state + change, sigma)
            seen = seen + (target - source) / len(noises)
        if index == 0:
            change = _tone(seen, mask, 1 - sigma if flow else 1.0)
        share = 1 - sigma_next / sigma
        if 2 * index >= len(sigmas) - 1:
            seen = seen * found_mask(torch.lerp(change, seen, share), FAINT).to(seen)
        change = torch.lerp(change, seen if mask is None else mask * seen, share)
        picture = x + change
        yield picture if mask is None else keep_outside(mask, x, picture)


def _tone(delta: Tensor, mask: Tensor | None, signal: float) -> Tensor:
    """What an edit starts as: a times the mean of its first delta over each picture, or what of it a mask lets through.

    A run does not start at infinite noise, and on the way from there d would have come to a delta already, were delta
    always what it is now. Of the picture as a whole it is, of its parts it is not. From 0, edits of light and season
    come out too weak.

    signal: a, the share of the picture in what it is noised to
    """
    weight = torch.ones_like(delta) if mask is None else mask.expand_as(delta)
    dims = tuple(range(2, delta.ndim))
    total = weight.sum(dims, keepdim=True).clamp(min=1)
    return signal * weight * ((weight * delta).sum(dims, keepdim=True) / total)


def finish(
    denoise: Denoise,
    x: Tensor,
    edited: Tensor,
    sigmas: Sequence[float],
    noise: Tensor,
    flow: bool,
    mask: Tensor | None = None,
) -> Iterator[Tensor]:
    """The end of an edit as plain sampling (FlowEdit's n_min, arXiv:2412.08629, appendix): Euler steps from z + d.

    The target prompt alone paints here, so that textures of its own come in. One answer a step.

    denoise: under the target prompt
    x:       [B, C, ...] the clean picture in the model's space
    edited:  x + d, as ``prompt_edit`` left it at ``sigmas[0]``
    sigmas:  falling to 0
    noise:   unit noise to go on from
    mask:    0..1, broadcastable to x; what it leaves of x follows x's own path under the same noise
    returns: what is seen of the picture at each step, at last the picture itself
    """
    state = noised(x, noise, sigmas[0], flow) + (edited - x)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoise(state, sigma)
        state = euler_step(lambda *_, denoised=denoised: denoised, state, sigma, sigma_next)
        if mask is not None:
            own = noised(x, noise, sigma_next, flow)
            state = keep_outside(mask, own, torch.lerp(own, state, mask.expand_as(state)))
            denoised = keep_outside(mask, x, torch.lerp(x, denoised, mask.expand_as(x)))
        yield state if sigma_next == 0 else denoised


@dataclass(frozen=True, eq=False, repr=False)
class Edit:
    """All that an edit is made with, besides the picture and the model; the fields are those of ``prompt_edit``.

    finish: 0..1, the share of the steps that end as plain sampling under the target prompt
    """

    sigmas: Sequence[float]
    draws: Sequence[DrawNoise]
    flow: bool
    mask: Tensor | None = None
    finish: float = 0.0


def edit_steps(denoise_pair: DenoisePair, denoise: Denoise, x: Tensor, edit: Edit) -> Iterator[Tensor]:
    """The steps of a whole edit: ``prompt_edit``, and ``finish`` for the last share of them.

    denoise: under the target prompt, for the plain part
    x:       [B, C, ...] the clean picture in the model's space
    """
    steps = len(edit.sigmas) - 1
    turn = steps - plain_steps(steps, edit.finish)
    edited = x
    for edited in prompt_edit(denoise_pair, x, edit.sigmas[: turn + 1], edit.draws, edit.flow, edit.mask):
        yield edited
    if turn < steps:
        noise = edit.draws[0](edit.sigmas[turn], 0.0)
        yield from finish(denoise, x, edited, edit.sigmas[turn:], noise, edit.flow, edit.mask)


def plain_steps(steps: int, share: float) -> int:
    """How many of the steps of an edit end it as plain sampling, for a share of them in 0..1."""
    return round(share * steps)


def guided_pairs(
    source: Tensor, target: Tensor, reference: Tensor, cfg: float, negatives: tuple[Tensor, Tensor], source_cfg: float
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What to guide from and to on both sides, so that equal prompts leave no difference at any cfg.

    source:    D(z, source prompt);       negatives[0]: D(z, negative prompt)
    target:    D(z + d, target prompt);   negatives[1]: D(z + d, negative prompt)
    reference: D(z + d, source prompt)
    returns:   (cond, uncond) of the source, to be guided by source_cfg, and of the target, to be guided by cfg. Guided
               as uncond + cfg (cond - uncond), the target's answer is N + source_cfg (reference - N) + cfg (target -
               reference).

    With source_cfg 1 the negatives count for nothing and the source prompt is the target's negative (FlowAlign,
    arXiv:2505.23145, proposition 1). With cfg = source_cfg the reference cancels out and both are guided as usual
    (FlowEdit). What counts for nothing need not be asked: give anything of that shape.
    """
    if source_cfg == 1:
        base = target if cfg == 1 else reference
        return (source, source), (target, base)
    if cfg == source_cfg:
        return (source, negatives[0]), (target, negatives[1])
    base = torch.lerp(negatives[1], reference, source_cfg)
    return (source, negatives[0]), (base + target - reference, base)


def noised(x: Tensor, noise: Tensor, sigma: float, flow: bool) -> Tensor:
    """A clean picture in the model's space lifted to the noise level s: a x + s n."""
    return (x * (1 - sigma) if flow else x) + sigma * noise.to(x)
