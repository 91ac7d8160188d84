"""Thinking at a mask: inner rounds that let what is painted hear what stands around it.

A model without inpaint training sees the surroundings at every step, but what it has painted so far holds it back.
A round forgets all of the state but the model's answer, and tells the model how far off it was where the truth is
known, so that the next answer is given anew, now knowing both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Ask = Callable[[Tensor], Tensor]


def think(
    ask: Ask, noised: Callable[[Tensor, Tensor], Tensor], x: Tensor, original: Tensor, mask: Tensor,
    noises: Sequence[Tensor], push: float = 1.0,
) -> Tensor:  # fmt: skip
    """The model's answer after some rounds of Langevin dynamics that both sides of the mask take part in.

    LanPaint (arXiv:2502.03491, sec. 4): outside the mask the state is drawn to the original, and away from the answer
    by ``push`` times the answer's error. Its steps here are so long that nothing of the old state is left, which won.

    ask:      a state -> the model's answer about all of it, inside and outside of the mask
    noised:   a clean latent and unit noise -> the state at the present level
    x:        [B, C, ...] the state; changed in place, so that the sampler steps on from it
    original: [B, C, ...] the clean latent, known outside the mask
    mask:     1 where it is painted, 0 where it is known; broadcast to ``x``
    noises:   unit noise of each round, of the shape of ``x``
    returns:  ask(x) inside and the original outside, for the state that the last round left
    """
    for noise in noises:
        answer = ask(x)
        x.copy_(noised(torch.lerp(original + push * (original - answer), answer, mask), noise))
    return torch.lerp(original, ask(x), mask)
