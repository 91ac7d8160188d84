"""How far two pictures or latents are apart."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .lazy import comfyui_package
from .placing import in_float64


def mse(a: Tensor, b: Tensor) -> float:
    """Mean squared error of two tensors of one shape, computed in float64."""
    return float((in_float64(a) - in_float64(b)).square().mean())


def psnr(a: Tensor, b: Tensor, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in decibel, inf where they are equal; ``peak`` is the largest possible value."""
    error = mse(a, b)
    return 10.0 * math.log10(peak**2 / error) if error > 0.0 else math.inf


def ssim(a: Tensor, b: Tensor, window: int = 11) -> float:
    """Structural similarity (Wang et al. 2004) of two batches of pictures [B, H, W, C] in 0..1; 1 where equal."""
    smaller = min(window, *a.shape[1:3])
    odd = smaller - 1 + smaller % 2
    # Its small eps would leave equal dark pictures short of 1; the constants of SSIM keep the denominator above 0.
    first, second = (in_float64(one).movedim(-1, 1) for one in (a, b))
    similarity = comfyui_package("kornia.metrics").ssim
    return float(similarity(first, second, odd, eps=0.0).mean())


def intersection_over_union(a: Tensor, b: Tensor) -> Tensor:
    """How far two masks [B, H, W] of bool cover one another, for each item, [B] in 0..1; 1 where both are empty."""
    both, either = ((a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def changed_pixels(a: Tensor, b: Tensor, where: Tensor | None = None) -> int:
    """How many pixels of pictures [B, H, W, C] differ in any channel; ``where`` [B, H, W] picks the ones that count."""
    changed = (a != b).any(-1)
    return int((changed if where is None else changed & where).sum())


def masked_pair(a: Tensor, b: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels of both pictures under a mask [1 or B, H, W] (0.5 and above), as [pixels, C]."""
    chosen = mask.expand(len(a), -1, -1) >= 0.5
    return a[chosen], b[chosen]


def as_8bit(image: Tensor) -> Tensor:
    """A picture in 0..1 as the 8-bit values that ComfyUI saves."""
    return (in_float64(image) * 255).clamp(0, 255).to(image.device, torch.uint8)


def proof_outside(original: Tensor, result: Tensor, outside: Tensor) -> dict[str, Any]:
    """Counts of changed pixels outside and inside a mask, in float and as the 8-bit values that are saved.

    original, result: [B, H, W, C]
    outside:          [B, H, W] bool
    """
    saved = as_8bit(original), as_8bit(result)
    difference = (result - original).abs().amax(-1)
    return {
        where: {
            "pixels": int(area.sum()),
            "changed": changed_pixels(original, result, area),
            "changed_8bit": changed_pixels(*saved, area),
            "largest_difference": float(difference[area].max()) if bool(area.any()) else 0.0,
        }
        for where, area in (("outside", outside), ("inside", ~outside))
    }
