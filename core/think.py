"""Thinking at a mask: inner rounds that let what is painted hear what stands around it.

A model without inpaint training sees the surroundings at every step, but what it has painted so far holds it back.
A round takes the step down and goes back up with fresh noise, so that the next answer is given anew, now knowing both.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def think(
    denoise: Callable[[Tensor], Tensor],
    x: Tensor,
    levels: tuple[float, float],
    noises: list[Tensor],
    flow: bool,
) -> Tensor:
    """Resampling (RePaint, arXiv:2201.09865, algorithm 1): the model's answer after some rounds.

    x:       [B, C, ...] the state at the upper level; changed in place, so that the sampler steps on from it
    levels:  sigma of the state, and of the level a round goes down to; both above 0
    noises:  unit noise of each round, of the shape of ``x``
    flow:    whether the state's signal falls as 1 - sigma
    returns: denoise(x) for the state that the last round left
    """
    sigma, lower = levels
    for noise in noises:
        x.copy_(noised_again(x + (1 - lower / sigma) * (denoise(x) - x), noise, levels, flow))
    return denoise(x)


def noised_again(x: Tensor, noise: Tensor, levels: tuple[float, float], flow: bool) -> Tensor:
    """A state from the lower of two levels back up at the upper one, by as much noise as lies between them."""
    sigma, lower = levels
    signal = (1 - sigma) / (1 - lower) if flow else 1.0
    return signal * x + (sigma**2 - (signal * lower) ** 2) ** 0.5 * noise
