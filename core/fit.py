"""Bring a picture to a size a model likes, and take it back again.

Pictures are [batch, height, width, channels] float tensors, as ComfyUI's IMAGE. A `Fit` is a plan made from sizes
alone; `apply_fit` and `undo_fit` carry it out. A picture that already has the planned scale is only moved, never
filtered, so the way there and back returns its own bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from .mask import composite, mask_kind, resized_mask

FITS = ("pad", "crop", "stretch")
SHAPES = ("keep aspect", "square")
FILLS = ("edge", "reflect", "mean", "black")

# A side that is no whole multiple grows under padding, shrinks under a crop, and takes the nearest when stretched.
_ROUND: dict[str, Callable[[Fraction], int]] = {"pad": ceil, "crop": floor, "stretch": round}


class Size(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int


class Box(NamedTuple):
    """A rectangle in pixels, fractions allowed; `bottom` and `right` are exclusive."""

    top: float
    left: float
    bottom: float
    right: float


class Borders(NamedTuple):
    """Pixels to add on each side of a picture, 0 or more."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class Fit:
    """Everything needed to fit a picture and to undo it.

    original:  size of the picture as it came
    resampled: its size after scaling (equal to `original` when nothing is resampled)
    canvas:    size of the fitted picture
    top, left: where the scaled picture's corner lies on the canvas; negative where the picture is cut
    fill:      what padding is made of, one of FILLS
    """

    original: Size
    resampled: Size
    canvas: Size
    top: int
    left: int
    fill: str = "edge"


