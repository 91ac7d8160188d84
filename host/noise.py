"""Noise as ComfyUI draws and hands it on."""

from __future__ import annotations

from typing import Any

import comfy.sample
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.noise import FrameNoise, isolated_rng, noise_of_frames
from .latent import OpenLatent
from .model import picture_rows


def draw_noise(samples: Tensor, seed: int, items: list[int] | None = None) -> Tensor:
    """ComfyUI's own initial noise: what a stock KSampler draws for this seed, batch and batch_index.

    samples: [B, C, ...], only for its shape
    """
    with isolated_rng(seed):
        noise: Any = comfy.sample.prepare_noise(samples, seed, items)
    return noise


def clip_noise(model: ModelPatcher, opened: OpenLatent, seed: int, kind: FrameNoise) -> Tensor:
    """As ``draw_noise``, with what the frames of clips get of it; see ``core.noise.noise_of_frames``.

    Models of pictures have no frames, and some models of clips take a batch for the frames of one.
    """
    samples, keys = opened.samples, opened.keys(seed)
    noise = draw_noise(samples, seed, opened.items)
    if len(picture_rows(model, samples)[0]) > 1:
        return noise_of_frames(noise.transpose(0, 1)[None], kind, keys[:1])[0].transpose(0, 1)
    return noise_of_frames(noise, kind, keys) if samples.ndim == 5 else noise


class FixedNoise:
    """A NOISE that gives back noise already drawn, for stock sampler nodes.

    refusal: why it cannot be used, where it cannot
    """

    def __init__(self, noise: Tensor, seed: int, refusal: str = "") -> None:
        self.noise = noise
        self.seed = seed
        self.refusal = refusal

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """The recorded noise; raises ValueError where the latent has another shape, or where it is of no use."""
        if self.refusal:
            raise ValueError(f"noise: {self.refusal}")
        samples = input_latent["samples"]
        if samples.shape != self.noise.shape:
            raise ValueError(
                f"noise: it was made for a latent of shape {list(self.noise.shape)}, "
                f"but is used with {list(samples.shape)}; connect the latent it was made for"
            )
        return self.noise.to(samples.dtype)
