"""Color: how far two pictures' colors are apart, and bringing one to the other's.

Pictures are [B, H, W, 3] in 0..1, sRGB. CIE Lab comes from kornia, which ComfyUI brings along.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .blur import gaussian_blur
from .lazy import comfyui_package
from .mask import resized_mask
from .placing import beside, in_float64

REGIONS = 20  # along the shorter side of a latent: what match_channels takes for a region of one color


def to_lab(image: Tensor) -> Tensor:
    """sRGB [B, H, W, 3] -> CIE Lab [B, 3, H, W] in float64."""
    return comfyui_package("kornia.color").rgb_to_lab(in_float64(image[..., :3]).clamp(0, 1).movedim(-1, 1))


def from_lab(lab: Tensor) -> Tensor:
    """CIE Lab [B, 3, H, W] -> sRGB [B, H, W, 3] in float64, cut to 0..1."""
    return comfyui_package("kornia.color").lab_to_rgb(in_float64(lab), clip=True).movedim(1, -1)


def delta_e(image: Tensor, reference: Tensor) -> list[float]:
    """The mean color difference of each picture to its reference: CIE76, the distance in Lab; about 2 is visible.

    image, reference: [B, H, W, 3] in 0..1, or one reference for all
    """
    distance = (to_lab(image) - to_lab(reference)).square().sum(1).sqrt()
    return distance.mean((1, 2)).tolist()


def match_colors(
    image: Tensor, reference: Tensor, method: str, strength: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """Give pictures the colors of a reference.

    image:     [B, H, W, C], only the first three channels are changed
    reference: [1 or B, H', W', C]
    method:    ``lab_mean_std`` (Reinhard et al. 2001), ``histogram`` (each channel's distribution), or
               ``monge_kantorovich`` (Pitié & Kokaram 2007: the linear map between two color clouds)
    strength:  0 (unchanged) .. 1
    mask:      [1 or B, H, W], 0..1: where colors are counted and changed; a reference of the same size is counted
               under it too
    returns:   [B, H, W, C] in the image's type; no 8-bit step on the way

    raises: ValueError for an unknown method or an empty mask
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    in_lab = method == "lab_mean_std"
    reference, mask = beside(image, reference, mask)
    out = image.clone()
    for index in range(len(image)):
        source = _cloud(image[index], in_lab)
        target = _cloud(reference[min(index, len(reference) - 1)], in_lab)
        weight = _weights(mask, index, image.shape)
        target_weight = weight if weight is not None and len(target) == len(weight) else None
        matched = METHODS[method](source, weight, target, target_weight)
        colors = (
            from_lab(matched.T.reshape(1, 3, *image.shape[1:3]))[0] if in_lab else matched.reshape(*image.shape[1:3], 3)
        )
        amount = strength if weight is None else strength * weight.reshape(*image.shape[1:3], 1)
        before = in_float64(image[index, ..., :3])
        out[index, ..., :3] = (before + amount * (colors.clamp(0, 1) - before)).to(image)
    return out


def match_channels(latent: Tensor, reference: Tensor, contrast: bool = True) -> Tensor:
    """Give a latent the colors that each region has in a reference, and the reference's overall contrast.

    Splits both into soft colors and detail, as the wavelet color fix of StableSR does (arXiv:2305.07015, sec. 3.3),
    and puts the latent's detail on the reference's colors, each channel of it with the reference's standard deviation.

    latent, reference: [B, C, ..., H, W] of one shape
    contrast:          False leaves the detail as strong as it is
    """
    colors, aim = _local_mean(latent), _local_mean(reference)
    detail, wanted = latent - colors, reference - aim
    if not contrast:
        return aim + detail
    axes = tuple(range(2, latent.ndim))
    std = detail.std(axes, keepdim=True).clamp_min(1e-8)
    return aim + detail * (wanted.std(axes, keepdim=True) / std)


def _local_mean(latent: Tensor) -> Tensor:
    """The latent seen through a window (Gaussian) as wide as a twentieth of its shorter side: colors, no detail."""
    planes = latent.reshape(-1, 1, *latent.shape[-2:])
    return gaussian_blur(planes, min(latent.shape[-2:]) / REGIONS).reshape(latent.shape)


def _cloud(image: Tensor, in_lab: bool) -> Tensor:
    """A picture [H, W, C] as colors [pixels, 3] in float64."""
    if in_lab:
        return to_lab(image[None])[0].reshape(3, -1).T
    return in_float64(image[..., :3]).reshape(-1, 3)


def _weights(mask: Tensor | None, index: int, shape: torch.Size) -> Tensor | None:
    """How much each pixel of one picture of a batch [B, H, W, C] counts, [pixels]."""
    if mask is None:
        return None
    planes = mask.reshape(-1, *mask.shape[-2:])
    plane = resized_mask(planes[min(index, len(planes) - 1)][None], *shape[1:3])[0]
    if not bool((plane > 0).any()):
        raise ValueError("mask: it is empty, so there are no colors to match; paint it where colors may change")
    return in_float64(plane).reshape(-1)


def mean_and_covariance(colors: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weighted mean [3] and covariance [3, 3] of colors [pixels, 3]; pixels of weight 0 do not count."""
    share = colors.new_ones(len(colors)) if weight is None else weight
    share = (share / share.sum())[:, None]
    mean = (share * colors).sum(0)
    centered = colors - mean
    return mean, (share * centered).T @ centered


def _match_mean_std(source: Tensor, weight: Tensor | None, target: Tensor, target_weight: Tensor | None) -> Tensor:
    mean, covariance = mean_and_covariance(source, weight)
    aim, aim_covariance = mean_and_covariance(target, target_weight)
    scale = (aim_covariance.diag() / covariance.diag().clamp_min(1e-12)).sqrt()
    return (source - mean) * scale + aim


def _match_linear(source: Tensor, weight: Tensor | None, target: Tensor, target_weight: Tensor | None) -> Tensor:
    """T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, the optimal transport between two normal laws."""
    mean, a = mean_and_covariance(source, weight)
    aim, b = mean_and_covariance(target, target_weight)
    root = _power(a, 0.5)
    inverse = _power(a, -0.5)
    return (source - mean) @ (inverse @ _power(root @ b @ root, 0.5) @ inverse) + aim


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(1e-12) ** exponent) @ vectors.T


def _match_quantiles(source: Tensor, weight: Tensor | None, target: Tensor, target_weight: Tensor | None) -> Tensor:
    channels = [_match_channel(source[:, c], weight, target[:, c], target_weight) for c in range(3)]
    return torch.stack(channels, dim=1)


def _match_channel(source: Tensor, weight: Tensor | None, target: Tensor, target_weight: Tensor | None) -> Tensor:
    """Each value goes to the one of the same rank: x -> F_target^-1(F_source(x))."""
    values, ranks = _distribution(source, weight)
    aims, aim_ranks = _distribution(target, target_weight)
    rank = _interpolate(source, values, ranks)
    return _interpolate(rank, aim_ranks, aims)


def _distribution(values: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """The distinct values that count, rising, and the middle rank of each, 0..1."""
    weight = torch.ones_like(values) if weight is None else weight
    distinct, index = torch.unique(values[weight > 0], return_inverse=True)
    share = torch.zeros_like(distinct).index_add_(0, index, weight[weight > 0])
    share = share / share.sum()
    return distinct, share.cumsum(0) - share / 2


def _interpolate(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Piecewise linear through (xs, ys), constant beyond the ends; xs rising."""
    if len(xs) == 1:
        return ys.expand_as(x)
    right = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    left = right - 1
    share = ((x - xs[left]) / (xs[right] - xs[left])).clamp(0, 1)
    return torch.lerp(ys[left], ys[right], share)


METHODS: dict[str, Callable[[Tensor, Tensor | None, Tensor, Tensor | None], Tensor]] = {
    "lab_mean_std": _match_mean_std,
    "histogram": _match_quantiles,
    "monge_kantorovich": _match_linear,
}
"""(colors [pixels, 3], their weights, the reference's colors and weights) -> colors; in the order of the menu."""
