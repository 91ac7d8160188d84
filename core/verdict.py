"""How well an inverted picture will come back: what the way up shows for free, and in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .inversion import Denoise, InputScale, Path

FAITHFUL, CLOSE = 35.0, 25.0
"""Latent PSNR in dB from which on no difference is seen, and from which on it is small."""


class MissMeter:
    """Adds up what the Euler steps down will miss a walk up by, as far as the walk shows it without a further call.

    A step down lands at (σ/σ⁺) x⁺ + (1 - σ/σ⁺) D(x⁺, σ⁺), and should land at x. The answer that the walk saw last near
    x⁺ stands for D(x⁺). Further down a miss shrinks as pictures do under noise: by the strength of a noised picture.

    worst: the largest miss of a single step, root mean square
    total: all misses, carried down to the picture; a tensor like it, None before the first step
    """

    def __init__(self, x: Tensor, input_scale: InputScale) -> None:
        self.before, self.sigma = x, 0.0
        self.input_scale = input_scale
        self.answer, self.asked_at = x, 0.0
        self.worst = 0.0
        self.total: Tensor | None = None

    def listening(self, denoise: Denoise) -> Denoise:
        """The same model, heard by this meter."""

        def ask(x: Tensor, sigma: float) -> Tensor:
            self.answer, self.asked_at = denoise(x, sigma), sigma
            return self.answer

        return ask

    def found(self, state: Tensor) -> None:
        """The state above the last one was found, from answers at its own sigma."""
        share = self.sigma / self.asked_at
        miss = share * state + (1 - share) * self.answer - self.before
        self.worst = max(self.worst, float(miss.square().mean().sqrt()))
        miss = miss / self.input_scale(self.sigma)
        self.total = miss if self.total is None else self.total + miss
        self.before, self.sigma = state, self.asked_at


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


def residual_of(method: str, path: Path, meter: MissMeter) -> Residual:
    """What a walk up shows for free; ``meter`` has listened to it."""
    rounding = float(torch.finfo(torch.float32).eps ** 2 * path.state.square().mean())
    if method in ("ddim", "corrected"):
        expected = 0.0 if meter.total is None else float(meter.total.square().mean())
        return Residual("what a step down will miss, from the last answers of the way up", meter.worst, expected)
    if method == "exact":
        return Residual("rounding only: the way down undoes every step", math.sqrt(rounding), rounding)
    largest = max((float(one.square().mean().sqrt()) for one in path.corrections), default=0.0)
    what = "the miss that is put right after a step down" if method == "pinned" else "the noise that a step down adds"
    return Residual(what, largest, rounding)


@dataclass(frozen=True)
class Verdict:
    """How well the picture comes back, for people.

    level: good, fair or poor
    text:  a sentence
    """

    level: str
    text: str


def judge(error: float, clean: Tensor, measured: bool) -> Verdict:
    """The mean squared error of a latent picture, measured or expected at most, in words."""
    peak = float(clean.max() - clean.min()) or 1.0
    quality = math.inf if error == 0 else 10 * math.log10(peak**2 / error)  # NaN is the worst of all
    if quality > FAITHFUL:
        level, seen = "good", "faithfully"
    elif quality > CLOSE:
        level, seen = "fair", "with small differences"
    else:
        level, seen = "poor", "with differences you will see"
    if measured:
        return Verdict(level, f"Run back as it was made, the picture comes back {seen}: measured.")
    at_worst = "" if level == "good" else ", at worst"
    return Verdict(level, f"Run back as it was made, the picture should come back {seen}{at_worst}.")
