"""What pictures, masks and numbers must be. ComfyUI checks values typed into widgets, but none that come by a link."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LONGEST_SIDE = 32768  # pixels; half of what Pillow takes


def check_number(name: str, value: float, low: float | None, high: float | None) -> None:
    """Raise ValueError for what is no finite number from ``low`` to ``high``, where these are given."""
    within = (low is None or value >= low) and (high is None or value <= high)
    if not math.isfinite(value) or not within:
        bounds = f" from {_plain(low)} to {_plain(high)}" if low is not None and high is not None else ""
        raise ValueError(f"{name} must be a number{bounds}, got {value}")


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def check_picture(name: str, image: Tensor) -> None:
    """Raise ValueError unless these are pictures [B, H, W, C] of finite numbers, in floating point."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            f"{name}: its shape is {list(image.shape)}, but pictures have the shape [batch, height, width, colors] "
            f"with 1, 3 or 4 colors; connect an IMAGE, from Load Image or VAE Decode"
        )
    if max(image.shape[1:3]) > LONGEST_SIDE:
        raise ValueError(
            f"{name}: it is {image.shape[2]} x {image.shape[1]} pixels; the longest side is {LONGEST_SIDE}"
        )
    _check_values(name, image)


def check_mask(name: str, mask: Tensor) -> None:
    """Raise ValueError unless these are masks [B, H, W] or [H, W] of finite numbers, in floating point."""
    if mask.ndim not in (2, 3, 4) or 0 in mask.shape or (mask.ndim == 4 and mask.shape[1] != 1):
        raise ValueError(
            f"{name}: its shape is {list(mask.shape)}, but masks have the shape [batch, height, width]; connect a "
            f"MASK, from Load Image or a mask node"
        )
    _check_values(name, mask)


def check_masks_fit(name: str, mask: Tensor, pictures: int) -> None:
    """Raise ValueError unless there is one mask for all pictures, or one for each."""
    _check_count(name, mask.shape[:-2].numel(), "masks", pictures)


def check_pictures_fit(name: str, image: Tensor, pictures: int) -> None:
    """Raise ValueError unless there is one picture for all of another input, or one for each."""
    _check_count(name, len(image), "pictures", pictures)


def _check_count(name: str, count: int, what: str, pictures: int) -> None:
    if count not in (1, pictures):
        raise ValueError(f"{name}: there are {count} {what} for {pictures} pictures; connect one for all, or one each")


def _check_values(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise ValueError(f"{name}: its values are {tensor.dtype}, but must be floating point, from 0 to 1")
    # One pass without a copy, and both are NaN where any value is.
    if not bool(torch.isfinite(torch.stack(tensor.aminmax())).all()):
        raise ValueError(f"{name}: it holds values that are not finite (inf or NaN); look at the node that made it")
