"""Masks as sampling needs them, at the latent's resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_base
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..core.mask import MaskKind, mask_kind, planes_of_mask, same_shape, soft_mask_at
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

    Pictures and frames whose own mask is all ones stay all ones: resizing would leave rounding there. On clips, masks
    of frames meet latent frames as in ``core.mask.planes_of_mask``.

    shape:  [B, C, ..., H, W] of the latent
    raises: ValueError for values outside 0..1, and for a mask so small that nothing of it is left
    """
    kind = "all" if mask is None else mask_kind(mask)
    if mask is None or kind in ("all", "none"):
        return RunMask(kind)
    if not bool(torch.isfinite(mask).all()) or bool((mask < 0).any()) or bool((mask > 1).any()):
        raise ValueError("mask: its values must lie between 0 (keep) and 1 (change); look at the node that made it")
    planes = _planes(mask.float(), shape)
    resized = comfy.utils.reshape_mask(planes, (shape[0], 1, *shape[2:]))
    resized = torch.where((planes >= 1).flatten(-2).all(-1)[..., None, None], torch.ones_like(resized), resized)
    if bool((planes.flatten(-2).any(-1) & ~resized.flatten(-2).any(-1)).any()):
        raise ValueError(
            "mask: it is so small that nothing of it is left in the latent picture; grow it by a few pixels"
        )
    return RunMask(kind, resized)


def _planes(mask: Tensor, shape: torch.Size) -> Tensor:
    """A mask at its own resolution, in the order of a latent's pictures and frames: [1 or B, 1, ..., H, W]."""
    if len(shape) == 4:
        return comfy.utils.repeat_to_batch_size(mask.reshape(-1, 1, *mask.shape[-2:]), shape[0])
    if len(shape) == 5:
        planes = planes_of_mask(mask, shape[0], shape[2])
        if planes.shape[2] in (1, shape[2]):
            return planes
        return torch.nn.functional.interpolate(planes, (shape[2], *planes.shape[-2:]), mode="trilinear")
    if mask.ndim != 3 or mask.shape[1] != 1:
        raise ValueError(
            f"mask: it is a picture's, {mask.shape[-1]} x {mask.shape[-2]} pixels, but this latent is no picture; "
            f"remove it"
        )
    return mask


def stretched_mask(mask: Tensor, pictures: Sequence[tuple[int, int]]) -> list[str]:
    """What an artist should know of a mask that has the shape of no picture, in words; nothing where all is well.

    As everywhere in ComfyUI, such a mask is stretched. Most often it belongs to another picture.

    mask:     [B, H, W]; of one value all over, its shape means nothing
    pictures: height and width of each picture it may belong to
    """
    size = mask.shape[-2], mask.shape[-1]
    fits = not pictures or any(same_shape(size, picture) for picture in pictures)
    if fits or mask_kind(mask) in ("all", "none"):
        return []
    height, width = pictures[0]
    return [f"Mask stretched from {size[1]} x {size[0]} to {width} x {height}: is it of another picture?"]


def reads_masks(model: ModelPatcher) -> bool:
    """Whether a model takes gray in a mask for a noise level: m * sigma where the mask is m (LTXV, Wan 2.2 5B...)."""
    return type(model.model).process_timestep is not comfy.model_base.BaseModel.process_timestep


def with_soft_mask(model: ModelPatcher, sigmas: Tensor) -> ModelPatcher:
    """A clone of the model under which a soft mask frees each pixel at its own share of this run's strength.

    Source: differential diffusion (arXiv:2306.00950). A model that reads masks itself, or brings a mask function of
    its own, keeps to that.
    """
    if "denoise_mask_function" in model.model_options or reads_masks(model):
        return model
    table = noise_schedule(model).sigmas.float().to(model.load_device)
    first = torch.searchsorted(table, sigmas[:1].to(table)).clamp_min(1)

    def at(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return soft_mask_at(denoise_mask, torch.searchsorted(table, sigma[:1]) / first)

    model = model.clone()
    model.set_model_denoise_mask_function(at)
    return model