def plan_fit(
    height: int,
    width: int,
    target: int = 0,
    fit: str = "pad",
    shape: str = "keep aspect",
    multiple: int = 8,
    fill: str = "edge",
) -> Fit:
    """Plan how a picture of height × width pixels comes to size.

    target:   pixels; with "keep aspect" the longer side gets this length, with "square" both sides do;
              0 keeps the picture's own scale
    fit:      "pad" adds borders, "crop" cuts them off (evenly on both sides), "stretch" distorts
    multiple: both sides of the canvas become whole multiples of this: up for pad, down for crop (never below one
              multiple: a picture too narrow for that is enlarged until it covers), nearest for stretch
    """
    _check_choices(target, fit, shape, multiple, fill)
    original = Size(height, width)
    # A square crop must cover the square with its shorter side; everything else fits inside with its longer one.
    measured = min(original) if fit == "crop" and shape == "square" else max(original)
    length = target or measured
    scale = Fraction(length, measured)
    wanted = Size(length, length) if shape == "square" else _scaled(original, scale)
    canvas = Size(*(max(1, _ROUND[fit](Fraction(side, multiple))) * multiple for side in wanted))
    if fit == "crop":
        scale = max(scale, Fraction(canvas.height, height), Fraction(canvas.width, width))
    resampled = canvas if fit == "stretch" else _scaled(original, scale)
    top, left = ((outer - inner) // 2 for outer, inner in zip(canvas, resampled, strict=True))
    return Fit(original, resampled, canvas, top, left, fill)


def plan_canvas(size: Size, borders: Borders, multiple: int = 8, fill: str = "edge") -> Fit:
    """Plan a larger canvas around a picture, which stays as it is.

    multiple: both sides of the canvas become whole multiples of this; what that takes is added on the sides that grow,
              right and bottom first
    """
    _check_choices(0, "pad", "keep aspect", multiple, fill)
    if min(borders) < 0:
        raise ValueError(f"left, top, right and bottom must be 0 or more, got {', '.join(map(str, borders))}")
    left, top, right, bottom = borders
    height, width = size.height + top + bottom, size.width + left + right
    canvas = Size(*(ceil(Fraction(side, multiple)) * multiple for side in (height, width)))
    top += canvas.height - height if top and not bottom else 0
    left += canvas.width - width if left and not right else 0
    return Fit(size, size, canvas, top, left, fill)


def apply_fit(image: Tensor, fit: Fit) -> tuple[Tensor, Tensor]:
    """Scale a picture and place it on its canvas.

    image:   [B, H, W, C] with H × W = fit.original
    returns: the fitted picture [B, canvas height, canvas width, C], and a mask [B, canvas height, canvas width] that
             is 1 on the padding and 0 on the picture
    """
    _check_size("image", image, fit.original)
    picture = resize(image, fit.resampled)
    rows = torch.arange(fit.canvas.height, device=image.device) - fit.top
    columns = torch.arange(fit.canvas.width, device=image.device) - fit.left
    lookup = _reflect if fit.fill == "reflect" else _clamp
    fitted = picture[:, lookup(rows, fit.resampled.height)][:, :, lookup(columns, fit.resampled.width)]

    padding = _outside(rows, fit.resampled.height)[:, None] | _outside(columns, fit.resampled.width)
    if fit.fill == "mean":
        fitted = torch.where(padding[:, :, None], picture.mean(dim=(1, 2), keepdim=True), fitted)
    elif fit.fill == "black":
        fitted = torch.where(padding[:, :, None], torch.zeros_like(fitted), fitted)
    return fitted, padding.float().repeat(len(image), 1, 1)


def undo_fit(image: Tensor, fit: Fit, original: Tensor | None = None) -> Tensor:
    """Take padding off, scale back, and put what was cut back in place.

    image:    [B, H, W, C] with H × W = fit.canvas
    original: [B or 1, H, W, C or more] with H × W = fit.original; its pixels return wherever the crop had cut them
              away. Without it the cut borders repeat the nearest kept pixel.
    returns:  [B, H, W, C] with H × W = fit.original
    """
    _check_size("image", image, fit.canvas)
    top, bottom, upper, lower = _kept_span(fit.original.height, fit.resampled.height, fit.canvas.height, fit.top)
    left, right, start, stop = _kept_span(fit.original.width, fit.resampled.width, fit.canvas.width, fit.left)
    kept = resize(image, Size(bottom - top, right - left), Box(upper, start, lower, stop))
    if kept.shape[1:3] == fit.original:
        return kept
    if original is None:
        rows = _clamp(torch.arange(fit.original.height, device=image.device) - top, bottom - top)
        columns = _clamp(torch.arange(fit.original.width, device=image.device) - left, right - left)
        return kept[:, rows][:, :, columns]
    restored = _matching_original(original, fit, kept)
    restored[:, top:bottom, left:right] = kept
    return restored


def fit_mask(mask: Tensor, fit: Fit) -> Tensor:
    """Bring a mask along with its picture; the padding may change, so it is 1 there.

    mask:    [B, H, W] or [B, 1, H, W], 0..1, at any size: another one than the picture's is resized first, and a
             hard mask stays hard
    returns: [B, canvas height, canvas width]
    """
    plane = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if plane.shape[-2:] != fit.original:
        mode = "bilinear" if mask_kind(plane) == "soft" else "nearest-exact"
        plane = functional.interpolate(plane, size=tuple(fit.original), mode=mode)
    fitted, padding = apply_fit(plane.movedim(1, -1), fit)
    return torch.maximum(fitted[..., 0], padding)


def keep_outside_mask(image: Tensor, fit: Fit, mask: Tensor, original: Tensor) -> Tensor:
    """A picture that was taken back to its first size, inside the mask, and the original's own bits outside it.

    image:    [B, H, W, C] with H x W = fit.original
    mask:     [B or 1, H, W], at the size of the original or of the fitted picture
    original: [B or 1, H, W, C or more] with H x W = fit.original
    """
    plane = mask.reshape(-1, *mask.shape[-2:]).to(image)
    if plane.shape[-2:] == fit.canvas != fit.original:
        rows = _clamp(torch.arange(fit.canvas.height) - fit.top, fit.resampled.height) + fit.top
        columns = _clamp(torch.arange(fit.canvas.width) - fit.left, fit.resampled.width) + fit.left
        unpadded = plane[:, rows][:, :, columns, None]  # white padding would reach into the picture as it is scaled
        cut_off = torch.zeros(len(plane), *fit.original, 1).to(image)
        plane = undo_fit(unpadded, fit, cut_off)[..., 0]
    inside = resized_mask(plane, *fit.original).to(image).clamp(0, 1)
    return composite(inside[..., None], _matching_original(original, fit, image), image)


def resize(image: Tensor, size: Size, box: Box | None = None) -> Tensor:
    """Scale the part of a picture inside `box` to `size` with Lanczos filtering, in floating point.

    image:   [B, H, W, C]
    box:     in the picture's pixels; None means all of it
    returns: [B, size.height, size.width, C]. Each channel stays within its own range: a Lanczos filter overshoots
             at hard edges. A part that already has the size comes back with its own bits.
    """
    box = box or Box(0, 0, image.shape[1], image.shape[2])
    if (box.bottom - box.top, box.right - box.left) == size:
        top, left = int(box.top), int(box.left)
        return image[:, top : top + size.height, left : left + size.width].clone()
    source = image.detach().float().cpu().numpy()
    result = np.empty((len(source), *size, source.shape[-1]), dtype=np.float32)
    corners = (box.left, box.top, box.right, box.bottom)
    for item, channel in np.ndindex(len(source), source.shape[-1]):
        plane = np.ascontiguousarray(source[item, :, :, channel])
        scaled = Image.fromarray(plane).resize((size.width, size.height), Image.Resampling.LANCZOS, corners)
        result[item, :, :, channel] = np.clip(np.asarray(scaled), plane.min(), plane.max())
    return torch.from_numpy(result).to(image)


def size_in_words(image: Tensor) -> str:
    """How large pictures [B, H, W, C] are and how many, for messages."""
    count = f"{len(image)} pictures of " if len(image) > 1 else ""
    return f"{count}{image.shape[2]} x {image.shape[1]} pixels"


def _scaled(size: Size, scale: Fraction) -> Size:
    """A size times a factor, in whole pixels, at least one."""
    return Size(*(max(1, round(side * scale)) for side in size))


def _clamp(index: Tensor, length: int) -> Tensor:
    """Positions beyond 0..length-1 take the nearest end."""
    return index.clamp(0, length - 1)


def _reflect(index: Tensor, length: int) -> Tensor:
    """Positions beyond 0..length-1 mirror at the ends, again and again where the padding is longer than the picture."""
    period = max(1, 2 * (length - 1))
    index = index.remainder(period)
    return torch.minimum(index, period - index)


def _outside(index: Tensor, length: int) -> Tensor:
    """True where a position lies beyond 0..length-1."""
    return (index < 0) | (index >= length)


def _kept_span(original: int, resampled: int, canvas: int, offset: int) -> tuple[int, int, float, float]:
    """Along one side: which pixels of the original the canvas holds, and where on the canvas they lie.

    Only pixels that lie wholly inside are taken, so a pixel the crop touched comes from the original.
    returns: first and end pixel of the original, first and end position on the canvas
    """
    first, last = max(0, -offset), min(resampled, canvas - offset)
    start, stop = -(-first * original // resampled), last * original // resampled
    if stop <= start:  # a picture of a few pixels, enlarged past its canvas: take the pixel in the middle
        start = (first + last) * original // (2 * resampled)
        stop = start + 1
    begin, end = max(first, Fraction(start * resampled, original)), min(last, Fraction(stop * resampled, original))
    return start, stop, float(begin + offset), float(end + offset)


def _matching_original(original: Tensor, fit: Fit, kept: Tensor) -> Tensor:
    """A copy of the original with the batch and channels of the picture that goes back into it."""
    _check_size("original", original, fit.original)
    batch, channels = len(kept), kept.shape[-1]
    if len(original) not in (1, batch):
        raise ValueError(
            f"original has {len(original)} pictures and image has {batch}: connect one original for all, or one each"
        )
    if original.shape[-1] < channels:
        raise ValueError(
            f"original has {original.shape[-1]} channels and image has {channels}: "
            "connect the picture that went into Fit Image"
        )
    return original[..., :channels].to(kept).expand(batch, -1, -1, -1).clone()


def _check_size(name: str, image: Tensor, size: Size) -> None:
    """Refuse a picture that is not what the plan was made for."""
    if image.ndim != 4:
        raise ValueError(f"{name} must have the shape [batch, height, width, channels], got {list(image.shape)}")
    if image.shape[1:3] != size:
        raise ValueError(
            f"{name} is {image.shape[2]} x {image.shape[1]} pixels, but the fit expects {size.width} x {size.height}: "
            "connect the picture this fit belongs to, at the size it had then, and enlarge it only afterwards"
        )


def _check_choices(target: int, fit: str, shape: str, multiple: int, fill: str) -> None:
    """Refuse numbers and words that no plan can be made from."""
    if target < 0:
        raise ValueError(f"target must be a length in pixels, or 0 to keep the picture's own scale, got {target}")
    if multiple < 1:
        raise ValueError(f"multiple must be at least 1, got {multiple}: 8 suits most models")
    for name, value, known in (("fit", fit, FITS), ("shape", shape, SHAPES), ("fill", fill, FILLS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
