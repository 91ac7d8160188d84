"""Inversion by a multistep rule: one answer a step, and the way down undoes the way up but for how it guesses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from .inversion import Denoise, InputDivisor

TREND = 0.25
"""How much of the change from one midpoint to the next is expected to go on; all of it would make guidance diverge."""


def multistep(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_divisor: InputDivisor) -> Iterator[Tensor]:
    """The midpoint rule with a carried midpoint (FireFlow, arXiv:2412.07517, algorithm 1), up or down.

    x+ = (s+/s) x + (1 - s+/s) D(z, sm), taken along the straight line through z = (sm/s) x + (1 - sm/s) D(z, sm), with
    sm = (s + s+)/2: the same rule read upwards and downwards, so that a round trip loses only what z is guessed
    wrong by. FireFlow guesses that the derivative stays. Where there is much noise it does, where there is little the
    denoised picture stays instead; the guess here is the mean of both, each with ``TREND`` of its latest change, which
    halves FireFlow's error and more at few steps. One call a step, and one at the start.

    x:       [B, C, ...] at ``sigmas[0]``, in the model's space
    sigmas:  [steps + 1] rising from 0 or falling to 0
    returns: the states at ``sigmas[1:]``

    Of order 2 as a path. The error of a round trip falls with the third power of the number of steps on variance
    exploding models, and with the second on flow, where the guess is worst next to the picture.
    """
    start = sigmas[0] or sigmas[1]  # at 0 the derivative is 0/0
    lifted = x * (input_divisor(start) / input_divisor(sigmas[0]))
    denoised = denoise(lifted, start)
    history = [(start, (lifted - denoised) / start, denoised)]
    for sigma, sigma_next in pairwise(sigmas):
        middle = (sigma + sigma_next) / 2
        d, _ = _expected(history, (sigma + middle) / 2)
        _, denoised = _expected(history, middle)
        guess = x + (middle - sigma) * d
        if sigma > 0:
            ratio = middle / sigma
            guess = (guess + ratio * x + (1 - ratio) * denoised) / 2
        denoised = denoise(guess, middle)
        d = (guess - denoised) / middle
        history = [(middle, d, denoised), history[0]]
        x = x + (sigma_next - sigma) * d
        yield x


def _expected(history: Sequence[tuple[float, Tensor, Tensor]], sigma: float) -> tuple[Tensor, Tensor]:
    """Derivative and denoised picture at a sigma: those of the last midpoint, and ``TREND`` of how they were going."""
    at, d, denoised = history[0]
    if len(history) == 1:
        return d, denoised
    before, d_before, denoised_before = history[1]
    share = TREND * max(-1.0, min(1.0, (sigma - at) / (at - before)))
    return d + share * (d - d_before), denoised + share * (denoised - denoised_before)
