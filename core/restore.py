"""Give back what an autoencoder took: the grain and edges of the original in what an edit left alone or only tinted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-4
"""Variance, in squared units of 0..1, under which a window's colours say nothing about how they were changed."""
ROUNDS = 2
"""How often the fit is made again with less weight on what it did not explain."""
TOLERANCE = 0.05
"""The residual at which a pixel counts half in the next fit."""
SAME, CHANGED = 0.02, 0.05
"""Differences that an autoencoder and an edit make by themselves, and from which on a pixel was changed on purpose."""
NEARBY = 5
"""Pixels of the window that says how much a pixel was changed."""
FITTED, REPAINTED = 0.05, 0.15
"""Residuals up to which the fit stands and from which on the edited picture does; both are blended between."""


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
    """Carry the change that an edit made over to the original (colour guided filter, He et al. 2010, eq. 14-16).

    What the edit made of the autoencoder's own picture of the original is fitted in every window as an affine map of
    its colours, edited - decoded = A decoded + b, and this map is applied to the original instead: new colours, light
    and season follow the edit, edges and grain are the original's. The fit is of the change, so that where a window
    says too little, what is kept is the original. It is made ``ROUNDS`` times more with the weights of
    Cauchy's robust regression, 1 / (1 + residual² / TOLERANCE²), so that what was painted anew does not spoil what
    lies around it; there, where the residual stays large, the edited picture itself stands. What the edit hardly
    touched (``SAME``) is the original, bit for bit.

    original: [B, H, W, 3] in 0..1
    edited:   the same size; one that was decoded from the original's latent after an edit
    decoded:  the same size; the original encoded and decoded again
    radius:   of the windows, in pixels, 1 or more
    mask:     [B or 1, H, W] in 0..1, what may change; where it is 0 the original keeps its bits
    raises:   ValueError where the sizes differ or the radius is below 1
    """
    _check(original, edited, decoded, radius)
    pictures = zip(original.split(1), edited.split(1), decoded.split(1), strict=True)
    items = [_restored(*picture, radius) for picture in pictures]
    image, kept, stands = (torch.cat(parts) for parts in zip(*items, strict=True))
    if mask is not None:
        shown = mask[..., None]
        image = torch.where(shown == 0, original, torch.lerp(original, image, shown.expand_as(image)))
    return Restored(image, kept, stands)


def _restored(original: Tensor, edited: Tensor, decoded: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """One picture; the fields of ``Restored``."""
    size = 2 * radius + 1
    source, change = decoded.double().movedim(-1, 1), (edited - decoded).double().movedim(-1, 1)
    slope, offset, residual = _explained(source, change, torch.ones_like(change[:, :1]), size)
    for _ in range(ROUNDS):
        slope, offset, residual = _explained(source, change, 1 / (1 + residual / TOLERANCE**2), size)
    carried = original.double().movedim(-1, 1)
    carried = (carried + _applied(slope, offset, carried)).movedim(1, -1).to(original)
    anew = _ramp(residual.sqrt(), FITTED, REPAINTED).to(original).movedim(1, -1)
    moved = window_mean(change.square().mean(1, keepdim=True), NEARBY).sqrt()
    touched = _ramp(moved, SAME, CHANGED).to(original).movedim(1, -1)
    image = torch.lerp(carried, edited, anew.expand_as(edited)).clamp(0, 1)
    image = torch.where(touched == 0, original, torch.lerp(original, image, touched.expand_as(image)))
    return image, 1 - touched[..., 0], (touched * anew)[..., 0]


def _explained(source: Tensor, change: Tensor, weight: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The fit, and the mean square of what it leaves unexplained around each pixel, [B, 1, H, W]."""
    slope, offset = _fit(source, change, weight, size)
    residual = (change - _applied(slope, offset, source)).square().mean(1, keepdim=True)
    return slope, offset, window_mean(residual, 3)


def _ramp(values: Tensor, low: float, high: float) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _fit(source: Tensor, change: Tensor, weight: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Weighted least squares in every window, averaged over the windows a pixel lies in: [B, 3, 3, H, W], [B, 3, H, W].

    slope = (cov(source) + RIDGE)⁻¹ cov(source, change), offset = mean change - slope · mean source
    """
    total = window_mean(weight, size)

    def mean(values: Tensor) -> Tensor:
        return window_mean(weight * values.flatten(1, -3), size).view(values.shape) / total.view(
            total.shape[:1] + (1,) * (values.ndim - 3) + total.shape[-2:]
        )

    middle, shift = mean(source), mean(change)
    spread = mean(source[:, :, None] * source[:, None]) - middle[:, :, None] * middle[:, None]
    shared = mean(source[:, :, None] * change[:, None]) - middle[:, :, None] * shift[:, None]
    slope = torch.einsum("bijhw,bjkhw->bikhw", _inverse(spread), shared)
    offset = shift - torch.einsum("bikhw,bihw->bkhw", slope, middle)
    return window_mean(slope.flatten(1, 2), size).view(slope.shape), window_mean(offset, size)


def _inverse(spread: Tensor) -> Tensor:
    """(spread + RIDGE)⁻¹ of symmetric 3 x 3 matrices [B, 3, 3, H, W], by cofactors."""
    ridged = spread + RIDGE * torch.eye(3, dtype=spread.dtype, device=spread.device).view(1, 3, 3, 1, 1)
    rows = ridged.unbind(1)
    cofactors = torch.stack([torch.linalg.cross(rows[k - 2], rows[k - 1], dim=1) for k in range(3)], 1)
    return cofactors / (rows[0] * cofactors[:, 0]).sum(1)[:, None, None]


def _applied(slope: Tensor, offset: Tensor, picture: Tensor) -> Tensor:
    return torch.einsum("bikhw,bihw->bkhw", slope, picture) + offset


def window_mean(values: Tensor, size: int) -> Tensor:
    """The mean over square windows of an odd size, of what of them lies inside the picture; [B, C, H, W] in float64.

    By running sums, so that large windows cost no more than small ones.
    """
    for axis in (-1, -2):
        length = values.shape[axis]
        at = torch.arange(length, device=values.device)
        first, end = (at - size // 2).clamp_min(0), (at + size // 2 + 1).clamp_max(length)
        sums = torch.cat([torch.zeros_like(values.narrow(axis, 0, 1)), values.cumsum(axis)], axis)
        total = sums.index_select(axis, end) - sums.index_select(axis, first)
        count = (end - first).to(values)
        values = total / (count if axis == -1 else count[:, None])
    return values


def _check(original: Tensor, edited: Tensor, decoded: Tensor, radius: int) -> None:
    if not original.shape == edited.shape == decoded.shape:
        raise ValueError(
            f"original, edited, restored_from: they must be of one size, but are {list(original.shape)}, "
            f"{list(edited.shape)} and {list(decoded.shape)}; resize them, or encode and decode the original itself"
        )
    if radius < 1:
        raise ValueError(f"radius: it must be 1 or more, got {radius}")
