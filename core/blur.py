"""Blur by a Gaussian, from kornia."""

from __future__ import annotations

import math

from torch import Tensor

from .lazy import comfyui_package


def gaussian_blur(planes: Tensor, sigma: float) -> Tensor:
    """Planes [B, C, H, W] seen through a Gaussian of a deviation in pixels; beyond an edge lies its last pixel."""
    size = 2 * math.ceil(3 * sigma) + 1
    return comfyui_package("kornia.filters").gaussian_blur2d(
        planes, (size, size), (sigma, sigma), border_type="replicate"
    )
