"""Noise between what was drawn and what a picture inverts to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RINGS = 16
"""Rings of equal frequency to one wave a cell: so few that the lowest holds enough waves to tell their power."""


def mixed_noise(drawn: Tensor, inverted: Tensor, share: float) -> Tensor:
    """Noise of one picture, turned from what was drawn towards what the picture inverts to, and nowhere weaker.

    A picture that lacks detail inverts to noise that is weak at high frequencies, P(f) < 1; from it comes a picture
    that lacks detail. So what is missing of each frequency is drawn: a inverted + b drawn, with a = sin(share · 90°)
    and b² = 1 - a² P(f), at least 0. Where the picture says what it is, it keeps that; where it says nothing, detail
    is invented.

    drawn, inverted: [C, ..., H, W]; drawn noise has power 1 at every frequency
    share:           0 (drawn) .. 1 (inverted, and drawn only what it lacks)
    returns:         the same shape
    """
    height, width = drawn.shape[-2:]
    amount = math.sin(share * math.pi / 2)
    found, fresh = (torch.fft.rfft2(noise.float()) for noise in (inverted, drawn))
    power = amount**2 * _power(found, height, width)
    mixed = amount * found + (1 - power).clamp(min=0).sqrt() * fresh
    return torch.fft.irfft2(mixed, s=(height, width)).to(drawn)


def _power(spectrum: Tensor, height: int, width: int) -> Tensor:
    """The mean power of noise [C, ..., H, W // 2 + 1], of its spectrum, in rings of equal frequency; [H, W // 2 + 1].

    White noise of unit variance has 1 everywhere.
    """
    down = torch.fft.fftfreq(height, device=spectrum.device)[:, None]
    across = torch.fft.rfftfreq(width, device=spectrum.device)
    ring = ((down**2 + across**2).sqrt() * RINGS).round().long()
    each = spectrum.abs().square().flatten(0, -3).mean(0) / (height * width)
    count, total = (
        torch.zeros(int(ring.max()) + 1, device=spectrum.device).index_add_(0, ring.flatten(), values.flatten())
        for values in (torch.ones_like(each), each)
    )
    return (total / count.clamp(min=1))[ring]
