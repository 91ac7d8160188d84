"""How well an inverted picture will come back: what the way up shows for free, and in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .inversion import Denoise, InputDivisor

FAITHFUL, CLOSE = 35.0, 25.0
"""Latent PSNR in dB from which on no difference is seen, and from which on it is small."""


class RoundTripError:
    """Adds up the error of the Euler steps down after a walk up, as far as the walk shows it without a further call.

    A step down lands at (s/s+) x+ + (1 - s/s+) D(x+, s+), and should land at x. The answer that the walk got last near
    x+ stands for D(x+). Further down an error shrinks as pictures do under noise: by what the model divides its input
    by.

    x: [B, C, ...] the clean picture, where the walk starts

    worst: the largest error of a single step, root mean square, a scalar tensor
    total: all errors, carried down to the picture, [B, C, ...]; None before the first step
    """

    def __init__(self, x: Tensor, input_divisor: InputDivisor) -> None:
        self.state, self.sigma = x, 0.0
        self.input_divisor = input_divisor
        self.asked, self.denoised, self.sigma_asked = x, x, 0.0
        self.worst = x.new_zeros(())  # on the device, because reading it at each step would wait for that
        self.total: Tensor | None = None

    def listening(self, denoise: Denoise) -> Denoise:
        """The same model, whose last answer this remembers."""

        def ask(x: Tensor, sigma: float) -> Tensor:
            self.asked, self.denoised, self.sigma_asked = x, denoise(x, sigma), sigma
            return self.denoised

        return ask

    def found(self, state: Tensor) -> None:
        """The walk has found its next state, [B, C, ...], from answers at that state's own sigma."""
        ratio = self.sigma / self.sigma_asked
        self._add(ratio * state + (1 - ratio) * self.denoised - self.state, state, self.sigma_asked)

    def _add(self, error: Tensor, state: Tensor, sigma: float) -> None:
        """The error of the step from the state found before to this one, at ``sigma``."""
        self.worst = torch.maximum(self.worst, error.square().mean().sqrt())
        error = error / self.input_divisor(self.sigma)
        self.total = error if self.total is None else self.total + error
        self.state, self.sigma = state, sigma


class MidpointError(RoundTripError):
    """The same for a walk by the midpoint rule (``multistep``), whose way down errs only by how it guesses midpoints.

    A guess lies off the straight line of its step by some miss, on the way down by about as much to the other side.
    The derivative (z - D(z, sm)) / sm changes by at most 2 miss / sm between them.
    """

    def found(self, state: Tensor) -> None:
        """The walk has found its next state, [B, C, ...], from an answer at the midpoint of the step."""
        sigma = 2 * self.sigma_asked - self.sigma
        miss = self.asked - (self.state + state) / 2
        self._add(2 * (sigma - self.sigma) / self.sigma_asked * miss, state, sigma)


@dataclass(frozen=True)
class Residual:
    """What an inversion shows of its own quality without running back.

    meaning: what ``step`` is for the method at hand
    step:    root mean square of the worst step
    picture: the mean squared error of the picture, run back as it was made, that is to be expected at most
    """

    meaning: str
    step: float
    picture: float


def path_residual(error: RoundTripError) -> Residual:
    """Of a method whose error the way up foretells."""
    expected = 0.0 if error.total is None else float(error.total.square().mean())
    return Residual("the error of a step down, foretold from the answers of the way up", float(error.worst), expected)


def rounding_residual(state: Tensor) -> Residual:
    """Of a method whose way down undoes every step; ``state`` is the noise, [B, C, ...]."""
    rounding = _rounding(state)
    return Residual("rounding only: the way down undoes every step", math.sqrt(rounding), rounding)


def corrections_residual(meaning: str, state: Tensor, corrections: Sequence[Tensor]) -> Residual:
    """Of a method that adds corrections on its way down, which ``meaning`` describes."""
    sizes = [one.square().mean().sqrt() for one in corrections]
    largest = float(torch.stack(sizes).max()) if sizes else 0.0
    return Residual(meaning, largest, _rounding(state))


def _rounding(state: Tensor) -> float:
    return float(torch.finfo(torch.float32).eps ** 2 * state.square().mean())


Level = Literal["good", "fair", "poor"]


@dataclass(frozen=True)
class Verdict:
    """How well the picture comes back, for people; ``text`` is a sentence."""

    level: Level
    text: str


def judge(error: float, clean: Tensor, measured: bool) -> Verdict:
    """The mean squared error of a latent picture, measured or expected at most, in words.

    clean: [B, C, ...] the picture, in the space that the error was measured in
    """
    peak = float(clean.max() - clean.min()) or 1.0
    quality = math.inf if error == 0 else 10 * math.log10(peak**2 / error)  # NaN is the worst of all
    level: Level
    if quality > FAITHFUL:
        level, seen = "good", "faithfully"
    elif quality > CLOSE:
        level, seen = "fair", "with small differences"
    else:
        level, seen = "poor", "with visible differences"
    if measured:
        return Verdict(level, f"The same prompt reproduces your picture {seen}.")
    at_worst = "" if level == "good" else ", at worst"
    return Verdict(level, f"The same prompt should reproduce your picture {seen}{at_worst}.")
