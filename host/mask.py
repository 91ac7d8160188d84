"""Masks as sampling needs them, at the latent's resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.mask import MaskKind, mask_kind, soft_mask_at
from .schedule import noise_schedule


@dataclass(frozen=True, eq=False, repr=False)
class RunMask:
    """A mask ready for sampling.

    kind:   ``all`` (no mask needed), ``none`` (nothing may change), ``hard`` or ``soft``
    latent: [B, 1, ..., H, W] at the latent's resolution; None for ``all`` and ``none``
    """

    kind: MaskKind
    latent: Tensor | None = None


def run_mask(mask: Tensor | None, shape: torch.Size) -> RunMask:
    """Decide what a mask means before resizing it, then resize it as ComfyUI does.

    Pictures of a batch whose own mask is all ones stay all ones: resizing would leave rounding there.

    shape:  [B, C, ..., H, W] of the latent
    raises: ValueError for values outside 0..1, and for a mask so small that nothing of it is left
    """
    kind = "all" if mask is None else mask_kind(mask)
    if mask is None or kind in ("all", "none"):
        return RunMask(kind)
    if not bool(torch.isfinite(mask).all()) or bool((mask < 0).any()) or bool((mask > 1).any()):
        raise ValueError("mask: its values must lie between 0 (keep) and 1 (change); look at the node that made it")
    resized = comfy.utils.reshape_mask(mask.float(), (shape[0], 1, *shape[2:]))
    lost = ~resized.any()
    if len(shape) == 4:
        planes = comfy.utils.repeat_to_batch_size(mask.reshape(-1, *mask.shape[-2:]), shape[0]).flatten(1)
        whole = (planes >= 1).all(-1).reshape(-1, 1, 1, 1)
        resized = torch.where(whole, torch.ones_like(resized), resized)
        lost = planes.any(-1) & ~resized.flatten(1).any(-1)
    if bool(lost.any()):
        raise ValueError(
            "mask: it is so small that nothing of it is left in the latent picture; grow it by a few pixels"
        )
    return RunMask(kind, resized)


def with_soft_mask(model: ModelPatcher, sigmas: Tensor) -> ModelPatcher:
    """A clone of the model under which a soft mask frees each pixel at its own share of this run's strength.

    Source: differential diffusion (arXiv:2306.00950). A model that brings a mask function of its own keeps it.
    """
    if "denoise_mask_function" in model.model_options:
        return model
    table = noise_schedule(model).sigmas.float().to(model.load_device)
    first = torch.searchsorted(table, sigmas[:1].to(table)).clamp_min(1)

    def at(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return soft_mask_at(denoise_mask, torch.searchsorted(table, sigma[:1]) / first)

    model = model.clone()
    model.set_model_denoise_mask_function(at)
    return model
