"""Give back what an autoencoder took: the grain and edges of the original in what an edit left alone or only tinted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from .mask import composite
from .placing import in_float64

RIDGE = 1e-4
"""Variance, in squared units of 0..1, under which a window's colors say nothing about how they were changed."""
ROUNDS = 3
"""How often the fit is made again with less weight on what it did not explain."""
TOLERANCE = 0.015
"""The residual at which a pixel counts half in the next fit."""
SAME, CHANGED = 0.03, 0.07
"""Differences that an autoencoder and an edit make by themselves, and from which on a pixel was changed on purpose."""
STRONGEST, PLAIN = 0.97, 0.15
"""The quantile that stands for the strongest change of an edit. Where that is below ``PLAIN``, both differences shrink
with it: a faint edit is meant as well."""
NEARBY = 3
"""Pixels of the window that says how much a pixel was changed, and how much of that the fit misses."""
FITTED, REPAINTED = 0.2, 0.6
"""Residuals up to which the fit stands and from which on the edited picture does; both are blended between."""
TINTED, RESTYLED = 0.15, 0.35
"""Shares of a whole edit (of its squares) that the fit misses: up to the first it is one of colors, from the second on
one of grain and edges, as a new style is, and stands everywhere."""
SPOTS, SPREAD = 0.02, 0.04
"""The same for shares of the picture with residuals above ``FITTED``: a thing is painted anew, or nearly everything."""
LOCAL, OVERALL = 0.4, 0.6
"""Shares of the picture that such an edit touches: up to the first it is a thing's, from the second on the picture's,
and what it hardly touched is as edited as well."""
FINEST = 4
"""Samples along the radius of a window that are enough for its fit."""


@dataclass(frozen=True, eq=False, repr=False)
class Restored:
    """A picture with its detail given back.

    image:  [B, H, W, 3] in 0..1
    kept:   [B, H, W] in 0..1, how far the original stands, because the edit left it alone
    stands: the same, how far the edited picture stands as it was, because it was painted anew there; the rest is fitted
    """

    image: Tensor
    kept: Tensor
    stands: Tensor


def restore_detail(
    original: Tensor, edited: Tensor, decoded: Tensor, radius: int, mask: Tensor | None = None
) -> Restored:
    """Carry the change that an edit made over to the original (color guided filter, He et al. 2010, eq. 14-16).

    What the edit made of the autoencoder's own picture of the original is fitted in every window as an affine map of
    its colors, edited - decoded = A decoded + b, and this map is applied to the original instead: new colors, light
    and season follow the edit, edges and grain are the original's. The fit is of the change, so that where a window
    says too little, what is kept is the original. It is made ``ROUNDS`` times more with the weights of
    Cauchy's robust regression, 1 / (1 + residual² / TOLERANCE²), so that what was painted anew does not spoil what
    lies around it; there, where the residual stays large, the edited picture itself stands, and everywhere where the
    fit explains too little of the edit as a whole (``RESTYLED``). What the edit hardly touched (``SAME``) is the
    original, bit for bit, but under a new style of the whole picture (``OVERALL``); a change counts as far as it was
    fitted or painted anew, so that stray spots do not.

    Large windows are fitted on pictures that were averaged down first (fast guided filter, He and Sun 2015,
    arXiv:1505.00996), which an affine map passes through unchanged; all else is done pixel by pixel.

    original: [B, H, W, 3] in 0..1
    edited:   the same size; one that was decoded from the original's latent after an edit
    decoded:  the same size; the original encoded and decoded again
    radius:   of the windows, in pixels, 1 or more
    mask:     [B or 1, H, W] in 0..1, what may change; where it is 0 the original keeps its bits
    raises:   ValueError where the sizes differ or the radius is below 1
    """
    _check(original, edited, decoded, radius)
    pictures = zip(original.split(1), edited.split(1), decoded.split(1), strict=True)
    planes = ([part.movedim(-1, 1).float() for part in picture] for picture in pictures)
    items = [_restored(before, after, again, radius) for before, after, again in planes]
    image, kept, stands = (torch.cat(parts) for parts in zip(*items, strict=True))
    image = image.movedim(1, -1).to(original)
    image = torch.where(kept.movedim(1, -1) == 1, original, image)
    if mask is not None:
        image = composite(mask[..., None], original, image)
    return Restored(image, kept[:, 0], stands[:, 0])


