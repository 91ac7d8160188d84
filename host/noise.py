"""Noise as ComfyUI draws and hands it on."""

from __future__ import annotations

from typing import Any

import comfy.sample
from torch import Tensor

from ..core.noise import isolated_rng


def draw_noise(samples: Tensor, seed: int, items: list[int] | None = None) -> Tensor:
    """ComfyUI's own initial noise: what a stock KSampler draws for this seed, batch and batch_index.

    samples: [B, C, ...], only for its shape
    """
    with isolated_rng(seed):
        noise: Any = comfy.sample.prepare_noise(samples, seed, items)
    return noise


class FixedNoise:
    """A NOISE that gives back noise already drawn, for stock sampler nodes."""

    def __init__(self, noise: Tensor, seed: int) -> None:
        self.noise = noise
        self.seed = seed

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """The recorded noise; raises ValueError where the latent has another shape."""
        samples = input_latent["samples"]
        if samples.shape != self.noise.shape:
            raise ValueError(
                f"noise: it was made for a latent of shape {list(self.noise.shape)}, "
                f"but is used with {list(samples.shape)}; connect the latent it was made for"
            )
        return self.noise.to(samples.dtype)
