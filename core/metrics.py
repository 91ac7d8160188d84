"""How far two pictures or latents are apart."""

from __future__ import annotations

import math

from torch import Tensor


def mse(a: Tensor, b: Tensor) -> float:
    """Mean squared error of two tensors of one shape, computed in float64."""
    return float((a.double() - b.double()).square().mean())


def psnr(a: Tensor, b: Tensor, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in decibel, inf where they are equal; ``peak`` is the largest possible value."""
    error = mse(a, b)
    return 10.0 * math.log10(peak**2 / error) if error > 0.0 else math.inf