def _restored(original: Tensor, edited: Tensor, decoded: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """One picture, [1, 3, H, W]; the fields of ``Restored`` with channels second."""
    change = edited - decoded
    slope, offset = _fitted(decoded, change, radius)
    explained = _applied(slope, offset, decoded)
    missed = _power(change - explained)
    residual = window_mean(missed, NEARBY).sqrt()
    restyled = _ramp(missed.mean() / _power(change).mean().clamp_min(1e-12), TINTED, RESTYLED)
    restyled = restyled.maximum(_ramp((residual > FITTED).float().mean(), SPOTS, SPREAD))
    anew = _ramp(residual, FITTED, REPAINTED).maximum(restyled)
    moved = window_mean(_power(torch.lerp(explained, change, anew)), NEARBY).sqrt()
    strongest = moved.flatten().kthvalue(max(1, round(STRONGEST * moved.numel()))).values
    scale = (strongest / PLAIN).clamp(1e-6, 1)
    touched = _ramp(moved, scale * SAME, scale * CHANGED)
    touched = touched.maximum(restyled * _ramp(touched.mean(), LOCAL, OVERALL))
    carried = original + _applied(slope, offset, original)
    image = torch.lerp(carried, edited, anew).clamp(0, 1)
    return torch.lerp(original, image, touched), 1 - touched, touched * anew


def _fitted(source: Tensor, change: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """The robust fit of a change, [1, 3, 3, H, W] and [1, 3, H, W]."""
    (height, width), device = source.shape[-2:], source.device
    every = max(1, radius // FINEST)
    source, change = (in_float64(functional.avg_pool2d(one, every, ceil_mode=True)) for one in (source, change))
    size = 2 * (radius // every) + 1
    weight = torch.ones_like(change[:, :1])
    slope, offset = _fit(source, change, weight, size)
    for _ in range(ROUNDS):
        residual = _power(change - _applied(slope, offset, source))
        weight = 1 / (1 + window_mean(residual, 3) / TOLERANCE**2)
        slope, offset = _fit(source, change, weight, size)
    fields = torch.cat([slope.flatten(1, 2), offset], 1).to(device, torch.float32)
    if every > 1:
        fields = functional.interpolate(fields, scale_factor=every, mode="bilinear")[..., :height, :width]
    return fields[:, :9].unflatten(1, (3, 3)), fields[:, 9:]


def _power(picture: Tensor) -> Tensor:
    """The mean square of the colors of each pixel, [B, 1, H, W]."""
    return picture.square().mean(1, keepdim=True)


def _ramp(values: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _fit(source: Tensor, change: Tensor, weight: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Weighted least squares in every window, averaged over the windows a pixel lies in: [B, 3, 3, H, W], [B, 3, H, W].

    slope = (cov(source) + RIDGE)^-1 cov(source, change), offset = mean change - slope · mean source
    """
    total = window_mean(weight, size)
    wanted = torch.cat([source, change], 1)
    products = source[:, :, None] * wanted[:, None]
    means = window_mean(weight * torch.cat([wanted, products.flatten(1, 2)], 1), size) / total
    middle, shift = means[:, :3], means[:, 3:6]
    covariance = means[:, 6:].unflatten(1, (3, 6)) - middle[:, :, None] * means[:, None, :6]
    slope = torch.einsum("bijhw,bjkhw->bikhw", _inverse(covariance[:, :, :3]), covariance[:, :, 3:])
    offset = shift - torch.einsum("bikhw,bihw->bkhw", slope, middle)
    return window_mean(slope.flatten(1, 2), size).view(slope.shape), window_mean(offset, size)


def _inverse(spread: Tensor) -> Tensor:
    """(spread + RIDGE)^-1 of symmetric 3 x 3 matrices [B, 3, 3, H, W], by cofactors."""
    ridged = spread + RIDGE * torch.eye(3, dtype=spread.dtype, device=spread.device).view(1, 3, 3, 1, 1)
    rows = ridged.unbind(1)
    cofactors = torch.stack([torch.linalg.cross(rows[k - 2], rows[k - 1], dim=1) for k in range(3)], 1)
    return cofactors / (rows[0] * cofactors[:, 0]).sum(1)[:, None, None]


def _applied(slope: Tensor, offset: Tensor, picture: Tensor) -> Tensor:
    return (slope * picture[:, :, None]).sum(1) + offset


def window_mean(values: Tensor, size: int) -> Tensor:
    """The mean over square windows of an odd size, of what of them lies inside the picture; [B, C, H, W].

    Along one axis after the other, so that a window costs twice its side and not its area.
    """
    across, down = (1, size), (size, 1)
    for window in (across, down):
        reach = (window[0] // 2, window[1] // 2)
        values = functional.avg_pool2d(values, window, 1, reach, count_include_pad=False)
    return values


def _check(original: Tensor, edited: Tensor, decoded: Tensor, radius: int) -> None:
    if not original.shape == edited.shape == decoded.shape:
        raise ValueError(
            f"original, edited, restored_from: they must be of one size, but are {list(original.shape)}, "
            f"{list(edited.shape)} and {list(decoded.shape)}; resize them, or encode and decode the original itself"
        )
    if radius < 1:
        raise ValueError(f"radius: it must be 1 or more, got {radius}")
